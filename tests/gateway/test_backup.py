"""Backups: one file with all of a gateway, restored whole or not at all, also to the other kind of database."""

import asyncio
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from opx.config import load_settings
from opx.gateway.certificates import server_certificate
from opx.gateway.commands import app
from opx.gateway.journal import BindingRow, TimelineRow
from opx.gateway.opening import open_repository
from opx.gateway.records import DeviceRecord
from opx.gateway.repository import MIGRATIONS
from opx.gateway.settings import GatewaySettings
from opx.store.engine import open_engine
from opx.store.migrations import migrate_to
from opx.store.place import Place
from support.gateway_store import SPEC, with_icp
from support.postgres import DATABASES, PostgresServer, needs_postgres
from support.programs import listening_socket

SIDES = '[set_side]\naddress = "127.0.10.1"\n[icp_side]\naddress = "127.0.20.1"\n'
BINDING = BindingRow(1, "sip:tw1@192.0.2.9", "", "UDP", "192.0.2.9", 5062, "call", 1, "Phone/1", 1000.25, 1120.5)


class Gateway:
    """A gateway's files in `folder`, and its commands."""

    def __init__(self, folder: Path, database: str = "", more: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.config = folder / "gateway.toml"
        self.config.write_text(f'database = "{database or "gateway.db"}"\n{more}{SIDES}')

    @property
    def settings(self) -> GatewaySettings:
        return load_settings(GatewaySettings, self.config)

    def run(self, *arguments: str, stdin: str = "") -> Result:
        result = CliRunner().invoke(app, [*arguments, "--config", str(self.config)], input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    def done(self, *arguments: str, stdin: str = "") -> str:
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result.output

    def refused(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.exit_code == 1, result.output
        return result.output

    def fill(self) -> None:
        """An ICP, two devices of which one is removed again, what signalling writes, and certificates."""

        async def work() -> None:
            repository, _ = await open_repository(self.settings)
            await (await with_icp(repository)).put_device(SPEC)
            await repository.put_device(replace(SPEC, set_username="tw2", icp_username="1002"))
            await repository.remove_device("tw2")
            await repository.write(bindings=[BINDING], timeline=[TimelineRow(1, 1.5, "call", "Grüße \x1b")])
            await repository.close()

        asyncio.run(work())
        server_certificate(self.settings).open()

    def content(self) -> tuple[list[DeviceRecord], list[BindingRow], list[TimelineRow], bytes]:
        async def work() -> tuple[list[DeviceRecord], list[BindingRow], list[TimelineRow]]:
            repository, _ = await open_repository(self.settings)
            try:
                return await repository.devices(), await repository.bindings(), await repository.timeline(1)
            finally:
                await repository.close()

        return (*asyncio.run(work()), (self.folder / "certificates" / "ca.pem").read_bytes())

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and not path.name.endswith((".lock", "-shm", "-wal"))
        }


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    made = Gateway(tmp_path / "gateway")
    made.fill()
    return made


def test_a_lost_machine_comes_back_from_one_file(gateway: Gateway, tmp_path: Path) -> None:
    archive = tmp_path / "backup"
    output = gateway.done("backup", str(archive))
    assert f"{archive}: " in output and "is not sealed: keep it where only you can read it" in output
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    before = gateway.content()

    elsewhere = Gateway(tmp_path / "elsewhere")
    elsewhere.config.unlink()
    output = elsewhere.done("restore", str(archive))

    assert "1 ICPs, 1 devices" in output
    assert elsewhere.content() == before
    assert elsewhere.config.read_bytes() == gateway.config.read_bytes()
    assert stat.S_IMODE((elsewhere.folder / "gateway.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((elsewhere.folder / "gateway.db").stat().st_mode) == 0o600
    assert stat.S_IMODE((elsewhere.folder / "certificates" / "ca.key").stat().st_mode) == 0o600
    elsewhere.done("device", "list")


def test_what_was_changed_since_is_put_back_and_what_was_there_kept(gateway: Gateway, tmp_path: Path) -> None:
    archive = tmp_path / "backup"
    gateway.done("backup", str(archive))
    before = gateway.content()
    gateway.done("device", "disable", "tw1")
    gateway.done("icp", "add", "Node 2", "10.0.0.21")
    (gateway.folder / "gateway.spool.3").write_text('["gone",1,"sip:tw1@192.0.2.9"]\n')

    output = gateway.done("restore", str(archive))

    assert gateway.content() == before
    assert list(gateway.folder.glob("gateway.spool.3")) == []
    (kept,) = gateway.folder.glob("gateway.db.before-restore-*")
    assert f"what was there before: {kept}" in output
    assert len(list(gateway.folder.glob("gateway.key.before-restore-*"))) == 1
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_ids_of_removed_devices_are_not_given_again_after_a_restore(gateway: Gateway, tmp_path: Path) -> None:
    gateway.done("backup", str(tmp_path / "backup"))
    gateway.done("restore", str(tmp_path / "backup"))

    assert "id 3," in gateway.done("device", "add", "tw3", "--icp", "Node 1", "--generate")


def test_a_sealed_backup_needs_its_passphrase(gateway: Gateway, tmp_path: Path) -> None:
    archive, good, wrong = tmp_path / "backup", tmp_path / "good", tmp_path / "wrong"
    good.write_text("correct horse battery\n")
    wrong.write_text("wrong horse battery\n")
    (tmp_path / "short").write_text("short\n")
    assert "expected 12 characters or more" in gateway.refused(
        "backup", str(archive), "--passphrase-file", str(tmp_path / "short")
    )
    output = gateway.done("backup", str(archive), "--seal", stdin="correct horse battery\n" * 2)
    assert "is not sealed" not in output
    before = gateway.files()

    assert "another passphrase made it" in gateway.refused("restore", str(archive), "--passphrase-file", str(wrong))
    assert gateway.files() == before
    gateway.done("restore", str(archive), "--passphrase-file", str(good))


def test_nothing_is_restored_while_the_gateway_runs(gateway: Gateway, tmp_path: Path) -> None:
    gateway.done("backup", str(tmp_path / "backup"))
    before = gateway.files()
    with listening_socket(gateway.folder / "gateway.sock"):
        assert "opx gateway is running" in gateway.refused("restore", str(tmp_path / "backup"))
    assert gateway.files() == before


@pytest.mark.parametrize("spoiled", ["half", "byte", "other"])
def test_a_backup_that_is_damaged_or_another_thing_changes_nothing(
    gateway: Gateway, tmp_path: Path, spoiled: str
) -> None:
    archive = tmp_path / "backup"
    gateway.done("backup", str(archive))
    data = bytearray(archive.read_bytes())
    if spoiled == "half":
        del data[len(data) // 2 :]
    elif spoiled == "byte":
        data[len(data) // 2] ^= 1
    else:
        data = bytearray(b"something else")
    archive.write_bytes(data)
    before = gateway.files()

    gateway.refused("restore", str(archive))

    assert gateway.files() == before


def test_a_restore_that_fails_half_way_puts_everything_back(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.done("backup", str(tmp_path / "backup"))
    gateway.done("device", "disable", "tw1")
    before = gateway.files()
    real, left = Path.rename, 0

    def rename(self: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    for step in range(1, 40):
        left = step
        result = gateway.run("restore", str(tmp_path / "backup"))
        if result.exit_code == 0:
            break
        assert gateway.files() == before, f"step {step}"
    assert step > 8, "there were no steps to fail at"


def test_a_backup_is_not_written_over_another_file_and_needs_a_database(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("precious")
    assert "is there already" in gateway.refused("backup", str(tmp_path / "there"))
    assert "nothing to back up" in Gateway(tmp_path / "new").refused("backup", str(tmp_path / "backup"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gateway", "new", "there"]


def test_settings_that_are_there_stay_unless_told_otherwise(gateway: Gateway, tmp_path: Path) -> None:
    gateway.done("backup", str(tmp_path / "backup"))
    old = gateway.config.read_text()
    gateway.config.write_text(old.replace("127.0.10.1", "127.0.11.1"))

    gateway.done("restore", str(tmp_path / "backup"))
    assert "127.0.11.1" in gateway.config.read_text()
    for path in gateway.folder.rglob("*.before-restore-*"):
        path.unlink()
    gateway.done("restore", str(tmp_path / "backup"), "--take-settings")
    assert gateway.config.read_text() == old


def test_own_certificates_and_the_import_file_come_along(tmp_path: Path) -> None:
    own = '[certificates]\nchain = "own.pem"\nkey = "own.key"\n'
    gateway = Gateway(tmp_path / "gateway", more='import_file = "devices.toml"\n')
    gateway.config.write_text(gateway.config.read_text() + own)
    for name in ("own.pem", "own.key", "devices.toml"):
        (gateway.folder / name).write_text(f"# {name}\n")

    async def work() -> None:
        repository, _ = await open_repository(gateway.settings)
        await repository.close()

    asyncio.run(work())
    gateway.done("backup", str(tmp_path / "backup"))
    elsewhere = Gateway(tmp_path / "elsewhere")
    elsewhere.config.unlink()
    elsewhere.done("restore", str(tmp_path / "backup"))

    for name in ("own.pem", "own.key", "devices.toml"):
        assert (elsewhere.folder / name).read_text() == f"# {name}\n"
        assert stat.S_IMODE((elsewhere.folder / name).stat().st_mode) == 0o600


def test_a_backup_of_an_older_release_is_brought_up_to_date(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "gateway")
    gateway.fill()
    before = gateway.content()[0]
    # A database of the second release with the same device, sealed with the same key.
    rows = gateway.folder / "gateway.db"
    old = tmp_path / "old.db"

    async def make_old() -> None:
        engine = open_engine(Place(file=old))
        async with engine.begin() as connection:
            await connection.run_sync(migrate_to, MIGRATIONS, "0002")
            await connection.execute(text(f"ATTACH DATABASE '{rows}' AS new"))
            for table, columns in (
                ("setting", "key, value"),
                ("icp", "id, name, type, host, port, transport"),
                (
                    "device",
                    "id, enabled, description, icp_id, set_username, set_ha1, icp_username, icp_password, revision",
                ),
            ):
                await connection.execute(
                    text(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")
                )
        await engine.dispose()

    asyncio.run(make_old())
    for path in gateway.folder.glob("gateway.db*"):
        path.unlink()
    old.rename(rows)
    output = gateway.done("backup", str(tmp_path / "backup"))
    assert "of revision 0002" in output

    gateway.done("restore", str(tmp_path / "backup"))

    (device,), (was,) = gateway.content()[0], before
    assert replace(device, version=was.version) == was


# --- PostgreSQL


@pytest.fixture
def server(postgres: PostgresServer) -> Iterator[PostgresServer]:
    with DATABASES.on(postgres):
        yield postgres


@needs_postgres()
@pytest.mark.parametrize("way", ["to the server", "from the server", "on the server"])
def test_a_backup_moves_between_databases(server: PostgresServer, tmp_path: Path, way: str) -> None:
    address = DATABASES.setting(tmp_path / "one.db")
    other = DATABASES.setting(tmp_path / "other.db")
    source = Gateway(tmp_path / "source", "" if way == "to the server" else address)
    target = Gateway(tmp_path / "target", "" if way == "from the server" else other)
    source.fill()
    source.done("backup", str(tmp_path / "backup"))

    assert "1 ICPs, 1 devices" in target.done("restore", str(tmp_path / "backup"))

    assert target.content() == source.content()
    assert "id 3," in target.done("device", "add", "tw3", "--icp", "Node 1", "--generate")
    if way != "from the server":
        target.done("restore", str(tmp_path / "backup"))
        assert target.content() == source.content()
        (kept,) = target.folder.glob("database.before-restore-*")
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600


@needs_postgres()
def test_a_restore_to_a_server_that_fails_half_way_leaves_its_rows(
    server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = Gateway(tmp_path / "gateway", DATABASES.setting(tmp_path / "half.db"))
    gateway.fill()
    gateway.done("backup", str(tmp_path / "backup"))
    gateway.done("device", "disable", "tw1")
    before = gateway.content()

    def copyfile(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("opx.store.restore.shutil.copyfile", copyfile)
    gateway.refused("restore", str(tmp_path / "backup"))

    assert gateway.content() == before


@needs_postgres()
def test_a_restore_is_refused_while_a_gateway_elsewhere_is_connected(server: PostgresServer, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "gateway", DATABASES.setting(tmp_path / "busy.db"))
    gateway.fill()
    gateway.done("backup", str(tmp_path / "backup"))

    async def work() -> str:
        repository, _ = await open_repository(gateway.settings)
        try:
            await repository.devices()
            return await asyncio.to_thread(gateway.refused, "restore", str(tmp_path / "backup"))
        finally:
            await repository.close()

    assert "opx gateway is connected to it; expected it stopped" in asyncio.run(work())

"""Putting a backup in the place of what is there: all of it or nothing, and what was there is kept aside."""

# ruff: noqa: ASYNC240 - a command of its own: nothing else waits for its event loop

import asyncio
import datetime
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text

from opx.config import SettingsFile
from opx.store.archive import ArchiveError, Manifest, read_archive
from opx.store.backup import CERTIFICATES, ROWS, SETTINGS, Holdings, back_up
from opx.store.engine import is_new, open_engine
from opx.store.migrations import migrate, migrate_to
from opx.store.place import Place
from opx.store.rows import RowsError, drop_all, load, set_sequences
from opx.store.secrets import Sealer, load_key


class RestoreError(Exception):
    """Nothing was restored; the text says why."""


@dataclass(frozen=True, slots=True)
class Restored:
    """`aside`: what was there before, under its new names."""

    made_at: str
    version: str
    counts: tuple[int, ...]
    """Rows of the tables that its holdings count."""
    aside: tuple[Path, ...]


async def restore(
    archive: Path,
    config: Path,
    passphrase: str | None,
    program: str,
    holdings_of: Callable[[SettingsFile], Holdings],
    *,
    take_settings: bool = False,
) -> Restored:
    """Put back all that `archive` holds, to where the settings say; the program must not run.

    A settings file that is there stays, so that a program can move to another database or address by its backup, unless
    `take_settings`. RestoreError, ArchiveError, SecretsError, DatabaseTooNew, ConfigError or OSError, and nothing is
    changed.
    """
    with tempfile.TemporaryDirectory(prefix=".opx-restore-", dir=config.absolute().parent) as name:
        folder = Path(name)
        manifest = await asyncio.to_thread(read_archive, archive, folder, passphrase)
        if manifest.about.get("program") != program:
            raise ArchiveError(f"{archive} is no backup of {program}")
        take_settings = take_settings or not config.exists()
        source = SettingsFile.read(folder / SETTINGS if take_settings else config)
        holdings = holdings_of(SettingsFile(config.absolute(), source.text))
        refuse_while_running(holdings)
        swap = Swap(f".before-restore-{datetime.datetime.now():%Y%m%dT%H%M%S}")
        try:
            targets = _targets(holdings, config, manifest, take_settings)
            if holdings.place.server is None:
                counts = await _to_file(holdings, manifest, folder, swap)
                swap.files(folder, targets)
            else:
                counts = await _to_server(holdings, config, manifest, folder, swap, targets)
        except RowsError as error:
            swap.undo()
            raise RestoreError(f"{archive}: {error}") from None
        except BaseException:
            swap.undo()
            raise
    return Restored(str(manifest.about["made_at"]), str(manifest.about["version"]), counts, tuple(swap.aside))


def refuse_while_running(holdings: Holdings) -> None:
    """RestoreError when the program answers on its socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(str(holdings.socket)) == 0:
            raise RestoreError(f"{holdings.program} is running ({holdings.socket}); expected it stopped")


def _targets(holdings: Holdings, config: Path, manifest: Manifest, take_settings: bool) -> dict[str, Path]:
    """Where each file of the archive belongs."""
    places = {**holdings.files, holdings.key_name: holdings.key_file, SETTINGS: config if take_settings else None}
    places |= {
        name: holdings.certificates / name.removeprefix(CERTIFICATES)
        for name in manifest.files
        if name.startswith(CERTIFICATES)
    }
    return {name: place for name, place in places.items() if place is not None and name in manifest.files}


async def _to_file(holdings: Holdings, manifest: Manifest, folder: Path, swap: "Swap") -> tuple[int, ...]:
    """The new database is made apart and put in the place of the old one."""
    made, target = folder / "new.db", holdings.place.file
    assert target is not None
    engine = open_engine(Place(file=made))
    try:
        async with engine.begin() as connection:
            counts = await connection.run_sync(_fill, holdings, manifest, folder)
        await migrate(engine, holdings.migrations)
    finally:
        await engine.dispose()
    for ending in ("-wal", "-shm"):
        swap.take_away(target.with_name(target.name + ending))
    swap.put(made, target)
    _drop_leftovers(holdings, swap)
    return counts


async def _to_server(
    holdings: Holdings,
    config: Path,
    manifest: Manifest,
    folder: Path,
    swap: "Swap",
    targets: dict[str, Path],
) -> tuple[int, ...]:
    """One transaction, committed when the files stand in their places. The rows there were are backed up before."""
    engine = open_engine(holdings.place)
    try:
        if not await is_new(holdings.place) and holdings.key_file.exists():
            kept = config.absolute().with_name(f"database{swap.ending}")
            await back_up(holdings, config if config.exists() else folder / SETTINGS, kept, None)
            swap.keep(kept)
        async with engine.begin() as connection:
            others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = "
            count = await connection.scalar(text(f"{others} current_setting('application_name') AND pid <> {_OWN}"))
            if count:
                raise RestoreError(f"{holdings.place}: {holdings.program} is connected to it; expected it stopped")
            await connection.run_sync(drop_all)
            counts = await connection.run_sync(_fill, holdings, manifest, folder)
            await connection.run_sync(migrate_to, holdings.migrations, "head")
            swap.files(folder, targets)
            _drop_leftovers(holdings, swap)
    finally:
        await engine.dispose()
    return counts


_OWN = "pg_backend_pid()"


def _fill(connection: Connection, holdings: Holdings, manifest: Manifest, folder: Path) -> tuple[int, ...]:
    """Tables of the backup's release with its rows; how many there are of what is counted. Checks the key."""
    migrate_to(connection, holdings.migrations, str(manifest.about["revision"]))
    with (folder / ROWS).open(encoding="utf-8") as lines:
        count = load(connection, lines)
    if count != manifest.about["rows"]:
        raise RowsError(f"{count} rows, where {manifest.about['rows']} are expected")
    set_sequences(connection, {str(name): int(number) for name, number in manifest.about["sequences"].items()})
    holdings.check_key(connection, Sealer(load_key(folder / holdings.key_name, create=False)))
    counts = (connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in holdings.counted)
    return tuple(counts)


def _drop_leftovers(holdings: Holdings, swap: "Swap") -> None:
    """What belongs to the database that was there is none of the restored one's."""
    for path in holdings.leftovers():
        swap.take_away(path)


class Swap:
    """Puts files in the places of others, which get names with `ending` beside them; `undo` puts all back."""

    def __init__(self, ending: str) -> None:
        self.ending = ending
        self._done: list[tuple[Path | None, Path | None]] = []

    @property
    def aside(self) -> Iterator[Path]:
        return (kept for _, kept in self._done if kept is not None)

    def files(self, folder: Path, targets: dict[str, Path]) -> None:
        for name, target in targets.items():
            self.put(folder / name, target, 0o644 if name.startswith(CERTIFICATES) and name.endswith(".pem") else 0o600)

    def put(self, source: Path, target: Path, mode: int = 0o600) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}{self.ending}")
        try:
            shutil.copyfile(source, draft)
            draft.chmod(mode)
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            self.take_away(target)
            draft.rename(target)
        finally:
            draft.unlink(missing_ok=True)
        self._done.append((target, None))

    def take_away(self, path: Path) -> None:
        if path.exists():
            kept = path.with_name(path.name + self.ending)
            path.rename(kept)
            self._done.append((path, kept))

    def keep(self, path: Path) -> None:
        """A file that was made to keep something; it stays whatever happens."""
        self._done.append((None, path))

    def undo(self) -> None:
        for path, kept in reversed(self._done):
            if path is not None and kept is None:
                path.unlink(missing_ok=True)
            elif path is not None and kept is not None:
                kept.rename(path)
        self._done.clear()

"""What `opx gateway check` finds, each fault with what to do about it."""

import asyncio
import json
import re
import socket
import sqlite3
import stat
import time
from pathlib import Path

import pytest
import trustme
from typer.testing import CliRunner

from opx.config import load_settings
from opx.findings import Finding, Level
from opx.gateway import checks
from opx.gateway.certificates import server_certificate
from opx.gateway.checks import addresses, certificates, clock, deliveries, limits, modes, rtp_ports
from opx.gateway.commands import app
from opx.gateway.settings import GatewaySettings
from opx.web.authority import SERVER_DAYS
from support.dns_server import dns_server
from support.gateway_store import SPEC, opened, with_icp
from support.network import LoopbackNetwork
from support.postgres import DATABASES
from support.programs import listening_socket

NOWHERE = "192.0.2.1"
"""No address of any machine (RFC 5737)."""


class Site:
    """A gateway's settings in `folder`, on a network of the test's own."""

    def __init__(self, folder: Path, network: LoopbackNetwork) -> None:
        self.folder = folder
        self.network = network
        self.config = folder / "gateway.toml"
        self.write()

    def write(self, more: str = "", *, outside: str = "") -> GatewaySettings:
        database = DATABASES.setting(self.folder / "gateway.db")
        sides = f'[set_side]\naddress = "{outside or self.network.at("10.1")}"\n'
        sides += f'[icp_side]\naddress = "{self.network.at("20.1")}"\n'
        self.config.write_text(f'database = "{database}"\n{sides}{more}')
        return load_settings(GatewaySettings, self.config)

    def check(self) -> dict[str, Finding]:
        """What the command says, by what was looked at."""
        result = CliRunner().invoke(app, ["check", "--json", "--config", str(self.config)])
        findings = [Finding(Level(entry["level"]), entry["what"], entry["text"]) for entry in json.loads(result.output)]
        assert result.exit_code == any(finding.level is Level.ERROR for finding in findings)
        return {finding.what: finding for finding in findings}


@pytest.fixture
def site(tmp_path: Path, loopback: LoopbackNetwork) -> Site:
    return Site(tmp_path, loopback)


async def filled(site: Site, *hosts: str) -> None:
    async with opened(site.folder) as repository:
        await (await with_icp(repository)).put_device(SPEC)
        for host in hosts:
            await repository.put_icp(host, "", host, None, "UDP")


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding


@pytest.mark.usefixtures("each_database")
async def test_a_set_up_in_order_is_said_line_by_line(site: Site, each_database: str) -> None:
    await filled(site)
    server_certificate(site.write()).open()

    found = await asyncio.to_thread(site.check)

    assert {finding.level for finding in found.values()} <= {Level.OK, Level.WARNING}
    kind = {"sqlite": "SQLite", "postgresql": "PostgreSQL 1"}[each_database]
    assert f": {kind}" in found["database"].text
    assert found["database"].text.endswith(", up to date and whole, 1 ICPs, 1 devices")
    assert found[f"set_side, UDP and TCP {site.network.at('10.1')}:5060"].text == "free"
    assert found["certificate CN=OPX gateway CA"].level is Level.OK


def test_lines_for_people_begin_with_the_level(site: Site) -> None:
    result = CliRunner().invoke(app, ["check", "--config", str(site.config)])

    assert all(re.match(r"(ok|warning|error) {2,}\S", line) for line in result.output.splitlines()), result.output
    assert list(site.folder.iterdir()) == [site.config]


def test_every_mistake_in_the_settings_is_an_error_of_its_own(site: Site) -> None:
    site.config.write_text(site.config.read_text() + "prt = 1\n[limits]\ncalls = 0\n")
    result = CliRunner().invoke(app, ["check", "--config", str(site.config)])

    assert result.exit_code == 1
    assert result.output.count("error    settings: ") == 2
    assert "icp_side.prt: unknown key; did you mean port?" in result.output


# --- database


async def test_what_is_wrong_with_key_and_database_is_said(site: Site) -> None:
    await filled(site)
    key, database = site.folder / "gateway.key", site.folder / "gateway.db"
    good = key.read_bytes()

    async def finding(what: str) -> str:
        found = (await asyncio.to_thread(site.check))[what]
        assert found.level is Level.ERROR
        return found.text

    key.chmod(0o644)
    assert "others can read the key file" in await finding("key file")
    key.chmod(0o600)
    key.write_bytes(bytes(32))
    assert "the key file does not belong to this database" in await finding("key file")
    key.unlink()
    assert "the key file is missing" in await finding("key file")
    key.write_bytes(good)
    key.chmod(0o600)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "a newer one wrote it" in await finding("database")
    for path in site.folder.glob("gateway.db*"):
        path.unlink()
    database.write_text("no database at all\n" * 100)
    assert "file is not a database" in await finding("database")


async def test_a_damaged_database_is_found(site: Site) -> None:
    await filled(site)
    with sqlite3.connect(site.folder / "gateway.db") as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'uq_icp_name' OR name LIKE 'sqlite_autoindex_icp_1'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (site.folder / "gateway.db").open("r+b") as file:
        file.seek((page - 1) * size + 8)
        file.write(b"\xff" * 40)

    found = (await asyncio.to_thread(site.check))["database"]

    assert found.level is Level.ERROR
    assert "restore a backup (opx gateway restore)" in found.text


def test_a_server_that_is_away_is_an_error(site: Site) -> None:
    text = site.config.read_text().split("\n", 1)[1]
    site.config.write_text(f'database = "postgresql:///d?host={site.folder}"\n{text}')

    assert "the database server cannot be reached" in site.check()["database"].text


# --- network


def test_a_port_that_is_taken_and_an_address_of_another_machine_are_found(site: Site) -> None:
    outside, inside = site.network.at("10.1"), site.network.at("20.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        udp.bind((outside, 5060))
        tcp.bind((inside, 8443))
        tcp.listen()
        found = site.check()
    assert found[f"set_side, UDP and TCP {outside}:5060"].text == (
        "UDP: another program has this port; stop it, or change set_side.port"
    )
    assert "change web.port" in found[f"web, TCP {inside}:8443"].text
    elsewhere = site.write(outside=NOWHERE)
    first = next(addresses(elsewhere, running=False))
    assert first.level is Level.ERROR
    assert "is no address of this machine; give it to an interface, or change set_side.address" in first.text


def test_the_ports_of_a_running_gateway_are_its_own(site: Site) -> None:
    outside = site.network.at("10.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, listening_socket(site.folder / "gateway.sock"):
        udp.bind((outside, 5060))
        found = site.check()
    assert found[f"set_side, UDP and TCP {outside}:5060"].text == "in use by the running gateway"


def kernel(monkeypatch: pytest.MonkeyPatch, folder: Path, **files: str) -> None:
    """A kernel with these settings."""
    for name, text in files.items():
        path = folder / "sys" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(checks, "PROC", folder / "sys")


@pytest.mark.parametrize(
    ("local", "reserved", "level"),
    [
        ("32768\t60999\n", "\n", Level.OK),
        ("1024\t60999\n", "\n", Level.WARNING),
        ("30000\t60999\n", "\n", Level.WARNING),
        ("30000\t60999\n", "30000-30999\n", Level.OK),
        ("30000\t60999\n", "22,30000-30500\n", Level.WARNING),
    ],
)
def test_voice_ports_that_the_kernel_gives_away_are_found(
    site: Site, monkeypatch: pytest.MonkeyPatch, local: str, reserved: str, level: Level
) -> None:
    names = {"net__ipv4__ip_local_port_range": local, "net__ipv4__ip_local_reserved_ports": reserved}
    kernel(monkeypatch, site.folder, **names)

    found = only(list(rtp_ports(site.write())))

    assert found.level is level
    advice = "sysctl net.ipv4.ip_local_reserved_ports=20000-30999"
    assert (advice in found.text) is (level is Level.WARNING)


def test_fewer_ports_than_calls_are_found(site: Site) -> None:
    settings = site.write("[media]\nrtp_ports = [20000, 20099]\n")

    found = next(iter(rtp_ports(settings)))

    assert found.level is Level.WARNING
    assert "enough for 50 calls where limits.calls is 1000; widen media.rtp_ports" in found.text


def test_limits_of_the_machine_are_found(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(monkeypatch, site.folder, net__core__rmem_max="212992\n")
    monkeypatch.setattr("resource.getrlimit", lambda which: (1024, 4096))

    files, buffer = limits(site.write())

    assert "raise LimitNOFILE" in files.text
    assert "sysctl net.core.rmem_max=4194304" in buffer.text
    assert {files.level, buffer.level} == {Level.WARNING}


async def test_names_of_icps_are_looked_up(site: Site, loopback: LoopbackNetwork) -> None:
    async with dns_server(loopback.at("53.1")) as server:
        server.put("here.example", "A", "10.0.0.20")
        site.write(f'[dns]\nnameservers = ["{server.address}"]\ntimeout = 10\n')
        await filled(site, "here.example", "gone.example")
        found = await asyncio.to_thread(site.check)

    assert found["ICP here.example, here.example"].text == "1 addresses"
    gone = found["ICP gone.example, gone.example"]
    assert gone.level is Level.WARNING
    assert "there is no such host" in gone.text


# --- time, certificates, files


def test_a_clock_before_the_release_is_an_error() -> None:
    found = only(list(clock(0.0)))
    assert found.level is Level.ERROR
    assert found.text.startswith("says 1970-01-01, before this release was installed")
    assert only(list(clock(time.time()))).level is not Level.ERROR


def test_certificates_that_expire_are_found(site: Site) -> None:
    settings, now = site.write(), time.time()
    assert only(certificates(settings, now)).text.endswith("an authority is made at the first start")
    server_certificate(settings).open()

    assert [finding.level for finding in certificates(settings, now)] == [Level.OK, Level.OK]
    soon = certificates(settings, now + (SERVER_DAYS - 10) * 86400)
    assert [finding.level for finding in soon] == [Level.WARNING, Level.OK]
    assert "a running gateway renews it by itself" in soon[0].text
    late = certificates(settings, now + (SERVER_DAYS + 10) * 86400)
    assert late[0].level is Level.ERROR
    assert "has expired" in late[0].text


def test_an_own_pair_that_does_not_match_is_found(site: Site) -> None:
    ca = trustme.CA()
    for name in ("own", "other"):
        issued = ca.issue_cert("gateway.example")
        (site.folder / f"{name}.pem").write_bytes(issued.cert_chain_pems[0].bytes())
        (site.folder / f"{name}.key").write_bytes(issued.private_key_pem.bytes())
    good = site.write('[certificates]\nchain = "own.pem"\nkey = "own.key"\n')
    assert {finding.level for finding in certificates(good, time.time())} == {Level.OK}
    bad = site.write('[certificates]\nchain = "own.pem"\nkey = "other.key"\n')

    found = only(certificates(bad, time.time()))

    assert found.level is Level.ERROR
    assert "other.key does not belong to the first certificate" in found.text
    assert [finding.what for finding in modes(bad)] == ["file modes"]
    assert "chmod 600" in next(modes(bad)).text


def test_files_and_folders_that_others_can_use_are_found(site: Site) -> None:
    settings = site.write()
    assert only(list(modes(settings))).level is Level.OK
    (site.folder / "gateway.db").touch()
    (site.folder / "gateway.db").chmod(0o640)
    assert only(list(modes(settings))).text == (
        f"{site.folder}/gateway.db: others can use it; chmod 600 {site.folder}/gateway.db"
    )
    (site.folder / "gateway.db").chmod(0o600)
    before = stat.S_IMODE(site.folder.stat().st_mode)
    site.folder.chmod(0o777)
    assert "others can put files there" in only(list(modes(settings))).text
    site.folder.chmod(before)


def test_a_forwarding_driver_that_cannot_work_here_is_an_error_only_when_it_is_asked_for(site: Site) -> None:
    assert site.check()["port forwarding"].level is Level.OK
    sides = f'[set_side]\naddress = "{NOWHERE}"\n[icp_side]\naddress = "198.51.100.1"\n'
    site.config.write_text(f'{sides}[forwarding]\ndriver = "nftables"\n')
    found = site.check()["port forwarding"]
    assert found.level is Level.ERROR
    assert found.text.startswith("nftables cannot be used: ")
    assert found.text.endswith("; mend that, or set forwarding.driver to auto")


def test_a_secret_that_alarms_need_and_that_cannot_be_read_is_an_error(site: Site) -> None:
    assert site.check()["alarms"].level is Level.WARNING
    secret = site.folder / "hook.secret"
    settings = site.write(f'[webhook]\nurl = "https://tickets.example.com/opx"\nsecret_file = "{secret}"\n')
    assert only(list(deliveries(settings))).level is Level.ERROR
    secret.write_text("\n")
    found = only(list(deliveries(settings)))
    assert (found.level, "holds no secret" in found.text) == (Level.ERROR, True)
    secret.write_text("shared\n")
    secret.chmod(0o640)
    assert only(list(deliveries(settings))) == Finding(Level.OK, "alarms", "are told by webhook")
    assert str(secret) in " ".join(finding.text for finding in modes(settings))

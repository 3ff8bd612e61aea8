"""`opx phone 69xx` as it is typed."""

import asyncio
import json
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from opx.phone.commands import app
from opx.phone.handset.flash import FlashFile
from support.config_server import ConfigServer
from support.network import LoopbackNetwork

MAC = "1400E9000001"


class Table:
    """A handset on it, and what is typed."""

    def __init__(self, folder: Path, local: str) -> None:
        self.folder = folder
        self._always = ["69xx", "--mac", "14:00:e9:00:00:01", "--state", str(folder), "--local", local]

    def types(self, *words: str, typed: str = "") -> Result:
        return CliRunner().invoke(app, [*self._always, *words], input=typed)

    @property
    def file(self) -> FlashFile:
        return FlashFile(self.folder / f"{MAC}.json")


@pytest.fixture
def table(tmp_path: Path, loopback: LoopbackNetwork) -> Table:
    return Table(tmp_path, loopback.at("20.31"))


def upgraded(table: Table, server: ConfigServer) -> Result:
    """By HTTP from a server that answers in a loop of its own."""
    ready, stopped = threading.Event(), threading.Event()

    def serve() -> None:
        async def work() -> None:
            await server.start()
            ready.set()
            while not stopped.is_set():
                await asyncio.sleep(0.01)
            await server.stop()

        asyncio.run(work())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert ready.wait(30.0)
        return table.types("upgrade", server.url)
    finally:
        stopped.set()
        thread.join()


def test_a_handset_is_upgraded_set_up_and_shown(table: Table, loopback: LoopbackNetwork) -> None:
    refused = table.types("set-server", "203.0.113.10", typed="22222\n")
    assert refused.exit_code == 1 and "MiNET" in refused.output
    server = ConfigServer(loopback.at("20.10"), {"6930.st": b"MITEL 6930 6.4.1.15-SIP"}, secure=False)
    done = upgraded(table, server)
    assert done.exit_code == 0 and "SIP firmware 6.4.1.15" in done.output
    wrong = table.types("set-server", "203.0.113.10", typed="11111\n")
    assert wrong.exit_code == 1 and "wrong administrator password" in wrong.output
    assert table.types("set-server", "203.0.113.10", typed="22222\n").exit_code == 0
    flash = table.file.read()
    assert flash is not None
    assert flash.local == {
        "download protocol": "HTTPS",
        "https server": "203.0.113.10",
        "https port": "8202",
        "https validate certificates": "0",
    }
    flash.server_files = {"startup.cfg": "!admin password: 4711\nsip line1 password: s3cret"}
    table.file.write(flash)
    shown = table.types("show").output
    assert "SIP firmware 6.4.1.15" in shown and "https server: 203.0.113.10" in shown
    assert "sip line1 password: (set)" in shown and "s3cret" not in shown and "4711" not in shown
    assert table.types("set-server", "203.0.113.11", typed="22222\n").exit_code == 1, "not the factory's any more"


def test_what_is_no_handset_is_said(tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["69xx", "--mac", "12", "show"])
    assert said.exit_code == 1 and "no MAC address" in said.output
    (tmp_path / f"{MAC}.json").write_text("[]")
    broken = CliRunner().invoke(app, ["69xx", "--mac", MAC, "--state", str(tmp_path), "show"])
    assert broken.exit_code == 1 and "not the state of a handset" in broken.output


def test_a_fleet_that_does_not_come_back_ends_with_1_and_says_why(tmp_path: Path, loopback: LoopbackNetwork) -> None:
    file = tmp_path / "fleet.jsonl"
    words = ["69xx", "fleet", str(file), "--json", "--limit", "1"]
    assert "needs --server" in CliRunner().invoke(app, words).output
    new = ["--count", "2", "--server", loopback.at("20.10"), "--first-address", loopback.at("40.1")]
    done = CliRunner().invoke(app, [*words, *new])
    report = json.loads(done.output.splitlines()[-1])
    assert done.exit_code == 1
    assert (report["handsets"], report["configured"], report["registered"]) == (2, 0, 0)
    assert sum(report["troubles"].values()) == 2
    assert [json.loads(line)["mac"] for line in file.read_text().splitlines()] == ["1400E9F00000", "1400E9F00001"]
    assert file.stat().st_mode & 0o777 == 0o600

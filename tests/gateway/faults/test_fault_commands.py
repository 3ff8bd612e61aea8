"""`opx gateway calls`, `call` and `alarms`."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from opx.alarms import Alarm
from opx.gateway.commands import app
from opx.gateway.faults.repository import FaultsRepository
from support.gateway_store import engine_in, opened
from support.live import LiveSite, live_site
from support.network import LoopbackNetwork
from support.remote import remote_call


@dataclass
class Cli:
    """Runs commands as another process would."""

    folder: Path
    config: Path

    async def run(self, *arguments: str, status: int = 0) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--config", str(self.config)])
        assert result.exit_code == status, result.output
        return result.output


@pytest.fixture
async def cli(tmp_path: Path) -> AsyncIterator[Cli]:
    """A gateway that does not run."""
    config = tmp_path / "gateway.toml"
    config.write_text('[set_side]\naddress = "203.0.113.10"\n[icp_side]\naddress = "192.168.20.1"\n')
    async with opened(tmp_path):
        pass
    yield Cli(tmp_path, config)


def beside(site: LiveSite) -> Cli:
    config = site.folder / "gateway.toml"
    config.write_text(f'[set_side]\naddress = "{site.outside}"\n[icp_side]\naddress = "{site.inside}"\n')
    return Cli(site.folder, config)


async def test_a_call_is_listed_shown_and_written_to_files(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_site(loopback, tmp_path, remote=(1,)) as site:
        cli = beside(site)
        async with remote_call(site) as talk:
            (live,) = site.gateway.signalling.calls.all()
            going_on = await cli.run("call", live.call_id)
            assert "outgoing call of tw1, 1001 to 1101: answered" in going_on
            assert "INVITE (SDP)" in going_on
            await talk.hang_up()
        site.gateway.faults.recorder.flush()
        await site.gateway.writer.flush()
        listed = await cli.run("calls")
        assert live.call_id in listed and "answered" in listed
        await site.gateway.stop()
        shown = await cli.run("call", live.call_id, "--messages")
        written = await cli.run("call", live.call_id, "--pcap", str(tmp_path / "call.pcap"))
        await cli.run("calls", "--csv", str(tmp_path / "calls.csv"))
        await site.gateway.start()
    for text in ("ended by phone", "From the phone", "200 OK (SDP)", 'response="***"', "BYE"):
        assert text in shown, shown
    assert "icp-1001-Secret" not in shown
    assert "messages written to" in written
    assert (tmp_path / "call.pcap").read_bytes()[:4] == b"\xd4\xc3\xb2\xa1"
    (row,) = list(csv.DictReader(io.StringIO((tmp_path / "calls.csv").read_text())))
    assert row["Call"] == live.call_id


async def test_a_call_that_is_not_there_is_said_so(cli: Cli) -> None:
    assert "there is no call nothing" in await cli.run("call", "nothing", status=1)
    assert (await cli.run("calls")).count("\n") >= 1


async def test_alarms_that_stand_are_listed_and_cleared_ones_when_asked_for(cli: Cli) -> None:
    engine = engine_in(cli.folder)
    standing = Alarm("a", "icp-unreachable", "Node 1", "no answer\x1b[2J", 1_700_000_000.0)
    await FaultsRepository(engine).write([standing, Alarm("b", "overloaded", "", "0.7 s late", 1.6e9, 1.7e9)])
    await engine.dispose()
    listed = await cli.run("alarms")
    assert "No node of the ICP answers: Node 1" in listed and "stands" in listed
    assert "overloaded" not in listed and "\x1b" not in listed
    assert "Signalling is overloaded" in await cli.run("alarms", "--all")


async def test_a_trial_alarm_needs_a_gateway_and_a_way_out(cli: Cli, loopback: LoopbackNetwork, tmp_path: Path) -> None:
    assert "no gateway listens" in await cli.run("alarms", "--test", status=1)
    (tmp_path / "live").mkdir()
    async with live_site(loopback, tmp_path / "live", remote=(1,)) as site:
        assert "no way out is configured" in await beside(site).run("alarms", "--test", status=1)

"""`opx phone run`: its options, as a user runs it."""

import asyncio
import sys
from pathlib import Path

import pytest

from support.live import LiveSite, live_office
from support.network import LoopbackNetwork
from support.phones import phones, until
from support.programs import OutsideProgram

HOT_DESK = """
[[extension]]
number = "1500"
type = "SIP hot desk"
pin = "2468"
"""


async def run(site: LiveSite, folder: Path, *options: str) -> tuple[int, str]:
    """A phone of extension 1101 in a process of its own: its exit status and what it printed."""
    password = folder / "password"
    password.write_text("icp-1101-Secret")
    arguments = [
        *(sys.executable, "-m", "opx", "phone", "run", "--user", "1101", "--password-file", str(password)),
        *("--server", site.pbx_address, "--local", site.network.at("20.111"), "--tone", "440", *options),
    ]
    with OutsideProgram(arguments, folder / "output.txt") as phone:
        status = await asyncio.to_thread(phone.wait)
        return status, phone.text


@pytest.mark.parametrize("how", [(), ("--dtmf-info",)], ids=["RTP", "INFO"])
async def test_keys_log_a_user_in(loopback: LoopbackNetwork, tmp_path: Path, how: tuple[str, ...]) -> None:
    async with live_office(loopback, tmp_path, extra=HOT_DESK) as site:
        status, text = await run(site, tmp_path, "--call", "*11", "--dtmf", "1500#2468#", *how, "--duration", "20")
        assert status == 0, text
        assert site.pbx.node.states.of("1500").phone == "1101"


@pytest.mark.parametrize("how", [(), ("--attended",)], ids=["blind", "attended"])
async def test_a_call_is_transferred(loopback: LoopbackNetwork, tmp_path: Path, how: tuple[str, ...]) -> None:
    async with live_office(loopback, tmp_path) as site, phones(site, "1102", "1103") as (two, three):
        options = ("--call", "1102", "--duration", "0.5", "--transfer-to", "1103", *how)
        status, text = await run(site, tmp_path, *options)
        assert status == 0, text
        assert "transfer to 1103: done" in text
        await until(lambda: len(two.calls) == 1 and len(three.calls) == 1)
        assert three.calls[0].peer == ("1101" if how else "1102")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--transfer-to", "1999", "--duration", "0"), "the transfer did not succeed: 404"),
        (("--transfer-to", "1999", "--duration", "0", "--attended"), "the call to 1999 did not succeed: refused"),
        (("--dtmf", "12x"), "is no key of a telephone"),
    ],
)
async def test_what_does_not_succeed_is_said_and_ends_with_1(
    loopback: LoopbackNetwork, tmp_path: Path, options: tuple[str, ...], problem: str
) -> None:
    async with live_office(loopback, tmp_path) as site, phones(site, "1102"):
        status, text = await run(site, tmp_path, "--call", "1102", *options)
        assert (status, problem in text) == (1, True), text


async def test_messages_are_shown(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_office(loopback, tmp_path) as site:
        state = site.pbx.node.states.of("1101")
        site.pbx.node.states.put("1101", type(state)(new_messages=3, old_messages=1))
        status, text = await run(site, tmp_path, "--messages", "--call", "*9", "--duration", "1")
        assert status == 0 and "messages: 3 new, 1 old" in text

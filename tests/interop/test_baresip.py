"""baresip as the remote phone and sipp as the office phone: neither is ours."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from support.baresip import remote_baresip
from support.live import LiveSite, live_site
from support.network import LoopbackNetwork
from support.programs import PATIENCE, OutsideProgram, needs_program
from support.sipp import Sipp

pytestmark = [needs_program("baresip"), needs_program("sipp")]

CALL_MILLISECONDS = 3000


async def until(true: Callable[[], bool]) -> None:
    """Look at a state until it is so; the limit only guards against hanging."""
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.02)


async def ended(program: OutsideProgram) -> int:
    return await asyncio.to_thread(program.wait)


def office(site: LiveSite, folder: Path) -> Sipp:
    local = site.network.at("20.101")
    return Sipp(folder, local=local, pbx=site.pbx_address, number="1101", password="icp-1101-Secret")


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
async def test_baresip_registers_and_calls_an_extension_that_sipp_answers(
    loopback: LoopbackNetwork, tmp_path: Path, transport: str
) -> None:
    async with live_site(loopback, tmp_path) as site:
        sipp = office(site, tmp_path / "sipp")
        with sipp.register() as registering:
            assert await ended(registering) == 0, registering.text
        with sipp.answer() as answering, remote_baresip(site, tmp_path / "baresip", transport) as phone:
            await until(lambda: "200 OK" in phone.text)
            await until(lambda: site.gateway.signalling.registrar.bindings.of(1) != [])
            assert site.gateway.signalling.registrar.bindings.of(1)[0].flow.transport == transport
            await asyncio.to_thread(phone.command, "dial", f"sip:1101@{site.outside}")
            await until(lambda: len(site.gateway.signalling.calls) == 1)
            call = next(iter(site.gateway.signalling.calls._calls.values()))
            await until(lambda: call.bridge.answered)
            await asyncio.sleep(CALL_MILLISECONDS / 1000)
            await asyncio.to_thread(phone.command, "hangup")
            assert await ended(answering) == 0, answering.text
            await until(lambda: len(site.gateway.signalling.calls) == 0)
            await asyncio.to_thread(phone.stop)
            assert phone.heard_itself(), "\n".join(site.texts())


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
async def test_sipp_calls_from_the_office_and_baresip_answers(
    loopback: LoopbackNetwork, tmp_path: Path, transport: str
) -> None:
    async with live_site(loopback, tmp_path) as site:
        sipp = office(site, tmp_path / "sipp")
        with remote_baresip(site, tmp_path / "baresip", transport) as phone:
            await until(lambda: site.gateway.signalling.registrar.bindings.of(1) != [])
            with sipp.call("1001", CALL_MILLISECONDS) as calling:
                assert await ended(calling) == 0, calling.text
            await until(lambda: len(site.gateway.signalling.calls) == 0)
            await asyncio.to_thread(phone.stop)
            assert phone.heard_itself(), "\n".join(site.texts())

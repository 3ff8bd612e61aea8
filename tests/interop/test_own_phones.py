"""Our own phones on real sockets through the gateway: homes, transports, restarts."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from opx.phone.softphone import Account, PhoneCall, Softphone
from opx.rtp import tones
from support.live import LiveSite, live_site
from support.network import LoopbackNetwork
from support.programs import PATIENCE

TONES = {"one": 440.0, "two": 660.0}
HEARD = 4000
"""Samples: half a second."""


def phone_of(site: LiveSite, n: int, local: str, tone: float, *, transport: str = "UDP", port: int = 5060) -> Softphone:
    account = Account(f"tw{n}", f"set-{n}-Secret", site.outside, transport=transport)
    return Softphone(account, local, port=port, source=lambda p: tones.sine(tone, 160, start=p))


async def online(phone: Softphone) -> None:
    await phone.start()
    phone.register()
    async with asyncio.timeout(PATIENCE):
        await phone.tried.wait()
    assert phone.registered.is_set()


async def until(true: Callable[[], bool]) -> None:
    """Look at a state until it is so; the limit only guards against hanging."""
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.02)


async def hears(call: PhoneCall, tone: float) -> None:
    await until(lambda: not (len(call.heard) < HEARD))
    middle = call.heard[len(call.heard) // 4 :]
    assert tones.dominant(middle, TONES.values()) == tone


@pytest.mark.parametrize("homes", [("30.1", "30.1"), ("30.1", "31.1")], ids=["one home", "two homes"])
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
async def test_two_remote_phones_call_each_other_through_the_icp_with_audio(
    loopback: LoopbackNetwork, tmp_path: Path, homes: tuple[str, str], transport: str
) -> None:
    async with live_site(loopback, tmp_path) as site:
        one = phone_of(site, 1, loopback.at(homes[0]), TONES["one"], transport=transport, port=5060)
        two = phone_of(site, 2, loopback.at(homes[1]), TONES["two"], transport=transport, port=5070)
        await online(one)
        await online(two)
        call = one.call("1002")
        async with asyncio.timeout(PATIENCE):
            await call.answered.wait()
        await hears(call, TONES["two"])
        await hears(two.calls[0], TONES["one"])
        other = two.calls[0]
        one.hang_up(call)
        async with asyncio.timeout(PATIENCE):
            await other.ended.wait()
        await one.stop()
        await two.stop()


async def test_audio_goes_on_after_hold_and_resume(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_site(loopback, tmp_path) as site:
        remote = phone_of(site, 1, loopback.at("30.1"), TONES["one"])
        account = Account("1101", "icp-1101-Secret", site.pbx_address)
        office = Softphone(account, loopback.at("20.101"), source=lambda p: tones.sine(TONES["two"], 160, start=p))
        await online(remote)
        await online(office)
        call = remote.call("1101")
        async with asyncio.timeout(PATIENCE):
            await call.answered.wait()
        await hears(call, TONES["two"])
        remote.hold(call, True)
        await until(lambda: office.calls[0].held and not call.session.busy)
        remote.hold(call, False)
        await until(lambda: not (office.calls[0].held or call.session.busy))
        for each, tone in ((call, TONES["two"]), (office.calls[0], TONES["one"])):
            del each.heard[:]
            await hears(each, tone)
        await remote.stop()
        await office.stop()


async def test_echo_and_milliwatt_are_heard_from_home(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_site(loopback, tmp_path) as site:
        remote = phone_of(site, 1, loopback.at("30.1"), TONES["one"])
        await online(remote)
        echo = remote.call("*9")
        await hears(echo, TONES["one"])
        remote.hang_up(echo)
        milliwatt = remote.call("*8")
        await until(lambda: not (len(milliwatt.heard) < HEARD))
        assert tones.dominant(milliwatt.heard, (1004.0, *TONES.values())) == 1004.0
        await remote.stop()


async def test_bindings_survive_a_restart_of_the_gateway(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_site(loopback, tmp_path) as site:
        remote = phone_of(site, 1, loopback.at("30.1"), TONES["one"])
        office = Softphone(Account("1101", "icp-1101-Secret", site.pbx_address), loopback.at("20.101"))
        await online(remote)
        await online(office)
        await site.gateway.stop()
        before = [text for text in site.pbx_events if "1001" in text]
        await site.start_gateway()
        call = office.call("1001")
        async with asyncio.timeout(PATIENCE):
            await call.answered.wait()
        office.hang_up(call)
        assert [text for text in site.pbx_events if "extension 1001" in text] == before
        await remote.stop()
        await office.stop()


async def test_a_lost_tcp_connection_means_480_until_it_is_back(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_site(loopback, tmp_path) as site:
        remote = phone_of(site, 1, loopback.at("30.1"), TONES["one"], transport="TCP")
        office = Softphone(Account("1101", "icp-1101-Secret", site.pbx_address), loopback.at("20.101"))
        await online(remote)
        await online(office)
        binding = site.gateway.signalling.registrar.bindings.of(1)[0]
        remote._registration.forget()
        for connection in list(remote._stack._connections.values()):
            connection.abort()
        await until(lambda: not (binding.open))
        call = office.call("1001")
        async with asyncio.timeout(PATIENCE):
            await call.ended.wait()
        assert call.why == "refused with 480"
        remote.register()
        await until(lambda: site.gateway.signalling.registrar.bindings.of(1)[0].open)
        again = office.call("1001")
        async with asyncio.timeout(PATIENCE):
            await again.answered.wait()
        await office.stop()
        await remote.stop()

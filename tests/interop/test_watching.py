"""Subscriptions, notifications and messages with phones and ICPs that are not ours: baresip and sipp."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from support.baresip import LOCAL, Baresip, take_account, write_configuration
from support.live import LiveSite, live_site
from support.network import LoopbackNetwork, free_port
from support.programs import PATIENCE, OutsideProgram, needs_program
from support.sipp import Sipp
from support.sipp_flows import ICP, SET_REGISTERS, icp_sends, set_takes, set_watches, set_writes, sipp

SET_PORT, ICP_SENDER_PORT = 5066, 5070


async def until(true: Callable[[], bool]) -> None:
    """Look at a state until it is so; the limit only guards against hanging."""
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.02)


async def until_says(phone: OutsideProgram, text: str) -> None:
    """Until a program's output holds `text`."""
    try:
        await until(lambda: text in phone.text)
    except TimeoutError:
        raise AssertionError(f"{text!r} is not in: {phone.text}") from None


async def succeeds(program: OutsideProgram) -> None:
    with program as running:
        assert await asyncio.to_thread(running.wait) == 0, running.text


def office(site: LiveSite, folder: Path, number: str) -> Sipp:
    """An office phone at the PBX node."""
    local = site.network.at(f"20.{number[2:]}")
    return Sipp(folder / number, local=local, pbx=site.pbx_address, number=number, password=f"icp-{number}-Secret")


def leave_messages(site: LiveSite, number: str, new: int) -> None:
    """The office's voice-mail takes `new` messages for an extension of the PBX node."""
    states = site.pbx.node.states
    states.put(number, replace(states.of(number), new_messages=new))


@needs_program("baresip")
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
async def test_baresip_is_told_of_messages_waiting_and_of_check_sync(
    loopback: LoopbackNetwork, tmp_path: Path, transport: str
) -> None:
    async with live_site(loopback, tmp_path) as site:
        subscriptions = site.gateway.signalling.subscriptions
        control = free_port(LOCAL)
        folder = tmp_path / "baresip"
        write_configuration(
            folder,
            port=free_port(LOCAL),
            username="tw1",
            password="set-1-Secret",
            server=site.outside,
            transport=transport,
            control_port=control,
            applications=("mwi",),
        )
        account = take_account(folder)
        with Baresip(folder, control) as phone:
            await until_says(phone, "baresip is ready")
            await asyncio.to_thread(phone.command, "uanew", account)
            await until_says(phone, "Voice-Message: 0/0")
            assert subscriptions.per_package() == {"message-summary": 1}
            leave_messages(site, "1001", 3)
            await until_says(phone, "Voice-Message: 3/0")
            assert f"Message-Account: sip:tw1@{site.outside}\n" in phone.text.replace("\r", "")
            statuses: list[int] = []
            site.pbx.node.notify("1001", "check-sync", "", b"", statuses.append)
            await until(lambda: statuses != [])
            # This phone knows the event by no name; what it says of it has come the whole way back.
            assert statuses == [481]
            assert "Event: check-sync" in phone.text
            assert site.pbx_address not in phone.text
            assert site.inside not in phone.text
            await asyncio.to_thread(phone.command, "quit")
            await until(lambda: len(subscriptions) == 0)


@asynccontextmanager
async def sipp_site(network: LoopbackNetwork, folder: Path) -> AsyncIterator[LiveSite]:
    """A gateway whose ICP is sipp, and a set, sipp as well, that is registered."""
    site = LiveSite(network, folder, remote=(1,))
    with sipp(folder / "sipp", "icp", ICP, local=site.pbx_address, port=5060, forever=True):
        await site.start_gateway()
        try:
            await succeeds(from_set(site, folder, "register", SET_REGISTERS))
            yield site
        finally:
            await site.gateway.stop()


def from_set(site: LiveSite, folder: Path, name: str, scenario: str, *, waits: bool = False) -> OutsideProgram:
    remote = "" if waits else site.outside
    local = site.network.at("30.1")
    return sipp(folder / "sipp", name, scenario, local=local, port=SET_PORT, remote=remote)


@needs_program("sipp")
async def test_sipp_watches_its_messages_at_an_icp_that_is_sipp_with_a_challenge_on_each_leg(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    async with sipp_site(loopback, tmp_path) as site:
        account = f"Message-Account: sip:tw1@{site.outside}"
        scenario = set_watches("message-summary", "tw1", f"{account}.*Voice-Message: 4/0", "Voice-Message: 5/0")
        await succeeds(from_set(site, tmp_path, "watch", scenario))
        await until(lambda: len(site.gateway.signalling.subscriptions) == 0)


@needs_program("sipp")
async def test_sipp_watches_a_lamp_at_the_pbx_node(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_site(loopback, tmp_path, office=("1101", "1102")) as site:
        await succeeds(from_set(site, tmp_path, "register", SET_REGISTERS))
        called, caller = office(site, tmp_path, "1101"), office(site, tmp_path, "1102")
        await succeeds(called.register())
        await succeeds(caller.register())
        entity = f"entity=.sip:1101@{site.outside}."
        scenario = set_watches("dialog", "1101", entity, "state.terminated..state")
        with from_set(site, tmp_path, "watch", scenario) as watching, called.answer():
            await until(lambda: site.gateway.signalling.subscriptions.per_package() == {"dialog": 1})
            await succeeds(caller.call("1101", 200))
            assert await asyncio.to_thread(watching.wait) == 0, watching.text


@needs_program("sipp")
@pytest.mark.parametrize(("method", "answered"), [("MESSAGE", "202 Accepted"), ("NOTIFY", "200 OK")])
async def test_an_icp_that_is_sipp_reaches_a_set_that_is_sipp(
    loopback: LoopbackNetwork, tmp_path: Path, method: str, answered: str
) -> None:
    notify = "Event: check-sync;reboot=true\nSubscription-State: terminated\n"
    headers = notify if method == "NOTIFY" else "Content-Type: text/plain\n"
    text = "" if method == "NOTIFY" else "Come in"
    expected = "Event: check-sync;reboot=true" if method == "NOTIFY" else "Come in"
    async with sipp_site(loopback, tmp_path) as site:
        with from_set(site, tmp_path, "take", set_takes(method, expected, answered), waits=True) as taking:
            sending = sipp(
                tmp_path / "sipp",
                "send",
                icp_sends(method, headers, text, int(answered[:3])),
                local=site.pbx_address,
                port=ICP_SENDER_PORT,
                remote=site.inside,
            )
            await succeeds(sending)
            assert await asyncio.to_thread(taking.wait) == 0, taking.text


@needs_program("sipp")
async def test_a_set_that_is_sipp_writes_to_an_icp_that_is_sipp(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with sipp_site(loopback, tmp_path) as site:
        await succeeds(from_set(site, tmp_path, "write", set_writes("1002", "Good morning", 202)))

"""Remote phones use the office's features through the gateway: a whole site with our own PBX node and phones."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from opx.phone.softphone import Account, PhoneCall, Softphone
from support.live import LiveSite, live_site
from support.network import LoopbackNetwork
from support.phones import TONES, TestPhone, hears, phones, playing, talk, until

REMOTE_TONE = TONES[2]
HOT_DESK = """
[[extension]]
number = "1500"
name = "Guest"
type = "SIP hot desk"
pin = "2468"
"""


class RemotePhone(Softphone):
    """The phone of device tw1, extension 1001, at home."""

    def __init__(self, site: LiveSite, **options: object) -> None:
        self.said: list[str] = []
        super().__init__(
            Account("tw1", "set-1-Secret", site.outside),
            site.network.at("30.1"),
            source=playing(REMOTE_TONE),
            on_event=self.said.append,
            **options,  # type: ignore[arg-type]
        )


@asynccontextmanager
async def at_home(site: LiveSite, **options: object) -> AsyncIterator[RemotePhone]:
    phone = RemotePhone(site, **options)
    await phone.start()
    phone.register()
    await until(phone.tried.is_set)
    assert phone.registered.is_set()
    try:
        yield phone
    finally:
        await phone.stop()


async def answered(call: PhoneCall) -> None:
    await until(lambda: call.answered.is_set() or call.ended.is_set())
    assert call.answered.is_set(), call.why


@asynccontextmanager
async def site_with_phones(
    network: LoopbackNetwork, folder: Path, extra: str = "", **options: object
) -> AsyncIterator[tuple[LiveSite, RemotePhone, TestPhone, TestPhone]]:
    """A remote phone, and the office phones 1101 and 1102."""
    async with (
        live_site(network, folder, office=("1101", "1102"), extra_pbx=extra) as site,
        at_home(site, **options) as remote,
        phones(site, "1101", "1102") as (one, two),
    ):
        yield site, remote, one, two


async def test_the_office_transfers_a_remote_phone(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with site_with_phones(loopback, tmp_path) as (_, remote, one, two):
        call = remote.call("1101")
        await answered(call)
        await talk(call, REMOTE_TONE, one.calls[0], one.tone)
        assert await asyncio.wait_for(one.transfer(one.calls[0], "1102"), 30) == 200
        await talk(call, REMOTE_TONE, two.calls[0], two.tone)
        remote.hang_up(call)
        await until(lambda: two.calls == [])


@pytest.mark.parametrize("refer", [True, False], ids=["the ICP transfers", "the gateway transfers"])
@pytest.mark.parametrize("attended", [False, True], ids=["blind", "attended"])
async def test_a_remote_phone_transfers_one_office_phone_to_the_other(
    loopback: LoopbackNetwork, tmp_path: Path, refer: bool, attended: bool
) -> None:
    extra = f"refer = {'true' if refer else 'false'}"
    async with site_with_phones(loopback, tmp_path, extra) as (site, remote, one, two):
        first = remote.call("1101")
        await answered(first)
        await talk(first, REMOTE_TONE, one.calls[0], one.tone)
        if attended:
            second = remote.call("1102")
            await answered(second)
            await until(lambda: one.calls[0].held)
            await talk(second, REMOTE_TONE, two.calls[0], two.tone)
            result = remote.connect(first, second)
        else:
            result = remote.transfer(first, "1102")
        assert await asyncio.wait_for(result, 30) == 200
        await until(lambda: remote.calls == [])
        await talk(one.calls[0], one.tone, two.calls[0], two.tone)
        one.hang_up(one.calls[0])
        await until(lambda: two.calls == [] and site.pbx.node.calls == set())


async def test_a_remote_phone_picks_up_a_call_of_the_office(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with (
        live_site(loopback, tmp_path, office=("1101", "1102")) as site,
        at_home(site) as remote,
        phones(site, "1101", "1102", auto_answer=False) as (one, two),
    ):
        call = one.call("1102")
        await until(lambda: len(two.calls) == 1)
        taken = remote.call("**1102")
        await until(lambda: call.answered.is_set() and taken.answered.is_set())
        await talk(call, one.tone, taken, REMOTE_TONE)
        await until(lambda: two.calls == [])


async def test_a_call_for_a_remote_phone_is_forwarded_by_its_user(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with site_with_phones(loopback, tmp_path) as (site, remote, one, two):
        code = remote.call("*721102")
        await until(code.ended.is_set)
        assert site.pbx.node.states.of("1001").forward_all == "1102"
        call = one.call("1001")
        await answered(call)
        await talk(call, one.tone, two.calls[0], two.tone)
        assert remote.calls == []


@pytest.mark.parametrize("info", [False, True], ids=["RFC 4733", "INFO"])
async def test_a_user_logs_in_at_home_by_keys(loopback: LoopbackNetwork, tmp_path: Path, info: bool) -> None:
    async with site_with_phones(loopback, tmp_path, HOT_DESK) as (site, remote, one, _):
        log_in = remote.call("*11")
        await until(lambda: len(log_in.heard) >= 4000)
        remote.press(log_in, "1500#2468#", info=info)
        await until(log_in.ended.is_set)
        assert site.pbx.node.states.of("1500").phone == "1001"
        call = one.call("1500")
        await answered(call)
        await hears(call, REMOTE_TONE)


@pytest.mark.parametrize("watch", [True, False], ids=["subscribed", "unasked"])
async def test_the_message_lamp_at_home_follows_the_mailbox(
    loopback: LoopbackNetwork, tmp_path: Path, watch: bool
) -> None:
    async with site_with_phones(loopback, tmp_path, watch_messages=watch) as (site, remote, one, _):
        if watch:
            await until(lambda: len(site.pbx.node.subscriptions) == 1)
        code = one.call("*941001")
        await until(lambda: remote.messages.new == 1)
        await until(code.ended.is_set)
        clearing = remote.call("*95")
        await until(lambda: remote.messages.new == 0)
        await until(clearing.ended.is_set)

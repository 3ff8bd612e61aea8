"""The softphone at a PBX node, on real sockets: keys, waiting calls, hold, transfer, Replaces, message lamp."""

import asyncio
from pathlib import Path

import pytest

from opx.phone.softphone import PhoneCall
from opx.sip.replaces import Replaces
from support.live import live_office
from support.network import LoopbackNetwork
from support.phones import TestPhone, hears, phones, talk, until


async def answered(call: PhoneCall) -> None:
    await until(lambda: call.answered.is_set() or call.ended.is_set())
    assert call.answered.is_set(), call.why


async def connected(one: TestPhone, two: TestPhone) -> tuple[PhoneCall, PhoneCall]:
    """The first has called the second, and both hear each other."""
    call = one.call(two.number)
    await answered(call)
    await until(lambda: len(two.calls) == 1)
    await talk(call, one.tone, two.calls[0], two.tone)
    return call, two.calls[0]


@pytest.mark.parametrize("info", [False, True], ids=["RFC 4733", "INFO"])
async def test_keys_are_heard_at_the_other_end_in_order(loopback: LoopbackNetwork, tmp_path: Path, info: bool) -> None:
    async with live_office(loopback, tmp_path) as site, phones(site, "1101", "1102") as (one, two):
        call, other = await connected(one, two)
        one.press(call, "0158#*D", info=info)
        await until(lambda: len(other.keys) == 7)
        assert other.keys == "0158#*D"
        await talk(call, one.tone, other, two.tone)
        with pytest.raises(ValueError, match="telephone"):
            one.press(call, "12x", info=info)


async def test_a_second_call_waits_and_is_answered_with_the_first_on_hold(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    async with live_office(loopback, tmp_path) as site, phones(site, "1101", "1102", "1103") as (one, two, three):
        _, first = await connected(one, two)
        third = three.call("1102")
        await until(lambda: len(two.calls) == 2)
        assert not third.answered.is_set() and two.calls[1].waiting
        two.answer(two.calls[1])
        await answered(third)
        assert first.holding
        await until(lambda: one.calls[0].held)
        await talk(third, three.tone, two.calls[1], two.tone)
        two.hang_up(two.calls[1])
        await until(lambda: first.session.can_offer)
        two.hold(first, False)
        await until(lambda: not one.calls[0].held)
        await talk(one.calls[0], one.tone, first, two.tone)


async def test_a_waiting_call_is_answered_when_the_first_is_over(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_office(loopback, tmp_path) as site, phones(site, "1101", "1102", "1103") as (one, two, three):
        call, _ = await connected(one, two)
        waiting = three.call("1102")
        await until(lambda: len(two.calls) == 2)
        one.hang_up(call)
        await answered(waiting)
        await talk(waiting, three.tone, two.calls[0], two.tone)


async def test_a_phone_with_as_many_calls_as_it_takes_is_busy(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with (
        live_office(loopback, tmp_path) as site,
        phones(site, "1101", "1102", "1103", max_calls=1) as (one, two, three),
    ):
        await connected(one, two)
        call = three.call("1102")
        await until(call.ended.is_set)
        assert call.why == "refused with 486"


async def test_a_blind_transfer_lets_the_two_others_hear_each_other(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_office(loopback, tmp_path) as site, phones(site, "1101", "1102", "1103") as (one, two, three):
        call, other = await connected(one, two)
        assert await asyncio.wait_for(one.transfer(call, "1103"), 30) == 200
        await until(lambda: len(three.calls) == 1)
        await talk(other, two.tone, three.calls[0], three.tone)
        assert one.calls == []
        two.hang_up(other)
        await until(lambda: three.calls == [])


async def test_an_attended_transfer_lets_the_two_others_hear_each_other(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    async with live_office(loopback, tmp_path) as site, phones(site, "1101", "1102", "1103") as (one, two, three):
        call, other = await connected(one, two)
        second = one.call("1103")
        await answered(second)
        await until(lambda: other.held)
        await talk(second, one.tone, three.calls[0], three.tone)
        assert await asyncio.wait_for(one.connect(call, second), 30) == 200
        await talk(other, two.tone, three.calls[0], three.tone)
        await until(lambda: one.calls == [])


async def test_a_transfer_to_a_phone_that_rings_still_is_done_by_the_node(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    async with (
        live_office(loopback, tmp_path) as site,
        phones(site, "1101", "1102") as (one, two),
        phones(site, "1103", auto_answer=False) as (three,),
    ):
        call, other = await connected(one, two)
        ringing = one.call("1103")
        await until(lambda: len(three.calls) == 1)
        result = one.connect(call, ringing)
        await until(lambda: [c.peer for c in three.calls] == ["1102"])
        three.answer(three.calls[0])
        assert await asyncio.wait_for(result, 30) == 200
        await hears(other, three.tone)


async def test_a_transfer_that_fails_says_why_and_the_call_goes_on(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_office(loopback, tmp_path) as site, phones(site, "1101", "1102") as (one, two):
        call, other = await connected(one, two)
        assert await asyncio.wait_for(one.transfer(call, "1103"), 30) == 480
        await talk(call, one.tone, other, two.tone)


async def test_a_node_without_refer_has_its_transfer_refused(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with (
        live_office(loopback, tmp_path, extra="refer = false") as site,
        phones(site, "1101", "1102") as (one, two),
    ):
        call, other = await connected(one, two)
        assert await asyncio.wait_for(one.transfer(call, "1103"), 30) == 405
        await talk(call, one.tone, other, two.tone)


def call_straight(phone: TestPhone, peer: TestPhone) -> None:
    """Let a phone's further calls go to another phone instead of the node."""
    object.__setattr__(phone.account, "server", peer.address[0])


async def test_two_phones_transfer_each_other_without_a_server_between(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    """A phone that is asked to transfer itself calls the new target with Replaces, whose phone lets it in."""
    async with live_office(loopback, tmp_path) as site, phones(site, "1101", "1102", "1103") as (one, two, three):
        call_straight(one, two)
        call_straight(two, three)
        first = one.call("1102")
        await answered(first)
        at_two = two.calls[0]
        call_straight(one, three)
        second = one.call("1103")
        await answered(second)
        assert await asyncio.wait_for(one.connect(first, second), 30) == 200
        await until(lambda: one.calls == [])
        await until(lambda: at_two.ended.is_set() and len(two.calls) == 1 and len(three.calls) == 1)
        await talk(two.calls[0], two.tone, three.calls[0], three.tone)


async def test_a_replaces_that_names_no_call_is_refused(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_office(loopback, tmp_path) as site, phones(site, "1101", "1102") as (one, two):
        call_straight(one, two)
        stray = Replaces.parse("nothing;to-tag=a;from-tag=b")
        call = one._calls.place("1102", (("replaces", str(stray)),))
        await until(call.ended.is_set)
        assert call.why == "refused with 481"
        assert two.calls == []


@pytest.mark.parametrize("watch", [True, False], ids=["subscribed", "unasked"])
async def test_the_message_lamp_follows_the_mailbox(loopback: LoopbackNetwork, tmp_path: Path, watch: bool) -> None:
    async with (
        live_office(loopback, tmp_path) as site,
        phones(site, "1101") as (one,),
        phones(site, "1102", watch_messages=watch) as (two,),
    ):
        if watch:
            await until(lambda: len(site.pbx.node.subscriptions) == 1)
        code = one.call("*941102")
        await until(lambda: two.messages.new == 1)
        await until(code.ended.is_set)
        clearing = two.call("*95")
        await until(lambda: two.messages.new == 0)
        await until(clearing.ended.is_set)
        assert [text for text in two.said if text.startswith("messages")] == [
            "messages: 1 new, 0 old",
            "messages: 0 new, 0 old",
        ]

"""The PBX node's features with audio, on real sockets: what is heard after forwarding, pickup and log-in."""

from pathlib import Path

import pytest

from opx.pbx.pins import MAX_WAITING
from opx.rtp import tones
from support.live import live_office
from support.network import LoopbackNetwork
from support.phones import HEARD, TestPhone, phones, talk, until

CONFIRMED, REFUSED = tones.CONFIRMATION, tones.ERROR
THREE = ("1101", "1102", "1103")
HOT_DESK = """
[[extension]]
number = "1500"
name = "Guest"
type = "SIP hot desk"
pin = "2468"
"""


async def dial(phone: TestPhone, code: str) -> tones.Tone:
    """Dial a code, and the tone that it is answered with."""
    call = phone.call(code)
    await until(lambda: len(call.heard) >= HEARD or call.ended.is_set())
    heard = call.heard[:]
    await until(call.ended.is_set)
    shares = {tone: sum(tones.strength(heard, hertz) for hertz in tone.hertz) for tone in (CONFIRMED, REFUSED)}
    best = max(shares, key=lambda tone: shares[tone])
    assert shares[best] > 0.5, (shares, call.why)
    return best


async def test_codes_are_answered_with_tones_that_tell_what_became_of_them(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    async with live_office(loopback, tmp_path) as site, phones(site, "1101") as (one,):
        assert await dial(one, "*721102") is CONFIRMED
        assert await dial(one, "*721101") is REFUSED
        assert site.pbx.node.states.of("1101").forward_all == "1102"


async def test_a_forwarded_call_is_heard_at_its_target(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_office(loopback, tmp_path) as site, phones(site, *THREE) as (one, two, three):
        assert await dial(two, "*721103") is CONFIRMED
        call = one.call("1102")
        await until(call.answered.is_set)
        assert "1102: the call is being forwarded" in one.said
        await talk(call, one.tone, three.calls[0], three.tone)


async def test_a_call_that_was_picked_up_is_heard_where_it_was_taken(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with (
        live_office(loopback, tmp_path) as site,
        phones(site, "1101", "1102", "1103", auto_answer=False) as (one, two, three),
    ):
        call = one.call("1102")
        await until(lambda: len(two.calls) == 1)
        rang = two.calls[0]
        taken = three.call("**1102")
        await until(lambda: call.answered.is_set() and taken.answered.is_set())
        await talk(call, one.tone, taken, three.tone)
        await until(rang.ended.is_set)
        assert rang.why == "answered elsewhere"


@pytest.mark.parametrize("info", [False, True], ids=["RFC 4733", "INFO"])
async def test_a_user_logs_in_by_keys_and_is_called_there(
    loopback: LoopbackNetwork, tmp_path: Path, info: bool
) -> None:
    async with live_office(loopback, tmp_path, extra=HOT_DESK) as site, phones(site, "1101", "1102") as (one, two):
        log_in = one.call("*11")
        await until(lambda: len(log_in.heard) >= HEARD)
        one.press(log_in, "1500#2468#", info=info)
        await until(log_in.ended.is_set)
        assert site.pbx.node.states.of("1500").phone == "1101"
        call = two.call("1500")
        await until(call.answered.is_set)
        await talk(call, two.tone, one.calls[0], one.tone)
        two.hang_up(call)
        await until(lambda: one.calls == [])
        back = one.call("1102")
        await until(back.answered.is_set)
        assert two.calls[0].peer == "1500"


async def test_a_log_in_survives_a_restart_of_the_node(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_office(loopback, tmp_path, extra=HOT_DESK) as site:
        async with phones(site, "1101") as (one,):
            assert await dial(one, "*111500*2468") is CONFIRMED
        await site.pbx.stop()
        await site.start_pbx()
        async with phones(site, "1101", "1102") as (one, two):
            call = two.call("1500")
            await until(call.answered.is_set)
            assert len(one.calls) == 1


async def test_pins_are_compared_beside_the_signalling_and_only_so_many_wait(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    async with live_office(loopback, tmp_path, extra=HOT_DESK) as site:
        results: list[bool] = []
        for _ in range(MAX_WAITING):
            site.pbx.node.hot_desk.log_in("9999", "1101", "1111", results.append)
        assert results == []
        site.pbx.node.hot_desk.log_in("1500", "1101", "2468", results.append)
        assert results == [False]
        await until(lambda: len(results) == MAX_WAITING + 1)
        assert not any(results)

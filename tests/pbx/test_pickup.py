"""Picking up calls that ring elsewhere, on the wire in memory."""

import pytest

from opx import sdp
from opx.rtp.tones import ERROR
from opx.sip import events
from support.office import Desk, Office

THREE = ("1001", "1002", "1003")


def leads_to(description: bytes, desk: Desk) -> bool:
    """Whether a description makes its receiver send to that phone."""
    audio = sdp.parse(description).audio
    wanted = sdp.parse(desk.sdp).audio
    assert audio is not None and wanted is not None
    return (audio.address, audio.port) == (wanted.address, wanted.port)


def talk(office: Office, one: Desk, other: Desk) -> None:
    """Each has the other's address, and the end of one ends the other."""
    for desk, peer in ((one, other), (other, one)):
        answered = next(event for event in reversed(desk.events) if isinstance(event, events.Answered))
        assert leads_to(answered.sdp, peer)
    one.sessions[0].hang_up()
    office.wire.advance(0.2)
    assert other.events[-1] == events.Ended(events.Cause.BYE)
    assert office.node.calls == set()
    assert +office.node.desk._busy == {}


def test_a_call_is_picked_up_by_code_and_extension() -> None:
    office = Office(THREE)
    office.one.call("1002")
    office.wire.deliver()
    office.three.call("**1002")
    office.wire.deliver()
    assert office.two.events[-1] == events.Cancelled(elsewhere=True)
    assert "1003 picks up 1001's call for 1002" in office.said
    talk(office, office.one, office.three)


def test_a_call_of_the_group_is_picked_up_and_one_of_another_group_is_not() -> None:
    office = Office((*THREE, "1004"))
    office.set("1002", pickup_group="sales")
    office.set("1003", pickup_group="sales")
    office.set("1004", pickup_group="support")
    office.one.call("1002")
    office.wire.deliver()
    prompt = office.dial(office.desks["1004"], "*80")
    assert prompt is not None and prompt.tones == [ERROR]
    office.three.call("*80")
    office.wire.deliver()
    talk(office, office.one, office.three)


def test_the_call_that_rings_longest_is_picked_up_first() -> None:
    office = Office((*THREE, "1004"))
    office.one.call("1002")
    office.wire.advance(1)
    office.desks["1004"].call("1002")
    office.wire.advance(1)
    office.three.call("**1002")
    office.wire.deliver()
    assert isinstance(office.one.events[-1], events.Answered)
    assert office.desks["1004"].events == [events.Progress(180, b"")]


@pytest.mark.parametrize("late", ["caller", "taker"])
def test_a_call_without_an_offer_is_picked_up(late: str) -> None:
    office = Office(THREE)
    caller, taker = office.one, office.three
    caller.call("1002", description=b"" if late == "caller" else None)
    office.wire.deliver()
    taker.call("**1002", description=b"" if late == "taker" else None)
    office.wire.deliver()
    without, other = (caller, taker) if late == "caller" else (taker, caller)
    offered = without.events[-1]
    assert isinstance(offered, events.Answered) and leads_to(offered.sdp, other)
    without.last.acknowledge(without.sdp)
    office.wire.deliver()
    assert other.events[-1] == events.Answered(without.sdp)
    other.last.hang_up()
    office.wire.advance(0.2)
    assert without.events[-1] == events.Ended(events.Cause.BYE)


@pytest.mark.parametrize("late", [False, True], ids=["at once", "whose answer comes late"])
def test_a_call_that_was_picked_up_neither_ends_nor_is_forwarded_when_nobody_answered_elsewhere(late: bool) -> None:
    office = Office((*THREE, "1004"))
    office.set("1002", forward_no_answer="1004")
    office.one.call("1002")
    office.wire.advance(14)
    office.three.call("**1002", description=b"" if late else None)
    office.wire.advance(3)
    if late:
        office.three.last.acknowledge(office.three.sdp)
    office.wire.advance(60)
    assert isinstance(office.one.events[-1], events.Answered)
    assert office.desks["1004"].sessions == [] and len(office.node.calls) == 1


def test_hold_works_after_a_pickup() -> None:
    office = Office(THREE)
    office.one.call("1002")
    office.wire.deliver()
    office.three.call("**1002")
    office.wire.deliver()
    held = office.three.sdp.replace(b"a=sendrecv", b"a=sendonly")
    office.three.last.offer(held)
    office.wire.deliver()
    assert office.one.events[-1] == events.Offered(held)
    office.one.last.answer_offer(office.one.sdp)
    office.wire.deliver()
    assert office.three.events[-1] == events.OfferAnswered(office.one.sdp)


@pytest.mark.parametrize(
    "code", ["**", "**1002", "**9999", "*80"], ids=["no number", "nothing rings", "no extension", "no group"]
)
def test_where_nothing_rings_the_error_tone_is_heard(code: str) -> None:
    office = Office(THREE)
    prompt = office.dial(office.three, code)
    assert prompt is not None and prompt.tones == [ERROR] and prompt.closed
    assert office.three.events[-1] == events.Ended(events.Cause.BYE)


def test_an_answered_call_cannot_be_picked_up() -> None:
    office = Office(THREE)
    office.connected()
    prompt = office.dial(office.three, "**1002")
    assert prompt is not None and prompt.tones == [ERROR]
    assert isinstance(office.one.events[-1], events.Answered)


def test_who_does_not_want_to_be_disturbed_has_nothing_to_be_picked_up_and_may_pick_up() -> None:
    office = Office(THREE)
    office.set("1003", dnd=True)
    office.one.call("1003")
    office.wire.deliver()
    prompt = office.dial(office.two, "**1003")
    assert prompt is not None and prompt.tones == [ERROR]
    office.one.call("1002")
    office.wire.deliver()
    office.three.call("**1002")
    office.wire.deliver()
    assert isinstance(office.three.events[-1], events.Answered)


def test_without_a_codec_in_common_the_call_rings_on() -> None:
    office = Office(THREE)
    office.one.call("1002")
    office.wire.deliver()
    alien = sdp.encode(
        sdp.offer("10.9.8.103", 6000, origin=sdp.Origin.of("10.9.8.103", 1, 1), encodings=("PCMA/8000",))
    ).replace(b"PCMA/8000", b"G729/8000")
    office.three.call("**1002", description=alien)
    office.wire.deliver()
    assert office.three.events == [events.Refused(488)]
    office.two.last.accept(office.two.sdp)
    office.wire.deliver()
    assert office.one.events[-1] == events.Answered(office.two.sdp)


def test_nobody_picks_up_the_own_call() -> None:
    office = Office(THREE)
    office.one.call("1002")
    office.wire.deliver()
    prompt = office.dial(office.one, "**1002")
    assert prompt is not None and prompt.tones == [ERROR]

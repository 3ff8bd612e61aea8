"""Reliable provisional answers (RFC 3262) between two sessions."""

import pytest

from opx.sip import events
from opx.sip.message import Request, Response
from opx.sip.reliable import rack_of, rseq_of
from support.pair import Pair

RINGING = """
    alice -> bob: INVITE sdp
    bob -> alice: 100
    bob -> alice: 183 sdp
    alice -> bob: PRACK
    bob -> alice: 200
"""


def ringing(pair: Pair) -> None:
    pair.alice.call(pair.bob)
    pair.bob.last.progress(183, pair.bob.sdp(), reliable=True)
    pair.wire.deliver()


def test_a_reliable_answer_is_acknowledged_and_its_description_counts() -> None:
    pair = Pair()
    ringing(pair)
    pair.wire.expect(RINGING)
    assert pair.alice.events == [events.Progress(183, pair.bob.sdp(), reliable=True)]
    pair.bob.last.accept(pair.bob.sdp())
    pair.wire.expect("""
        bob -> alice: 200
        alice -> bob: ACK
    """)
    assert pair.alice.events[-1] == events.Answered(b"")
    pair.close()


@pytest.mark.parametrize("lost", range(8))
def test_any_one_lost_datagram_is_made_good(lost: int) -> None:
    pair = Pair()
    pair.wire.lose = lambda carried: carried is pair.wire.log[lost] if len(pair.wire.log) > lost else False
    pair.alice.call(pair.bob)
    pair.wire.advance(2)
    pair.bob.last.progress(183, pair.bob.sdp(), reliable=True)
    pair.bob.last.accept(pair.bob.sdp())
    pair.wire.advance(8)
    assert [type(event) for event in pair.alice.events] == [events.Progress, events.Answered]
    assert pair.bob.events == [events.Confirmed(b"")]
    pair.close()


def test_doubled_datagrams_change_nothing() -> None:
    pair = Pair()
    pair.wire.double = True
    ringing(pair)
    pair.bob.last.accept(pair.bob.sdp())
    pair.wire.advance(5)
    assert [type(event) for event in pair.alice.events] == [events.Progress, events.Answered]
    pair.close()


def test_the_answer_waits_for_the_prack_of_a_description() -> None:
    pair = Pair()
    pair.alice.call(pair.bob)
    pair.wire.lose = lambda carried: carried.what == "PRACK"
    pair.bob.last.progress(183, pair.bob.sdp(), reliable=True)
    pair.bob.last.accept(pair.bob.sdp())
    pair.wire.advance(1)
    assert not any(carried.what == "200" for carried in pair.wire.log)
    pair.wire.lose = lambda carried: False
    pair.wire.advance(5)
    assert pair.alice.events[-1] == events.Answered(b"")
    pair.close()


def test_several_reliable_answers_keep_their_order_and_numbers() -> None:
    pair = Pair()
    pair.alice.call(pair.bob)
    pair.bob.last.progress(183, pair.bob.sdp(), reliable=True)
    pair.bob.last.progress(180, reliable=True)
    pair.bob.last.progress(181, reliable=True)
    pair.wire.advance(1)
    assert [event.status for event in pair.alice.events if isinstance(event, events.Progress)] == [183, 180, 181]
    numbers = [rseq_of(c.message) for c in pair.wire.log if isinstance(c.message, Response)]
    given = [number for number in numbers if number is not None]
    assert given == list(range(given[0], given[0] + 3))
    pair.close()


def test_a_prack_that_never_comes_ends_the_call_for_both() -> None:
    pair = Pair()
    pair.wire.lose = lambda carried: carried.what == "PRACK"
    ringing(pair)
    pair.wire.advance(40)
    assert pair.alice.events[-1] == events.Refused(504)
    assert pair.bob.events[-1] == events.Cancelled()
    pair.close()


def test_an_offer_in_a_reliable_answer_is_answered_in_the_prack() -> None:
    pair = Pair()
    pair.alice.call(pair.bob, offer=b"")
    pair.bob.last.progress(183, pair.bob.sdp(), reliable=True)
    pair.wire.deliver()
    assert pair.alice.events == [events.Progress(183, pair.bob.sdp(), reliable=True, offers=True)]
    pair.alice.last.acknowledge(pair.alice.sdp())
    pair.wire.expect("""
        alice -> bob: INVITE
        bob -> alice: 100
        bob -> alice: 183 sdp
        alice -> bob: PRACK sdp
        bob -> alice: 200
    """)
    assert pair.bob.events == [events.Confirmed(pair.alice.sdp())]
    pair.bob.last.accept(b"")
    pair.wire.deliver()
    assert pair.alice.events[-1] == events.Answered(b"")
    pair.close()


def test_an_offer_cannot_stand_in_what_may_be_lost() -> None:
    pair = Pair(supported=("timer",))
    pair.alice.call(pair.bob, offer=b"")
    pair.bob.last.progress(183, pair.bob.sdp())
    pair.wire.deliver()
    assert pair.alice.events == [events.Progress(183, b"")]
    pair.close()


def test_a_caller_without_100rel_gets_plain_answers() -> None:
    pair = Pair()
    pair.bob.agent.supported_text = "timer"
    pair.bob.call(pair.alice)
    pair.alice.last.progress(183, pair.alice.sdp(), reliable=True)
    pair.wire.deliver()
    assert pair.bob.events == [events.Progress(183, pair.alice.sdp())]
    pair.alice.last.accept(pair.alice.sdp())
    pair.wire.deliver()
    assert pair.bob.events[-1] == events.Answered(pair.alice.sdp())
    pair.close()


def test_a_caller_that_requires_it_gets_every_answer_reliably() -> None:
    pair = Pair()
    pair.alice.call(pair.bob, headers=(("require", "100rel"),))
    pair.bob.last.progress(180)
    pair.wire.expect("""
        alice -> bob: INVITE sdp
        bob -> alice: 100
        bob -> alice: 180
        alice -> bob: PRACK
        bob -> alice: 200
    """)
    pair.close()


def test_a_prack_for_nothing_gets_481() -> None:
    pair = Pair()
    ringing(pair)
    stray = pair.alice.last.usage.need().request("PRACK")
    stray.add("rack", "1 1 INVITE")
    pair.alice.last.usage.send(stray, lambda outcome: None)
    pair.wire.deliver()
    assert pair.wire.log[-1].what == "481"
    pair.close()


@pytest.mark.parametrize("text", ["", "1", "a 1 INVITE", "1 b INVITE", "1 2 3 4", "99999999999 1 INVITE"])
def test_a_malformed_rack_is_none(text: str) -> None:
    prack = Request.new("PRACK", "sip:x")
    prack.add("rack", text)
    assert rack_of(prack) is None


def test_the_caller_may_change_the_media_before_the_answer() -> None:
    pair = Pair()
    ringing(pair)
    pair.alice.last.offer(pair.alice.sdp(2))
    pair.wire.deliver()
    assert pair.bob.events == [events.Offered(pair.alice.sdp(2), update=True)]
    pair.bob.last.answer_offer(pair.bob.sdp(2))
    pair.wire.expect(
        RINGING
        + """
        alice -> bob: UPDATE sdp
        bob -> alice: 200 sdp
    """
    )
    assert pair.alice.events[-1] == events.OfferAnswered(pair.bob.sdp(2))
    pair.close()


def test_the_callee_may_change_the_media_before_the_answer() -> None:
    pair = Pair()
    ringing(pair)
    pair.bob.last.offer(pair.bob.sdp(2))
    pair.wire.deliver()
    assert pair.alice.events[-1] == events.Offered(pair.bob.sdp(2), update=True)
    pair.alice.last.answer_offer(pair.alice.sdp(2))
    pair.wire.deliver()
    assert pair.bob.events[-1] == events.OfferAnswered(pair.alice.sdp(2))
    pair.close()


def test_a_caller_that_gives_up_after_a_prack_leaves_nothing() -> None:
    pair = Pair()
    ringing(pair)
    pair.alice.last.hang_up()
    pair.wire.deliver()
    assert pair.bob.events == [events.Cancelled()]
    pair.close()

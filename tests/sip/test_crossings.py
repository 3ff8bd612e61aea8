"""Messages that meet on their way, that come twice, or that no peer should send: the call goes on or ends, cleanly."""

import pytest

from opx import sdp
from opx.sip import events
from opx.sip.message import Request, Response
from opx.sip.replaces import ReferTo
from opx.sip.transactions import ServerTransaction
from support.pair import Pair, Party

NO_UPDATE = "INVITE, ACK, CANCEL, BYE, OPTIONS"
HELD = sdp.Direction.SENDONLY


def deaf(party: Party) -> list[ServerTransaction]:
    """From now on `party` leaves requests within its call unanswered; gives them."""
    kept: list[ServerTransaction] = []

    def keep(transaction: ServerTransaction) -> bool:
        kept.append(transaction)
        return False

    party.last._authorize = keep
    return kept


def answer(transaction: ServerTransaction, party: Party, body: bytes = b"") -> Response:
    response = transaction.request.reply(200)
    response.add("contact", f"<sip:{party.name}@{party.host}>")
    response.add("content-type", "application/sdp")
    response.body = body
    transaction.respond(response)
    return response


def acks(pair: Pair) -> list[int]:
    return [c.message.cseq.number for c in pair.wire.log if isinstance(c.message, Request) and c.what == "ACK"]


def test_a_repeated_2xx_of_an_earlier_offer_is_no_answer_to_the_one_under_way() -> None:
    pair = Pair(allow=NO_UPDATE).connect()
    waiting = deaf(pair.bob)
    pair.alice.last.offer(pair.alice.sdp(2))
    pair.wire.deliver()
    first = answer(waiting[0], pair.bob, pair.bob.sdp(2))
    pair.wire.deliver()
    pair.alice.last.offer(pair.alice.sdp(3, HELD))
    pair.wire.deliver()
    waiting[0].respond(first)
    pair.wire.deliver()
    assert pair.alice.events == [events.OfferAnswered(pair.bob.sdp(2))]
    answer(waiting[1], pair.bob, pair.bob.sdp(3))
    pair.wire.deliver()
    assert pair.alice.events[1:] == [events.OfferAnswered(pair.bob.sdp(3))]
    # The first INVITE, its repeated offer twice, and the new one: each ACK has the number of its INVITE.
    assert acks(pair) == [1, 2, 2, 3]
    pair.bob.last._authorize = None
    pair.close()


@pytest.mark.parametrize(
    ("mute", "heard"),
    [(False, events.OfferRefused(487)), (True, events.Ended(events.Cause.TRANSPORT))],
    ids=["a peer that takes the CANCEL", "a peer that says nothing more"],
)
def test_an_offer_that_the_peer_never_answers_is_given_up_and_leaves_nothing(
    mute: bool, heard: events.SessionEvent
) -> None:
    pair = Pair(allow=NO_UPDATE).connect()
    waiting = deaf(pair.bob)
    pair.alice.last.offer(pair.alice.sdp(2))
    pair.wire.deliver()
    waiting[0].reply(100)
    pair.wire.deliver()
    if mute:
        pair.wire.lose = lambda carried: carried.source == (pair.bob.host, 5060)
    pair.wire.advance(pair.alice.agent.timing.ring_limit + 40, step=0.5)
    assert pair.alice.events == [heard]
    pair.alice.last.hang_up()
    pair.wire.advance(80, step=0.5)
    assert pair.alice.agent.dialogs == 0 and len(pair.alice.agent.layer) == 0


def test_an_offer_under_way_does_not_outlive_the_call() -> None:
    pair = Pair(allow=NO_UPDATE).connect()
    waiting = deaf(pair.bob)
    pair.alice.last.offer(pair.alice.sdp(2))
    pair.wire.deliver()
    waiting[0].reply(100)
    pair.wire.deliver()
    pair.alice.last.hang_up()
    pair.wire.advance(80, step=0.5)
    assert len(pair.alice.agent.layer) == 0


def test_a_callee_that_sends_bye_before_its_answer_takes_no_call() -> None:
    pair = Pair()
    pair.alice.call(pair.bob)
    pair.bob.last.progress(183, pair.bob.sdp(), reliable=True)
    pair.wire.deliver()
    dialog = pair.bob.last.usage.need()
    pair.bob.last.usage.send(dialog.request("BYE"), lambda outcome: None)
    pair.wire.deliver()
    assert pair.alice.events[-1] == events.Refused(480)
    assert pair.bob.last.ended and pair.alice.last.ended
    pair.wire.advance(80, step=0.5)
    assert pair.alice.agent.dialogs == 0 and len(pair.alice.agent.layer) == 0


def test_an_answer_without_a_description_owes_nothing() -> None:
    """It breaks RFC 3264, but its 2xx is acknowledged all the same, and offers may follow."""
    pair = Pair(allow=NO_UPDATE).connect()
    waiting = deaf(pair.bob)
    pair.alice.last.offer(b"")
    pair.wire.deliver()
    answer(waiting[0], pair.bob)
    pair.wire.deliver()
    assert acks(pair) == [1, 2]
    assert pair.alice.last.can_offer and not pair.alice.last.owes_answer
    pair.bob.last._authorize = None
    pair.close()


def test_a_late_offer_is_acknowledged_before_the_call_is_ended() -> None:
    pair = Pair()
    session = pair.alice.call(pair.bob, offer=b"")
    pair.bob.last.accept(pair.bob.sdp())
    pair.wire.deliver()
    assert session.owes_answer
    session.hang_up()
    pair.wire.expect("""
        alice -> bob: INVITE
        bob -> alice: 100
        bob -> alice: 200 sdp
        alice -> bob: ACK
        alice -> bob: BYE
        bob -> alice: 200
    """)


def test_a_transfer_that_is_answered_after_the_call_is_over_troubles_nobody() -> None:
    pair = Pair().connect()
    pair.alice.last.refer(ReferTo.parse("<sip:carol@192.0.2.3>"), lambda status: None)
    pair.wire.deliver()
    asked = pair.bob.events[-1]
    assert isinstance(asked, events.TransferAsked)
    pair.alice.last.hang_up()
    pair.wire.deliver()
    pair.bob.last.answer_transfer(asked.id, 202)
    pair.wire.advance(80, step=0.5)
    refer = [c for c in pair.wire.log if isinstance(c.message, Response) and c.message.cseq.method == "REFER"]
    assert [c.what for c in refer] == ["487"]


@pytest.mark.parametrize("asking", [True, False], ids=["each transferred the other", "one did"])
def test_the_bye_waits_for_the_last_word_on_the_peers_transfer_and_for_nothing_else(asking: bool) -> None:
    pair = Pair().connect()
    pair.alice.last.refer(ReferTo.parse("<sip:carol@192.0.2.3>"), lambda status: None)
    pair.wire.deliver()
    asked = next(event for event in pair.bob.events if isinstance(event, events.TransferAsked))
    pair.bob.last.answer_transfer(asked.id, 202)
    pair.wire.deliver()
    if asking:
        pair.bob.last.refer(ReferTo.parse("<sip:carol@192.0.2.3>"), lambda status: None)
        pair.wire.deliver()
    pair.bob.last.notify_transfer(200, True)
    pair.bob.last.hang_up()
    pair.wire.deliver()
    assert pair.alice.last.ended


@pytest.mark.parametrize(("asker", "status"), [("alice", 500), ("bob", 491)])
def test_a_re_invite_before_the_first_answer_comes_too_early_and_ends_nothing(asker: str, status: int) -> None:
    """RFC 3261 section 14.2."""
    pair = Pair()
    pair.alice.call(pair.bob)
    pair.bob.last.progress(183, pair.bob.sdp(), reliable=True)
    pair.wire.deliver()
    session = pair.alice.last if asker == "alice" else pair.bob.last
    outcomes: list[object] = []
    session.usage.send(session.usage.need().request("INVITE"), outcomes.append)
    pair.wire.deliver()
    assert [getattr(outcome, "status", None) for outcome in outcomes] == [status]
    pair.bob.last.accept(b"")
    pair.wire.deliver()
    assert pair.alice.last.up
    pair.close()

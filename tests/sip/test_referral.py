"""REFER within a call, and the NOTIFYs about it, between two sessions."""

import pytest

from opx.sip import events
from opx.sip.errors import LocalProtocolError
from opx.sip.replaces import ReferTo
from support.pair import Pair

CAROL = ReferTo.parse("<sip:carol@192.0.2.3>")


def asked(pair: Pair) -> events.TransferAsked:
    event = pair.bob.events[-1]
    assert isinstance(event, events.TransferAsked)
    return event


def referred() -> tuple[Pair, list[int]]:
    pair = Pair().connect()
    statuses: list[int] = []
    pair.alice.last.refer(CAROL, statuses.append)
    pair.wire.deliver()
    assert asked(pair).refer_to == CAROL
    return pair, statuses


def test_a_transfer_is_told_of_from_trying_to_the_end() -> None:
    pair, statuses = referred()
    pair.bob.last.answer_transfer(asked(pair).id, 202)
    pair.bob.last.notify_transfer(180, False)
    pair.bob.last.notify_transfer(200, True)
    pair.wire.expect("""
        alice -> bob: REFER
        bob -> alice: 202
        bob -> alice: NOTIFY sdp
        alice -> bob: 200
        bob -> alice: NOTIFY sdp
        alice -> bob: 200
        bob -> alice: NOTIFY sdp
        alice -> bob: 200
    """)
    assert statuses == [202]
    assert pair.alice.events == [
        events.TransferProgress(100, False),
        events.TransferProgress(180, False),
        events.TransferProgress(200, True),
    ]
    pair.close()


@pytest.mark.parametrize("lost", range(8))
def test_any_one_lost_datagram_is_made_good(lost: int) -> None:
    pair = Pair().connect()
    start = len(pair.wire.log)
    pair.wire.lose = lambda carried: any(carried is c for c in pair.wire.log[start + lost : start + lost + 1])
    pair.alice.last.refer(CAROL, lambda status: None)
    pair.wire.advance(2)
    pair.bob.last.answer_transfer(asked(pair).id, 202)
    pair.bob.last.notify_transfer(180, False)
    pair.bob.last.notify_transfer(200, True)
    pair.wire.advance(8)
    assert pair.alice.events[-1] == events.TransferProgress(200, True)
    assert [event for event in pair.alice.events if event == events.TransferProgress(180, False)] != []
    pair.close()


def test_a_refused_transfer_tells_nothing_more() -> None:
    pair, statuses = referred()
    pair.bob.last.answer_transfer(asked(pair).id, 603)
    pair.bob.last.notify_transfer(200, True)
    pair.wire.deliver()
    assert statuses == [603]
    assert pair.alice.events == []
    pair.close()


def test_the_end_of_a_transfer_is_heard_after_the_call() -> None:
    pair, _ = referred()
    pair.bob.last.answer_transfer(asked(pair).id, 202)
    pair.alice.last.hang_up()
    pair.wire.deliver()
    pair.bob.last.notify_transfer(200, True)
    pair.wire.deliver()
    assert pair.alice.events[-1] == events.TransferProgress(200, True)
    pair.close()


def test_a_second_transfer_waits_for_the_first() -> None:
    pair, _ = referred()
    with pytest.raises(LocalProtocolError):
        pair.alice.last.refer(CAROL, lambda status: None)
    request = pair.alice.last.usage.need().request("REFER")
    request.add("refer-to", str(CAROL))
    pair.alice.last.usage.send(request, lambda outcome: None)
    pair.wire.deliver()
    assert pair.wire.log[-1].what == "491"
    pair.bob.last.answer_transfer(asked(pair).id, 603)
    pair.wire.deliver()
    pair.alice.last.refer(CAROL, lambda status: None)
    pair.wire.deliver()
    pair.close()


def test_one_that_wants_to_hear_nothing_hears_nothing() -> None:
    pair = Pair().connect()
    request = pair.alice.last.usage.need().request("REFER")
    request.add("refer-to", str(CAROL))
    request.add("refer-sub", "false")
    pair.alice.last.usage.send(request, lambda outcome: None)
    pair.wire.deliver()
    pair.bob.last.answer_transfer(asked(pair).id, 202)
    pair.bob.last.notify_transfer(200, True)
    pair.wire.expect("""
        alice -> bob: REFER
        bob -> alice: 202
    """)
    assert pair.wire.log[-1].message.get("refer-sub") == "false"
    pair.close()


@pytest.mark.parametrize("values", [(), ("<sip:a@b>", "<sip:c@d>"), ("nonsense",), ("<sip:a@b;method=BYE>",)])
def test_a_refer_that_names_no_one_is_refused(values: tuple[str, ...]) -> None:
    pair = Pair().connect()
    request = pair.alice.last.usage.need().request("REFER")
    for value in values:
        request.add("refer-to", value)
    pair.alice.last.usage.send(request, lambda outcome: None)
    pair.wire.deliver()
    assert pair.wire.log[-1].what in ("400", "403")
    assert pair.bob.events == []
    pair.close()


def test_a_party_that_serves_no_refer_says_405() -> None:
    pair = Pair(allow="INVITE, ACK, CANCEL, BYE, OPTIONS").connect()
    statuses: list[int] = []
    pair.alice.last.refer(CAROL, statuses.append)
    pair.wire.deliver()
    assert statuses == [405]
    assert pair.alice.last.usage.peer_allows("REFER") is False
    pair.close()


@pytest.mark.parametrize(("event", "status"), [("refer", "481"), ("conference", "489"), ("", "489")])
def test_a_notify_that_nobody_waits_for_is_refused(event: str, status: str) -> None:
    pair = Pair().connect()
    request = pair.bob.last.usage.need().request("NOTIFY")
    if event:
        request.add("event", event)
    if event == "refer":
        pair.alice.last.refer(CAROL, lambda status: None)
        pair.wire.deliver()
        pair.bob.last.answer_transfer(asked(pair).id, 603)
        pair.wire.deliver()
    pair.bob.last.usage.send(request, lambda outcome: None)
    pair.wire.deliver()
    assert pair.wire.log[-1].what == status
    pair.close()


def test_a_transfer_that_never_ends_is_given_up() -> None:
    pair, _ = referred()
    pair.bob.last.answer_transfer(asked(pair).id, 202)
    pair.wire.advance(200, step=1)
    assert pair.alice.events[-1] == events.TransferProgress(408, True)
    pair.close()

"""Offers within a call: UPDATE, glare, session timers."""

import pytest

from opx import sdp
from opx.sip import events
from opx.sip.errors import LocalProtocolError
from opx.sip.message import Request, Response
from opx.sip.session_timer import SessionTimer, SessionTimerPolicy
from opx.sip.timers import TimerWheel
from support.pair import Pair

HELD = sdp.Direction.SENDONLY
NO_UPDATE = "INVITE, ACK, CANCEL, BYE, OPTIONS"


def test_an_update_is_asked_for_where_the_peer_takes_it() -> None:
    pair = Pair().connect()
    pair.alice.last.offer(pair.alice.sdp(2, HELD), update=True)
    pair.wire.deliver()
    pair.bob.last.answer_offer(pair.bob.sdp(2))
    pair.wire.expect("""
        alice -> bob: UPDATE sdp
        bob -> alice: 200 sdp
    """)
    assert pair.alice.events == [events.OfferAnswered(pair.bob.sdp(2))]
    pair.close()


def test_a_peer_without_update_gets_a_re_invite() -> None:
    pair = Pair(allow=NO_UPDATE).connect()
    pair.alice.last.offer(pair.alice.sdp(2, HELD), update=True)
    pair.wire.deliver()
    pair.bob.last.answer_offer(pair.bob.sdp(2))
    pair.wire.expect("""
        alice -> bob: INVITE sdp
        bob -> alice: 100
        bob -> alice: 200 sdp
        alice -> bob: ACK
    """)
    pair.close()


@pytest.mark.parametrize("update", [True, False], ids=["UPDATE", "re-INVITE"])
def test_offers_that_cross_are_both_put_off_and_one_comes_through(update: bool) -> None:
    pair = Pair().connect()
    pair.alice.last.offer(pair.alice.sdp(2, HELD), update=update)
    pair.bob.last.offer(pair.bob.sdp(2, HELD), update=update)
    for _ in range(100):
        pair.wire.advance(0.1)
        for party in (pair.alice, pair.bob):
            if party.last.offered:
                party.last.answer_offer(party.sdp(3))
    assert [event for event in (*pair.alice.events, *pair.bob.events) if isinstance(event, events.OfferAnswered)]
    assert "491" in [carried.what for carried in pair.wire.log]
    pair.close()


def test_an_offer_while_another_waits_for_its_answer_comes_later() -> None:
    pair = Pair().connect()
    pair.alice.last.offer(pair.alice.sdp(2, HELD))
    pair.wire.deliver()
    with pytest.raises(LocalProtocolError):
        pair.bob.last.offer(pair.bob.sdp(2))
    second = pair.alice.last.usage.need().request("UPDATE")
    second.add("content-type", "application/sdp")
    second.body = pair.alice.sdp(3)
    pair.alice.last.usage.send(second, lambda outcome: None)
    pair.wire.deliver()
    assert pair.wire.log[-1].what == "500"
    assert pair.wire.log[-1].message.get("retry-after") is not None
    pair.bob.last.answer_offer(pair.bob.sdp(2))
    pair.wire.advance(1)
    pair.close()


def test_a_refused_offer_changes_nothing() -> None:
    pair = Pair().connect()
    pair.alice.last.offer(pair.alice.sdp(2, HELD), update=True)
    pair.wire.deliver()
    pair.bob.last.refuse_offer(488)
    pair.wire.deliver()
    assert pair.alice.events == [events.OfferRefused(488)]
    assert pair.alice.last.up
    pair.close()


def test_a_withdrawn_re_invite_is_heard_of() -> None:
    pair = Pair().connect()
    pair.alice.last.offer(pair.alice.sdp(2, HELD))
    pair.wire.deliver()
    pair.alice.last.withdraw_offer()
    pair.wire.expect("""
        alice -> bob: INVITE sdp
        bob -> alice: 100
        alice -> bob: CANCEL
        bob -> alice: 200
        bob -> alice: 487
        alice -> bob: ACK
    """)
    assert pair.bob.events[-1] == events.OfferWithdrawn()
    assert pair.alice.events[-1] == events.OfferRefused(487)
    assert pair.bob.last.up
    pair.close()


def test_a_withdrawal_that_crosses_the_answer_finds_it_answered() -> None:
    pair = Pair().connect()
    pair.alice.last.offer(pair.alice.sdp(2, HELD))
    pair.wire.deliver()
    pair.wire.lose = lambda carried: carried.what == "200" and carried.source[0] == pair.bob.host
    pair.bob.last.answer_offer(pair.bob.sdp(2))
    pair.alice.last.withdraw_offer()
    pair.wire.deliver()
    pair.wire.lose = lambda carried: False
    pair.wire.advance(5)
    assert pair.alice.events == [events.OfferAnswered(pair.bob.sdp(2))]
    pair.close()


def test_a_late_offer_within_the_call_is_answered_in_the_ack() -> None:
    pair = Pair().connect()
    pair.alice.last.offer(b"")
    pair.wire.deliver()
    assert pair.bob.events == [events.Offered(b"")]
    pair.bob.last.answer_offer(pair.bob.sdp(2))
    pair.wire.deliver()
    pair.alice.last.acknowledge(pair.alice.sdp(2))
    pair.wire.deliver()
    assert pair.bob.events[-1] == events.Confirmed(pair.alice.sdp(2))
    pair.close()


# --- session timers


def refreshes(pair: Pair) -> list[str]:
    return [c.what for c in pair.wire.log if isinstance(c.message, Request) and c.what in ("UPDATE", "INVITE")]


@pytest.mark.parametrize(("allow", "method"), [(None, "UPDATE"), (NO_UPDATE, "INVITE")])
def test_a_long_call_is_refreshed_and_nobody_hears_of_it(allow: str | None, method: str) -> None:
    pair = Pair()
    if allow:
        pair.alice.agent.allow = pair.bob.agent.allow = allow
    pair.connect()
    before = len(refreshes(pair))
    pair.wire.advance(3000, step=1)
    assert set(refreshes(pair)[before:]) == {method}
    assert len(refreshes(pair)[before:]) == 3
    assert {*pair.alice.events, *pair.bob.events} <= {events.Confirmed(b"")}
    pair.close()


def test_a_call_whose_peer_is_gone_ends_by_its_timer() -> None:
    pair = Pair().connect()
    pair.wire.lose = lambda carried: True
    pair.wire.advance(2000, step=1)
    assert pair.alice.events + pair.bob.events != []
    for party in (pair.alice, pair.bob):
        assert isinstance(party.events[-1], events.Ended)
        assert party.last.ended


def test_the_side_that_is_not_to_refresh_gives_up_before_the_end() -> None:
    pair = Pair().connect()
    waiting = pair.bob if pair.alice.last.timer.we_refresh else pair.alice
    pair.wire.lose = lambda carried: carried.what == "UPDATE"
    pair.wire.advance(1800 - 33, step=1)
    waiting.events.clear()
    pair.wire.advance(3, step=1)
    assert waiting.events == [events.Ended(events.Cause.EXPIRED)] or waiting.last.ended


def test_a_too_short_interval_is_raised_and_the_call_comes_through() -> None:
    pair = Pair(timer=SessionTimerPolicy(expires=3600, min_se=2400))
    pair.alice.call(pair.bob)
    pair.wire.expect("""
        alice -> bob: INVITE sdp
        bob -> alice: 422
        alice -> bob: ACK
        alice -> bob: INVITE sdp
        bob -> alice: 100
    """)
    pair.bob.last.accept(pair.bob.sdp())
    pair.wire.deliver()
    assert pair.alice.last.timer.interval == 2400
    pair.close()


def test_the_shorter_wish_of_the_two_holds() -> None:
    pair = Pair(timer=SessionTimerPolicy(expires=600))
    pair.connect()
    assert pair.alice.last.timer.interval == pair.bob.last.timer.interval == 600
    assert pair.alice.last.timer.we_refresh != pair.bob.last.timer.we_refresh
    pair.close()


def test_a_peer_without_timers_is_refreshed_by_us() -> None:
    wheel, refreshed = TimerWheel(), []
    timer = SessionTimer(wheel, SessionTimerPolicy(), lambda: refreshed.append(wheel.now), lambda: None)
    timer.granted(Response(200, "OK", [], []))
    wheel.advance(1000)
    assert refreshed == [900]


def test_a_refresher_is_named_as_the_request_wants_it() -> None:
    request = Request.new("INVITE", "sip:x")
    request.add("supported", "timer")
    request.add("session-expires", "600;refresher=uac")
    response = Response(200, "OK", [], [])
    timer = SessionTimer(TimerWheel(), SessionTimerPolicy(), lambda: None, lambda: None)
    timer.grant(request, response)
    assert response.get("session-expires") == "600;refresher=uac"
    assert response.get("require") == "timer"
    assert not timer.we_refresh


# --- what is passed on within a call


def test_info_is_handed_over_and_answered_by_the_owner() -> None:
    pair = Pair().connect()
    statuses: list[int] = []
    pair.alice.last.ask("INFO", "application/dtmf-relay", b"Signal=5", statuses.append)
    pair.wire.deliver()
    asked = pair.bob.events[-1]
    assert isinstance(asked, events.Asked) and (asked.method, asked.body) == ("INFO", b"Signal=5")
    pair.bob.last.answer_request(asked.id, 200)
    pair.wire.deliver()
    assert statuses == [200]
    pair.close()


def test_info_that_nobody_serves_gets_405() -> None:
    pair = Pair(allow=NO_UPDATE).connect()
    statuses: list[int] = []
    pair.alice.last.ask("INFO", "application/dtmf-relay", b"Signal=5", statuses.append)
    pair.wire.deliver()
    assert statuses == [405]
    pair.close()


def test_a_request_that_waits_when_the_call_ends_is_answered() -> None:
    pair = Pair().connect()
    statuses: list[int] = []
    pair.alice.last.ask("INFO", "application/dtmf-relay", b"Signal=5", statuses.append)
    pair.wire.deliver()
    pair.bob.last.hang_up()
    pair.wire.deliver()
    assert statuses == [481]
    pair.close()

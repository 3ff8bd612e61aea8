"""What happens around a call through the gateway: early answers, changes on the way, key presses, forks, timers."""

import pytest

from opx import sdp
from opx.gateway.signalling.signalling import SignallingPolicy
from opx.sip import events
from opx.sip.flow import Flow
from opx.sip.message import Request, Response
from opx.sip.session import Session
from opx.sip.session_timer import SessionTimerPolicy
from support.site import HOME, ICP, INNER, INSIDE, OUTSIDE, Phone, Site, description

HELD = sdp.Direction.SENDONLY
PHONE = ("192.168.1.7", 40000)
OFFICE = ("10.9.8.101", 6100)


def registered(policy: SignallingPolicy | None = None) -> tuple[Site, Phone]:
    site = Site(policy)
    phone = site.phone(1)
    for node in (site.icp.node, phone.node):
        node.serve("INFO, MESSAGE, REFER, NOTIFY")
    phone.register()
    site.wire._told = len(site.wire.log)
    return site, phone


def ringing(offer: bytes | None = None) -> tuple[Site, Phone, Session]:
    site, phone = registered()
    phone.call("1002", offer)
    site.wire._told = len(site.wire.log)
    return site, phone, site.icp.sessions[-1]


def talking(policy: SignallingPolicy | None = None) -> tuple[Site, Phone, Session]:
    site, phone = registered(policy)
    phone.call("1002")
    office = site.icp.sessions[-1]
    office.accept(description(*OFFICE))
    site.wire.deliver()
    site.wire._told = len(site.wire.log)
    return site, phone, office


def over(site: Site) -> None:
    """Nothing of a call is left."""
    site.wire.advance(60)
    assert len(site.signalling.calls) == 0
    assert site.desk.open_calls == set()
    assert site.signalling.set_agent.dialogs == site.signalling.icp_agent.dialogs == 0


# --- before the answer


def test_a_reliable_answer_is_acknowledged_on_each_leg() -> None:
    site, phone, office = ringing()
    office.progress(183, description(*OFFICE), reliable=True)
    site.wire.expect("""
        icp -> gateway: 183 sdp
        gateway -> phone1: 183 sdp
        gateway -> icp: PRACK
        icp -> gateway: 200
        phone1 -> gateway: PRACK
        gateway -> phone1: 200
    """)
    office.accept(description(*OFFICE))
    site.wire.expect("""
        icp -> gateway: 200
        gateway -> phone1: 200
        gateway -> icp: ACK
        phone1 -> gateway: ACK
    """)
    assert phone.events[-1] == events.Answered(b"")
    phone.sessions[0].hang_up()
    over(site)


def test_a_set_that_acknowledges_nothing_is_not_promised_for() -> None:
    site, phone = registered()
    phone.node.agent.supported_text = "timer"
    phone.call("1002")
    invite = next(c for c in reversed(site.wire.log) if c.what == "INVITE" and c.target[0] == ICP)
    assert "100rel" not in (invite.message.get("supported") or "")
    site.icp.sessions[-1].progress(183, description(*OFFICE), reliable=True)
    site.wire.deliver()
    assert isinstance(phone.events[-1], events.Progress) and not phone.events[-1].reliable
    phone.sessions[0].hang_up()
    over(site)


def test_an_offer_in_a_provisional_answer_is_answered_by_the_caller() -> None:
    site, phone, office = ringing(offer=b"")
    office.progress(183, description(*OFFICE), reliable=True)
    site.wire.deliver()
    progress = phone.events[-1]
    assert isinstance(progress, events.Progress) and progress.offers
    assert INNER.findall(progress.sdp) == []
    phone.sessions[0].acknowledge(description(*PHONE))
    site.wire.deliver()
    confirmed = site.icp.events[-1]
    assert isinstance(confirmed, events.Confirmed)
    audio = sdp.parse(confirmed.sdp).audio
    assert audio is not None and audio.address == INSIDE
    office.accept(b"")
    site.wire.deliver()
    assert phone.events[-1] == events.Answered(b"")
    phone.sessions[0].hang_up()
    over(site)


@pytest.mark.parametrize("side", ["phone", "office"])
def test_either_side_may_change_the_media_before_the_answer(side: str) -> None:
    site, phone, office = ringing()
    office.progress(183, description(*OFFICE), reliable=True)
    site.wire.deliver()
    one, other = (phone.sessions[0], office) if side == "phone" else (office, phone.sessions[0])
    one.offer(description(*(PHONE if side == "phone" else OFFICE), HELD, 2))
    site.wire.deliver()
    assert other.offered
    other.answer_offer(description(*(OFFICE if side == "phone" else PHONE), sdp.Direction.RECVONLY, 2))
    site.wire.deliver()
    heard = phone.events if side == "phone" else site.icp.events
    assert isinstance(heard[-1], events.OfferAnswered)
    office.accept(description(*OFFICE, version=2))
    site.wire.deliver()
    assert phone.events[-1] == events.Answered(b"")
    phone.sessions[0].hang_up()
    over(site)


def test_early_media_is_let_through_and_the_answer_follows() -> None:
    site, phone, office = ringing()
    office.progress(183, description("10.9.8.30", 7000))
    site.wire.deliver()
    assert ("connect", "icp", "10.9.8.30", "7000") in site.desk.orders
    office.accept(description(*OFFICE))
    site.wire.deliver()
    assert ("connect", "icp", "10.9.8.101", "6100") in site.desk.orders
    phone.sessions[0].hang_up()
    over(site)


def test_a_call_that_was_taken_elsewhere_is_not_missed() -> None:
    site, phone = registered()
    site.icp.call("1001").hang_up(elsewhere=True)
    site.wire.deliver()
    assert phone.events == [events.Cancelled(elsewhere=True)]
    over(site)


def test_a_caller_that_gives_up_before_the_icp_says_anything() -> None:
    site, phone = registered()
    site.wire.lose = lambda carried: carried.source == site.icp.address and carried.what in ("100", "180", "407")
    phone.call("1002")
    phone.sessions[0].hang_up()
    site.wire.advance(1)
    assert not any(c.what == "CANCEL" and c.target == site.icp.address for c in site.wire.log)
    site.wire.lose = lambda carried: False
    site.wire.advance(5)
    assert all(session.ended for session in site.icp.sessions)
    over(site)


def test_a_second_phone_that_answers_a_forked_call_is_let_go() -> None:
    site, phone, office = ringing()
    office.accept(description(*OFFICE))
    site.wire.deliver()
    answer = next(c for c in reversed(site.wire.log) if c.what == "200" and c.source == site.icp.address)
    assert isinstance(answer.message, Response)
    fork = answer.data.replace(answer.message.to_tag.encode(), b"another")
    before = len(site.wire.log)
    site.signalling.icp_agent.receive(fork, Flow("UDP", (INSIDE, 5060), site.icp.address))
    site.wire.deliver()
    after = [c for c in site.wire.log[before:] if isinstance(c.message, Request)]
    assert [(c.what, c.message.to_tag) for c in after] == [("ACK", "another"), ("BYE", "another")]
    assert phone.sessions[0].up and office.up
    phone.sessions[0].hang_up()
    over(site)


# --- while it lasts


@pytest.mark.parametrize("side", ["phone", "office"])
def test_an_update_goes_on_as_one(side: str) -> None:
    site, phone, office = talking()
    one, other = (phone.sessions[0], office) if side == "phone" else (office, phone.sessions[0])
    one.offer(description(*(PHONE if side == "phone" else OFFICE), HELD, 2), update=True)
    site.wire.deliver()
    other.answer_offer(description(*(OFFICE if side == "phone" else PHONE), sdp.Direction.RECVONLY, 2))
    left, right = ("phone1", "icp") if side == "phone" else ("icp", "phone1")
    site.wire.expect(f"""
        {left} -> gateway: UPDATE sdp
        gateway -> {right}: UPDATE sdp
        {right} -> gateway: 200 sdp
        gateway -> {left}: 200 sdp
    """)
    phone.sessions[0].hang_up()
    over(site)


def test_an_update_becomes_a_re_invite_for_a_side_that_has_none() -> None:
    site, phone = registered()
    site.icp.node.agent.allow = "INVITE, ACK, CANCEL, BYE, OPTIONS"
    phone.call("1002")
    office = site.icp.sessions[-1]
    office.accept(description(*OFFICE))
    site.wire.deliver()
    site.wire._told = len(site.wire.log)
    phone.sessions[0].offer(description(*PHONE, HELD, 2), update=True)
    site.wire.deliver()
    office.answer_offer(description(*OFFICE, sdp.Direction.RECVONLY, 2))
    site.wire.expect("""
        phone1 -> gateway: UPDATE sdp
        gateway -> icp: INVITE sdp
        icp -> gateway: 100
        icp -> gateway: 200 sdp
        gateway -> phone1: 200 sdp
        gateway -> icp: ACK
    """)
    phone.sessions[0].hang_up()
    over(site)


@pytest.mark.parametrize("kinds", [("INVITE", "UPDATE"), ("UPDATE", "INVITE"), ("UPDATE", "UPDATE")])
def test_offers_of_both_kinds_that_cross_are_put_off_and_one_comes_through(kinds: tuple[str, str]) -> None:
    site, phone, office = talking()
    phone.sessions[0].offer(description(*PHONE, HELD, 2), update=kinds[0] == "UPDATE")
    office.offer(description(*OFFICE, HELD, 2), update=kinds[1] == "UPDATE")
    for _ in range(100):
        site.wire.advance(0.1)
        for session in (phone.sessions[0], office):
            if session.offered:
                session.answer_offer(description(*OFFICE, sdp.Direction.RECVONLY, 3))
    assert [e for e in (*phone.events, *site.icp.events) if isinstance(e, events.OfferAnswered)]
    phone.sessions[0].hang_up()
    over(site)


def test_a_withdrawn_hold_is_withdrawn_on_the_other_side() -> None:
    site, phone, _ = talking()
    phone.sessions[0].offer(description(*PHONE, HELD, 2))
    site.wire.deliver()
    phone.sessions[0].withdraw_offer()
    site.wire.deliver()
    assert site.icp.events[-1] == events.OfferWithdrawn()
    assert phone.events[-1] == events.OfferRefused(487)
    phone.sessions[0].hang_up()
    over(site)


def test_a_hold_that_was_withdrawn_too_late_is_taken_back() -> None:
    site, phone, office = talking()
    phone.sessions[0].offer(description(*PHONE, HELD, 2))
    site.wire.deliver()
    # The office's answer and the phone's CANCEL cross at the gateway.
    site.wire.lose = lambda carried: carried.what == "200" and carried.source == site.icp.address
    office.answer_offer(description(*OFFICE, sdp.Direction.RECVONLY, 2))
    phone.sessions[0].withdraw_offer()
    site.wire.deliver()
    site.wire.lose = lambda carried: False
    for _ in range(60):
        site.wire.advance(0.1)
        if office.offered:
            office.answer_offer(description(*OFFICE, version=3))
    offers = [event for event in site.icp.events if isinstance(event, events.Offered)]
    audio = sdp.parse(offers[-1].sdp).audio
    assert audio is not None and audio.direction is sdp.Direction.SENDRECV
    phone.sessions[0].hang_up()
    over(site)


RELAY = "application/dtmf-relay"


@pytest.mark.parametrize(
    ("kind", "body", "seen"),
    [
        (RELAY, b"Signal=5\r\nDuration=200\r\n", b"Signal=5\r\nDuration=200\r\n"),
        (RELAY, b"Signal= 11\nDuration=99999\nX-Host: 10.9.8.7", b"Signal=#\r\nDuration=10000\r\n"),
        ("application/dtmf", b"*", b"*"),
    ],
)
def test_key_presses_are_written_anew_for_the_other_side(kind: str, body: bytes, seen: bytes) -> None:
    site, phone, office = talking()
    statuses: list[int] = []
    phone.sessions[0].ask("INFO", kind, body, statuses.append)
    site.wire.deliver()
    asked = site.icp.events[-1]
    assert isinstance(asked, events.Asked)
    assert (asked.content_type, asked.body) == (kind, seen)
    office.answer_request(asked.id, 200)
    site.wire.deliver()
    assert statuses == [200]
    phone.sessions[0].hang_up()
    over(site)


@pytest.mark.parametrize(
    ("method", "kind", "body"),
    [
        ("INFO", "application/media_control+xml", b"<x/>"),
        ("INFO", RELAY, b"Signal=twelve"),
        ("INFO", "", b""),
        ("MESSAGE", "text/html", b"<p>"),
        ("MESSAGE", "text/plain", b"x" * 1301),
    ],
)
def test_other_content_is_refused_and_goes_nowhere(method: str, kind: str, body: bytes) -> None:
    site, phone, _ = talking()
    statuses: list[int] = []
    phone.sessions[0].ask(method, kind, body, statuses.append)
    site.wire.deliver()
    assert statuses == [415]
    assert not any(c.what == method and c.target == site.icp.address for c in site.wire.log)
    phone.sessions[0].hang_up()
    over(site)


def test_a_line_of_text_reaches_the_phone_within_the_call() -> None:
    site, phone, office = talking()
    statuses: list[int] = []
    office.ask("MESSAGE", "text/plain", b"hello", statuses.append)
    site.wire.deliver()
    asked = phone.events[-1]
    assert isinstance(asked, events.Asked) and asked.body == b"hello"
    phone.sessions[0].answer_request(asked.id, 202)
    site.wire.deliver()
    assert statuses == [202]
    phone.sessions[0].hang_up()
    over(site)


def test_ptime_and_telephone_events_are_kept() -> None:
    site, phone = registered()
    offer = description(*PHONE).replace(b"a=ptime:20", b"a=ptime:30\r\na=maxptime:60")
    phone.call("1002", offer)
    invite = [c for c in site.wire.log if c.what == "INVITE" and c.target == site.icp.address][-1]
    audio = sdp.parse(invite.message.body).audio
    assert audio is not None
    assert (audio.first("ptime"), audio.first("maxptime")) == ("30", "60")
    assert audio.rtpmaps()["101"] == "telephone-event/8000"
    assert "101 0-16" in audio.all("fmtp")
    phone.sessions[0].hang_up()
    over(site)


# --- session timers


def test_each_leg_is_refreshed_by_itself() -> None:
    site, phone, _ = talking()
    site.wire.advance(1900, step=1)
    refreshed = {(c.source[0], c.target[0]) for c in site.wire.log if c.what == "UPDATE"}
    assert phone.sessions[0].up
    # Whoever answered the INVITE took it on itself.
    assert refreshed == {(OUTSIDE, HOME), (ICP, INSIDE)}
    crossing = [c for c in site.wire.log if c.what == "UPDATE" and c.message.body]
    assert crossing == []
    phone.sessions[0].hang_up()
    over(site)


def test_a_phone_that_lost_its_power_ends_the_call_by_the_timer() -> None:
    site, _, office = talking(SignallingPolicy(session_timer=SessionTimerPolicy(expires=600)))
    site.wire.lose = lambda carried: HOME in (carried.source[0], carried.target[0])
    site.wire.advance(700, step=1)
    assert office.ended
    assert site.icp.events[-1] == events.Ended(events.Cause.BYE)
    assert len(site.signalling.calls) == 0


def test_a_set_that_wants_too_short_an_interval_is_told_which() -> None:
    site, phone = registered(SignallingPolicy(session_timer=SessionTimerPolicy(expires=1800, min_se=300)))
    phone.node.agent.session_timer = SessionTimerPolicy(expires=120)
    session = phone.call("1002")
    site.icp.sessions[-1].accept(description(*OFFICE))
    site.wire.deliver()
    assert session.up and session.timer.interval == 300
    assert "422" in [c.what for c in site.wire.log]
    session.hang_up()
    over(site)

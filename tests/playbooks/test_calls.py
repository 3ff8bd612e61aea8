"""Calls through the gateway, as tables of what goes over the wire."""

import pytest

from opx import sdp
from opx.gateway.media.interface import Side
from opx.gateway.signalling.calls import CallPolicy
from opx.gateway.signalling.signalling import SignallingPolicy
from opx.sip import events
from opx.sip.flow import Flow
from opx.sip.message import Request
from support.site import HOME, INNER, INSIDE, OUTSIDE, Phone, Site, description

SET_UP = """
    phone1 -> gateway: INVITE sdp
    gateway -> phone1: 407
    phone1 -> gateway: ACK
    phone1 -> gateway: INVITE sdp
    gateway -> phone1: 100
    gateway -> icp: INVITE sdp
    icp -> gateway: 407
    gateway -> icp: ACK
    gateway -> icp: INVITE sdp
    icp -> gateway: 100
    icp -> gateway: 180
    gateway -> phone1: 180
"""

ANSWER = """
    icp -> gateway: 200 sdp
    gateway -> phone1: 200 sdp
    gateway -> icp: ACK
    phone1 -> gateway: ACK
"""


def registered(policy: SignallingPolicy | None = None) -> tuple[Site, Phone]:
    site = Site(policy)
    phone = site.phone(1)
    phone.register()
    site.wire._told = len(site.wire.log)
    return site, phone


def established() -> tuple[Site, Phone]:
    site, phone = registered()
    phone.call("1002")
    site.icp.sessions[0].accept(description("10.9.8.101", 6100))
    site.wire.expect(SET_UP + ANSWER)
    return site, phone


def incoming() -> tuple[Site, Phone]:
    site, phone = registered()
    site.icp.call("1001")
    phone.sessions[0].accept(description("192.168.1.7", 40000))
    site.wire.expect("""
        icp -> gateway: INVITE sdp
        gateway -> phone1: INVITE sdp
        gateway -> icp: 100
        phone1 -> gateway: 100
        phone1 -> gateway: 180
        gateway -> icp: 180
        phone1 -> gateway: 200 sdp
        gateway -> phone1: ACK
        gateway -> icp: 200 sdp
        icp -> gateway: ACK
    """)
    return site, phone


def test_a_call_to_the_office_with_a_challenge_on_each_leg() -> None:
    site, phone = established()
    assert phone.events == [events.Progress(180, b""), phone.events[1]]
    assert isinstance(phone.events[1], events.Answered)
    phone.sessions[0].hang_up()
    site.wire.expect("""
        phone1 -> gateway: BYE
        gateway -> phone1: 200
        gateway -> icp: BYE
        icp -> gateway: 200
    """)
    assert site.icp.events[-1] == events.Ended(events.Cause.BYE)
    assert "call to 1002: answered, 0 s (the caller hung up)" in site.texts()
    assert site.desk.open_calls == set()
    site.wire.advance(60)
    assert len(site.signalling.calls) == 0
    assert site.signalling.set_agent.dialogs == site.signalling.icp_agent.dialogs == 0


def test_a_call_from_the_office_rings_the_set_on_its_own_flow() -> None:
    site, _ = incoming()
    invite = next(c for c in site.wire.log if c.what == "INVITE" and c.target == (HOME, 40001))
    assert isinstance(invite.message, Request)
    assert invite.message.uri == "sip:tw1@192.168.1.1:5060"
    assert invite.message.from_.display == "Office"
    assert invite.message.from_.uri.user == "1002"
    assert invite.message.from_.uri.host == OUTSIDE
    site.icp.sessions[0].hang_up()
    site.wire.expect("""
        icp -> gateway: BYE
        gateway -> phone1: BYE
        gateway -> icp: 200
        phone1 -> gateway: 200
    """)


@pytest.mark.parametrize("lost", range(25))
def test_any_one_lost_datagram_of_a_call_is_made_good(lost: int) -> None:
    site, phone = registered()
    before = len(site.wire.log)
    site.wire.lose = lambda carried: any(carried is c for c in site.wire.log[before + lost : before + lost + 1])
    phone.call("1002")
    site.wire.advance(5)
    site.icp.sessions[-1].accept(description("10.9.8.101", 6100))
    site.wire.advance(5)
    assert [e for e in phone.events if isinstance(e, events.Answered)]
    phone.sessions[0].hang_up()
    site.wire.advance(40)
    assert [e for e in site.icp.events if isinstance(e, events.Ended)] == [events.Ended(events.Cause.BYE)]
    assert len(site.signalling.calls) == 0
    assert site.desk.open_calls == set()


def test_doubled_datagrams_of_a_call_change_nothing() -> None:
    site, phone = registered()
    site.wire.double = True
    phone.call("1002")
    site.wire.advance(1)
    assert len(site.icp.sessions) == 1
    site.icp.sessions[0].accept(description("10.9.8.101", 6100))
    site.wire.advance(1)
    assert len([e for e in phone.events if isinstance(e, events.Answered)]) == 1
    phone.sessions[0].hang_up()
    site.wire.advance(40)
    assert len(site.signalling.calls) == 0


def test_the_caller_gives_up_while_it_rings() -> None:
    site, phone = registered()
    phone.call("1002")
    site.wire.expect(SET_UP)
    phone.sessions[0].hang_up()
    site.wire.expect("""
        phone1 -> gateway: CANCEL
        gateway -> phone1: 200
        gateway -> phone1: 487
        gateway -> icp: CANCEL
        icp -> gateway: 200
        icp -> gateway: 487
        phone1 -> gateway: ACK
        gateway -> icp: ACK
    """)
    assert site.icp.events == [events.Cancelled()]
    assert "call to 1002: cancelled (the caller gave up)" in site.texts()


def test_the_office_gives_up_while_the_set_rings() -> None:
    site, phone = registered()
    site.icp.call("1001").hang_up()
    site.wire.advance(1)
    assert phone.events == [events.Cancelled()]
    assert len(site.signalling.calls) == 0


def test_an_answer_that_crosses_the_cancel_is_taken_and_ended() -> None:
    site, phone = registered()
    phone.call("1002")
    site.wire.expect(SET_UP)
    site.icp.sessions[0].accept(description("10.9.8.101", 6100))
    site.wire.lose = lambda carried: carried.what == "200" and carried.source == site.icp.address
    site.wire.deliver()
    phone.sessions[0].hang_up()
    site.wire.deliver()
    site.wire.lose = lambda carried: False
    site.wire.advance(40)
    assert site.icp.events[-1] == events.Ended(events.Cause.BYE)
    assert len(site.signalling.calls) == 0


@pytest.mark.parametrize("status", [404, 480, 486, 603])
def test_a_refusal_of_the_icp_reaches_the_set(status: int) -> None:
    site, phone = registered()
    phone.call("1002")
    site.icp.sessions[0].reject(status)
    site.wire.deliver()
    assert phone.events[-1] == events.Refused(status)


def test_a_busy_set_is_busy_to_the_office() -> None:
    site, phone = registered()
    site.icp.call("1001")
    phone.sessions[0].reject(486)
    site.wire.deliver()
    assert site.icp.events[-1] == events.Refused(486)


def test_wrong_icp_credentials_give_the_set_503_for_a_call() -> None:
    site, phone = registered()
    site.icp.refuse_credentials = True
    phone.call("1002")
    assert isinstance(phone.events[-1], events.Refused) and phone.events[-1].status == 503


def test_hold_and_resume_from_the_set() -> None:
    site, phone = established()
    ports = site.desk.orders[-3:]
    phone.sessions[0].offer(description("192.168.1.7", 40000, sdp.Direction.SENDONLY, 2))
    site.wire.expect("""
        phone1 -> gateway: INVITE sdp
        gateway -> phone1: 100
        gateway -> icp: INVITE sdp
        icp -> gateway: 100
    """)
    offered = site.icp.events[-1]
    assert isinstance(offered, events.Offered)
    audio = sdp.parse(offered.sdp).audio
    assert audio is not None and audio.direction is sdp.Direction.SENDONLY
    site.icp.sessions[0].answer_offer(description("10.9.8.101", 6100, sdp.Direction.RECVONLY, 2))
    site.wire.expect("""
        icp -> gateway: 200 sdp
        gateway -> phone1: 200 sdp
        gateway -> icp: ACK
        phone1 -> gateway: ACK
    """)
    assert site.desk.orders[-1] == ("hold", "True")
    phone.sessions[0].offer(description("192.168.1.7", 40000, version=3))
    site.wire.deliver()
    site.icp.sessions[0].answer_offer(description("10.9.8.101", 6100, version=3))
    site.wire.deliver()
    assert site.desk.orders[-1] == ("hold", "False")
    assert ports


def test_the_ports_stay_the_same_for_the_whole_dialog() -> None:
    site, phone = established()
    phone.sessions[0].offer(description("192.168.1.7", 41000, sdp.Direction.SENDONLY, version=2))
    site.wire.deliver()
    site.icp.sessions[0].answer_offer(description("10.9.8.101", 6200, sdp.Direction.RECVONLY, version=2))
    site.wire.deliver()
    bodies = [sdp.parse(c.message.body) for c in site.wire.log if c.message.body and c.source[0] in (OUTSIDE, INSIDE)]
    ports = {(str(b.origin.connection.address), b.audio.port) for b in bodies if b.audio}
    assert len(ports) == 2
    versions = [b.origin.version for b in bodies if b.origin.connection.address == INSIDE]
    assert versions == sorted(versions)


def test_hold_from_the_office() -> None:
    site, phone = established()
    site.icp.sessions[0].offer(description("10.9.8.101", 6100, sdp.Direction.INACTIVE, 2))
    site.wire.deliver()
    assert isinstance(phone.events[-1], events.Offered)
    phone.sessions[0].answer_offer(description("192.168.1.7", 40000, sdp.Direction.INACTIVE, 2))
    site.wire.deliver()
    assert isinstance(site.icp.events[-1], events.OfferAnswered)


def test_re_invites_that_cross_are_both_put_off_and_one_comes_through() -> None:
    site, phone = established()
    phone.sessions[0].offer(description("192.168.1.7", 40000, sdp.Direction.SENDONLY, 2))
    site.icp.sessions[0].offer(description("10.9.8.101", 6100, sdp.Direction.SENDONLY, 2))
    for _ in range(100):
        site.wire.advance(0.1)
        for session in (*phone.sessions, *site.icp.sessions):
            if session.offered:
                session.answer_offer(description("10.9.8.101", 6100, sdp.Direction.RECVONLY, 3))
    assert [e for e in (*phone.events, *site.icp.events) if isinstance(e, events.OfferAnswered)]
    phone.sessions[0].hang_up()
    site.wire.advance(40)
    assert len(site.signalling.calls) == 0


def test_a_late_offer_is_answered_in_the_ack() -> None:
    site, phone = registered()
    phone.call("1002", offer=b"")
    site.icp.sessions[0].accept(description("10.9.8.101", 6100))
    site.wire.deliver()
    answered = phone.events[-1]
    assert isinstance(answered, events.Answered) and answered.sdp
    phone.sessions[0].acknowledge(description("192.168.1.7", 40000, version=2))
    site.wire.deliver()
    confirmed = site.icp.events[-1]
    assert isinstance(confirmed, events.Confirmed) and confirmed.sdp


def test_a_call_to_a_set_whose_connection_is_gone_gets_480() -> None:
    site, phone = registered()
    site.signalling.set_agent.connection_lost(Flow("UDP", (OUTSIDE, 5060), (HOME, 40001)))
    site.icp.call("1001")
    assert site.icp.events[-1] == events.Refused(480)
    phone.register()
    site.icp.call("1001")
    assert len(phone.sessions) == 1


def test_a_call_to_a_set_that_is_not_registered_gets_480() -> None:
    site = Site()
    site.icp.contacts["1001"] = f"sip:1001@{INSIDE}:5060;opx=1"
    site.icp.call("1001")
    assert site.icp.events[-1] == events.Refused(480)


def test_a_call_from_a_set_that_is_not_registered_is_refused_but_not_an_emergency() -> None:
    site = Site(SignallingPolicy(calls=CallPolicy(emergency_numbers=frozenset(("112",)))))
    phone = site.phone(1)
    phone.call("1002")
    assert phone.events[-1] == events.Refused(403)
    phone.call("112")
    assert len(site.icp.sessions) == 1


def test_too_many_calls_of_a_device_are_refused_but_not_an_emergency() -> None:
    policy = CallPolicy(max_calls_per_device=1, emergency_numbers=frozenset(("112",)))
    site, phone = registered(SignallingPolicy(calls=policy))
    phone.call("1002")
    phone.call("1003")
    assert phone.events[-1] == events.Refused(503, retry_after=10)
    phone.call("112")
    assert len(site.icp.sessions) == 2


def test_no_free_media_ports_refuse_a_call_with_503() -> None:
    site, phone = registered()
    site.desk.full = True
    phone.call("1002")
    assert phone.events[-1] == events.Refused(503, retry_after=10)
    assert len(site.signalling.calls) == 0


def test_a_call_without_a_usable_description_gets_488() -> None:
    site, phone = registered()
    phone.call("1002", offer=b"v=0\r\nnonsense\r\n")
    assert phone.events[-1] == events.Refused(488)
    assert len(site.signalling.calls) == 0


def test_silence_in_both_directions_ends_a_call() -> None:
    site, phone = established()
    site.signalling.calls.silent(next(iter(site.desk.open_calls)))
    site.wire.deliver()
    assert phone.events[-1] == events.Ended(events.Cause.BYE)
    assert site.icp.events[-1] == events.Ended(events.Cause.BYE)
    assert any("no media in either direction" in text for text in site.texts())


def test_an_answer_that_is_never_acknowledged_ends_the_call() -> None:
    site, phone = registered()
    phone.call("1002")
    site.wire.lose = lambda carried: carried.what == "ACK" and carried.source == (HOME, 40001)
    site.icp.sessions[0].accept(description("10.9.8.101", 6100))
    site.wire.advance(34)
    assert site.icp.events[-1] == events.Ended(events.Cause.BYE)
    assert len(site.signalling.calls) == 0


def test_a_callee_that_never_answers_is_cancelled_in_the_end() -> None:
    site, phone = registered()
    phone.call("1002")
    site.wire.advance(185)
    assert isinstance(phone.events[-1], events.Refused)
    assert site.icp.events[-1] == events.Cancelled()


def test_requests_within_a_call_from_elsewhere_need_the_sets_credentials() -> None:
    site, phone = established()
    call = next(iter(site.signalling.calls._calls.values()))
    leg = call.set_leg
    assert leg is not None and leg.dialog is not None
    bye = leg.dialog.request("BYE")
    stranger = Request.new("BYE", f"sip:{OUTSIDE}")
    stranger.add("via", "SIP/2.0/UDP 198.18.9.9:5060;branch=z9hG4bKstranger")
    stranger.add("from", bye.get("to") or "")
    stranger.add("to", bye.get("from") or "")
    stranger.add("call-id", bye.call_id)
    stranger.add("cseq", "99 BYE")
    site.signalling.set_agent.receive(stranger.encode(), Flow("UDP", (OUTSIDE, 5060), ("198.18.9.9", 5060)))
    assert b"407" in site.signalling.set_agent.layer.outgoing[0][1].split(b"\r\n")[0]
    site.wire.deliver()
    assert len(site.signalling.calls) == 1
    phone.sessions[0].hang_up()
    site.wire.deliver()
    assert len(site.signalling.calls) == 0


def test_a_cancel_from_elsewhere_ends_nothing() -> None:
    site, phone = registered()
    phone.call("1002")
    invite = [c for c in site.wire.log if c.what == "INVITE" and c.source == (HOME, 40001)][-1]
    cancel = invite.data.replace(b"INVITE", b"CANCEL")
    site.signalling.set_agent.receive(cancel, Flow("UDP", (OUTSIDE, 5060), ("198.18.9.9", 40001)))
    site.wire.deliver()
    assert len(site.signalling.calls) == 1


def test_a_set_that_moves_takes_its_call_along() -> None:
    site, _ = established()
    other = site.phone(1, host="198.18.0.9")
    other.register()
    assert ("relatch", "set") in site.desk.orders
    site.icp.sessions[0].hang_up()
    site.wire.deliver()
    assert [c for c in site.wire.log if c.what == "BYE" and c.target == ("198.18.0.9", 40001)]


def test_a_disabled_device_loses_its_call() -> None:
    site, phone = established()
    site.devices = site.devices[1:]
    site.load()
    site.wire.advance(1)
    assert phone.events[-1] == events.Ended(events.Cause.BYE)
    assert site.icp.events[-1] == events.Ended(events.Cause.BYE)


def test_the_relay_lets_in_only_the_address_that_the_signalling_comes_from() -> None:
    site, _ = established()
    assert ("connect", Side.SET.value, HOME, "-") in site.desk.orders
    assert ("connect", Side.ICP.value, "10.9.8.101", "6100") in site.desk.orders
    assert not any("192.168.1.7" in order for order in site.desk.orders)


def test_no_inside_address_reaches_the_set_side_in_whole_flows() -> None:
    site, phone = established()
    site.icp.sessions[0].offer(description("10.9.8.101", 6100, sdp.Direction.SENDONLY, 2))
    site.wire.deliver()
    phone.sessions[0].answer_offer(description("192.168.1.7", 40000, sdp.Direction.RECVONLY, 2))
    site.wire.deliver()
    site.icp.sessions[0].hang_up()
    site.wire.advance(1)
    site.icp.call("1001")
    phone.sessions[1].accept(description("192.168.1.7", 40000))
    site.wire.advance(1)
    phone.sessions[1].hang_up()
    phone.call("1002")
    site.icp.sessions[-1].reject(
        404, (("warning", '399 10.9.8.20 "see 10.9.8.20"'), ("p-asserted-identity", "<sip:x@10.9.8.20>"))
    )
    site.wire.advance(1)
    leaky = description("10.9.8.101", 6100).replace(b"s=-", b"s=10.9.8.101")
    leaky += b"a=rtcp:6101 IN IP4 10.9.8.101\r\na=candidate:1 1 UDP 1 10.9.8.101 6100 typ host\r\na=x-10.9.8.101\r\n"
    site.icp.call("1001", offer=leaky)
    site.wire.advance(1)
    assert len(phone.sessions) == 4
    assert INNER.findall(site.set_side_bytes()) == []

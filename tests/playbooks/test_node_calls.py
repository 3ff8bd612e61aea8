"""Calls with a PBX of several nodes: which of them gets a call, and which may make one."""

import pytest

from opx.gateway.signalling.calls import CallPolicy
from opx.gateway.signalling.icp_call import IcpCallPolicy
from opx.gateway.signalling.signalling import SignallingPolicy
from opx.sip import events
from support.nodes import refused_with, registered
from support.site import FakeIcp, description

ASKED = """
    phone1 -> gateway: INVITE sdp
    gateway -> phone1: 407
    phone1 -> gateway: ACK
    phone1 -> gateway: INVITE sdp
    gateway -> phone1: 100
"""
AT_OTHER = """
    gateway -> other: INVITE sdp
    other -> gateway: 407
    gateway -> other: ACK
    gateway -> other: INVITE sdp
    other -> gateway: 100
    other -> gateway: 180
    gateway -> phone1: 180
"""


def test_a_call_that_meets_a_dead_node_is_placed_at_the_next_one() -> None:
    site, (phone,) = registered()
    site.icp.die()
    phone.call("1002")
    site.wire.expect(ASKED + "gateway -> icp: INVITE sdp")
    site.wire.advance(5.2)
    invites = [c for c in site.wire.log if c.what == "INVITE" and c.target == site.other.address]
    assert len(invites) == 2
    assert "call to 1002: node 10.9.8.20:5060 gave no answer, trying node 10.9.8.21:5060" in site.texts()
    site.other.sessions[0].accept(description("10.9.8.101", 6100))
    site.wire.advance(1)
    assert isinstance(phone.events[-1], events.Answered)
    phone.sessions[0].hang_up()
    site.wire.advance(40)
    assert site.other.events[-1] == events.Ended(events.Cause.BYE)
    assert len(site.signalling.calls) == 0
    assert site.signalling.icp_agent.dialogs == site.signalling.set_agent.dialogs == 0


def test_nodes_without_a_way_to_them_are_passed_over_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for gone, told in ((1, None), (2, events.Refused(503, retry_after=30))):
        site, (phone,) = registered()
        unreachable = [node.address[0] for node in (site.icp, site.other)][:gone]
        face = site.signalling.icp_agent.flows
        way = face.flow_to
        monkeypatch.setattr(face, "flow_to", lambda to, way=way, gone=unreachable: None if to.host in gone else way(to))
        phone.call("1002")
        if told is not None:
            assert phone.events[-1] == told
            assert len(site.signalling.calls) == 0
            continue
        site.other.sessions[0].accept(description("10.9.8.101", 6100))
        site.wire.deliver()
        phone.sessions[0].hang_up()
        site.wire.advance(1)
        assert site.other.events[-1] == events.Ended(events.Cause.BYE)


def test_the_second_call_does_not_wait_for_a_dead_node() -> None:
    site, (phone,) = registered()
    site.icp.die()
    phone.call("1002")
    site.wire.advance(10)
    since = len(site.wire.log)
    phone.call("1003")
    assert site.sent("INVITE", site.icp, since) == []
    assert len(site.other.sessions) == 2


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_call_that_one_node_cannot_serve_is_placed_at_the_next(status: int) -> None:
    site, (phone,) = registered()
    site.icp.says = refused_with(status)
    phone.call("1002")
    site.wire.expect(
        ASKED
        + f"""
        gateway -> icp: INVITE sdp
        icp -> gateway: {status}
        gateway -> icp: ACK
        """
        + AT_OTHER
    )
    assert f"call to 1002: node 10.9.8.20:5060 answered {status}, trying node 10.9.8.21:5060" in site.texts()
    assert site.icp.address[0] not in site.set_side_bytes().decode()


@pytest.mark.parametrize("lost", range(24))
def test_any_one_lost_datagram_of_a_call_that_fails_over_is_made_good(lost: int) -> None:
    site, (phone,) = registered()
    site.icp.says = refused_with(503)
    before = len(site.wire.log)
    site.wire.lose = lambda carried: any(carried is c for c in site.wire.log[before + lost : before + lost + 1])
    phone.call("1002")
    site.wire.advance(5)
    site.other.sessions[-1].accept(description("10.9.8.101", 6100))
    site.wire.advance(5)
    assert [e for e in phone.events if isinstance(e, events.Answered)]
    phone.sessions[0].hang_up()
    site.wire.advance(40)
    assert site.other.events[-1] == events.Ended(events.Cause.BYE)
    assert len(site.signalling.calls) == 0
    assert site.desk.open_calls == set()


def test_when_every_node_refuses_the_last_word_counts() -> None:
    site, (phone,) = registered()
    site.icp.says, site.other.says = refused_with(503), refused_with(504)
    phone.call("1002")
    assert phone.events[-1] == events.Refused(504)
    assert len(site.signalling.calls) == 0


def test_how_many_nodes_a_call_tries_is_bounded() -> None:
    policy = SignallingPolicy(calls=CallPolicy(icp=IcpCallPolicy(max_tries=1)))
    site, (phone,) = registered(policy)
    site.icp.says = refused_with(500)
    phone.call("1002")
    assert phone.events[-1] == events.Refused(500)
    assert site.sent("INVITE", site.other) == []


@pytest.mark.parametrize("status", [404, 408, 480, 486, 488, 600, 603, 604])
def test_a_refusal_of_the_called_party_is_not_taken_to_another_node(status: int) -> None:
    site, (phone,) = registered()
    site.icp.says = refused_with(status)
    phone.call("1002")
    assert phone.events[-1] == events.Refused(status)
    assert site.sent("INVITE", site.other) == []


def test_once_it_rings_no_other_node_is_tried() -> None:
    site, (phone,) = registered()
    phone.call("1002")
    site.icp.sessions[0].reject(500)
    site.wire.deliver()
    assert phone.events[-1] == events.Refused(500)
    assert site.sent("INVITE", site.other) == []


def test_a_node_that_has_taken_the_call_up_is_waited_for() -> None:
    site, (phone,) = registered()
    site.icp.says = refused_with(100)
    phone.call("1002")
    site.wire.advance(60)
    assert site.sent("INVITE", site.other) == []
    assert not [e for e in phone.events if isinstance(e, events.Refused)]


def test_a_caller_who_gives_up_meanwhile_is_not_called_for_elsewhere() -> None:
    site, (phone,) = registered()
    site.icp.die()
    phone.call("1002")
    site.wire.advance(2)
    phone.sessions[0].hang_up()
    site.wire.advance(40)
    assert site.sent("INVITE", site.other) == []
    assert len(site.signalling.calls) == 0


def test_a_node_that_answers_after_it_was_passed_over_is_hung_up() -> None:
    site, (phone,) = registered()
    site.wire.lose = lambda carried: carried.source == site.icp.address
    phone.call("1002")
    site.wire.advance(6)
    site.wire.lose = lambda carried: False
    site.wire.advance(4)
    assert len(site.other.sessions) == 1
    for session in site.icp.sessions:
        if session.asked:
            session.accept(description("10.9.8.101", 6100))
    site.wire.advance(40)
    assert [session for session in site.icp.sessions if not session.ended] == []
    assert len(site.signalling.calls) == 1


def test_a_node_that_refuses_a_call_with_a_time_is_left_alone_for_it() -> None:
    site, (phone,) = registered()
    site.icp.says = refused_with(503, ("retry-after", "90"))
    phone.call("1002")
    assert len(site.other.sessions) == 1
    site.icp.says = {}
    since = len(site.wire.log)
    phone.call("1003")
    site.wire.advance(60)
    assert [c.what for c in site.wire.log[since:] if c.target == site.icp.address] == []
    assert len(site.other.sessions) == 2
    assert set(site.other.contacts) == {"1001"}


def test_when_all_nodes_are_down_a_call_gets_503_with_a_time_but_an_emergency_is_tried_at_each() -> None:
    policy = SignallingPolicy(calls=CallPolicy(emergency_numbers=frozenset(("112",))))
    site, (phone,) = registered(policy)
    site.icp.die()
    site.other.die()
    site.wire.advance(40)
    phone.call("1002")
    assert phone.events[-1] == events.Refused(503, retry_after=30)
    site.other.revive()
    phone.call("112")
    site.wire.advance(6)
    assert len(site.other.sessions) == 1


# --- calls from the office


def test_calls_from_either_node_reach_the_phone_and_those_of_a_stranger_do_not() -> None:
    site, (phone,) = registered()
    contact = site.icp.contacts["1001"]
    for node in (site.icp, site.other):
        node.contacts["1001"] = contact
        node.call("1001")
        assert phone.sessions[-1].asked
        phone.sessions[-1].reject(486)
        site.wire.deliver()
        assert node.events[-1] == events.Refused(486)
    stranger = FakeIcp(site, ("10.9.8.66", 5060), name="stranger")
    stranger.contacts["1001"] = contact
    stranger.call("1001")
    assert stranger.events[-1] == events.Refused(403)
    assert len(phone.sessions) == 2


def test_a_call_from_the_second_node_stays_with_it() -> None:
    site, (phone,) = registered()
    site.other.contacts["1001"] = site.icp.contacts["1001"]
    site.other.call("1001")
    phone.sessions[0].accept(description("192.168.1.7", 40000))
    site.wire.deliver()
    phone.sessions[0].hang_up()
    site.wire.deliver()
    assert site.other.events[-1] == events.Ended(events.Cause.BYE)
    assert site.sent("BYE", site.icp) == []

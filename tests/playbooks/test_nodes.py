"""PBXs of several nodes: who serves, what happens when one does not, and when it comes back."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from opx.gateway.repository import NodeAddress
from opx.gateway.signalling.nodes import ProbePolicy
from opx.gateway.signalling.signalling import SignallingPolicy
from opx.sip import events
from opx.sip.flow import Destination
from opx.sip.locating import Candidate
from opx.sip.message import Request
from opx.sip.notifier import Notifier
from opx.sip.registration import RegistrationState
from opx.sip.subscriber import Closed, Notified, Subscriber, SubscriberEvent
from opx.sip.subscription import EventType
from opx.sip.transactions import ServerTransaction
from support.nodes import OTHER, TwoNodes, refused_with, registered
from support.site import ICP, INSIDE, OUTSIDE, FakeIcp, Phone
from support.watching import summary

FAILBACK = 60.0


# --- registrations


def test_a_device_is_registered_at_the_first_node_and_its_timeline_names_it() -> None:
    site, _ = registered()
    assert set(site.icp.contacts) == {"1001"}
    assert site.other.contacts == {}
    assert "registered at node 10.9.8.20:5060 of ICP Node 1" in site.texts()


def test_a_first_register_that_meets_a_dead_node_is_answered_by_the_next_one() -> None:
    site = TwoNodes()
    site.icp.die()
    phone = site.phone(1)
    phone.register()
    site.wire.advance(6)
    assert phone.registration.registered
    assert set(site.other.contacts) == {"1001"}
    assert site.other.registers[-1].uri == f"sip:{OTHER}"
    assert site.other.registers[-1].to.uri.host == OTHER


def test_registrations_move_when_their_node_is_down_with_the_load_spread_and_phones_notice_nothing() -> None:
    site, phones = registered(SignallingPolicy(icp_spread=1.0), devices=5)
    site.icp.die()
    site.wire.advance(30)
    down = next(e.at for e in site.entries if "is down" in e.text)
    assert len(site.other.contacts) == 5
    first = {c.message.call_id: c for c in reversed(site.sent("REGISTER", site.other))}
    assert len(first) == 5
    assert site.wire.wheel.now - down >= 4
    assert "ICP Node 1, node 10.9.8.20:5060, is down: no answer to OPTIONS" in site.texts()
    for phone in phones:
        assert {result.state for result in phone.results} == {RegistrationState.REGISTERED}


def test_moved_registrations_go_out_as_slowly_as_the_spread_says() -> None:
    site, _ = registered(SignallingPolicy(icp_spread=0.5), devices=5)
    site.icp.die()
    moved: list[float] = []
    while len(moved) < 5:
        site.wire.advance(0.5)
        moved += [site.wire.wheel.now] * (len(site.other.contacts) - len(moved))
        assert site.wire.wheel.now < 60
    assert [round(later - earlier) for earlier, later in pairwise(moved)] == [2, 2, 2, 2]


def test_registrations_come_back_when_the_first_node_has_answered_for_long_enough() -> None:
    site, _ = registered()
    site.icp.die()
    site.wire.advance(30)
    site.icp.registers.clear()
    site.icp.revive()
    site.wire.advance(FAILBACK - 1)
    assert site.icp.registers == []
    site.wire.advance(15)
    assert len(site.icp.registers) == 1
    assert all(register.expires != 0 for register in site.other.registers)
    assert site.texts().count("registered at node 10.9.8.20:5060 of ICP Node 1") == 2


def test_a_node_that_comes_and_goes_is_not_returned_to() -> None:
    site, phones = registered()
    for _ in range(6):
        site.icp.die()
        site.wire.advance(30)
        site.icp.registers.clear()
        site.icp.revive()
        site.wire.advance(40)
        assert site.icp.registers == []
    assert site.other.registers != []
    assert phones[0].registration.registered


def test_a_node_that_is_back_serves_at_once_when_no_other_one_does() -> None:
    site, _ = registered()
    site.icp.die()
    site.other.die()
    site.wire.advance(40)
    assert "ICP Node 1 is down: none of its nodes answers" in site.texts()
    site.other.revive()
    site.wire.advance(11)
    assert set(site.other.contacts) == {"1001"}


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_register_that_one_node_cannot_serve_goes_to_the_next(status: int) -> None:
    site = TwoNodes()
    site.icp.says["REGISTER"] = (status, ())
    phone = site.phone(1)
    phone.register()
    site.wire.expect(f"""
        phone1 -> gateway: REGISTER
        gateway -> phone1: 401
        phone1 -> gateway: REGISTER
        gateway -> icp: REGISTER
        icp -> gateway: {status}
        gateway -> other: REGISTER
        other -> gateway: 401
        gateway -> other: REGISTER
        other -> gateway: 200
        gateway -> phone1: 200
    """)
    site.icp.says.clear()
    site.wire.advance(301)
    assert set(site.icp.contacts) == {"1001"}, "it is tried again, although it never went down"


@pytest.mark.parametrize("status", [403, 404, 420, 421, 494, 600, 604])
def test_a_register_that_the_pbx_refuses_is_not_taken_to_its_other_node(status: int) -> None:
    site = TwoNodes()
    site.icp.says["REGISTER"] = (status, ())
    phone = site.phone(1)
    phone.register()
    assert phone.last.status == 503
    assert phone.last.retry_after is not None
    assert site.other.registers == []


@pytest.mark.parametrize("lost", range(10))
def test_any_one_lost_datagram_of_a_registration_that_moves_is_made_good(lost: int) -> None:
    site = TwoNodes()
    site.icp.says["REGISTER"] = (503, ())
    before = len(site.wire.log)
    site.wire.lose = lambda carried: any(carried is c for c in site.wire.log[before + lost : before + lost + 1])
    phone = site.phone(1)
    phone.register()
    site.wire.advance(10)
    assert phone.registration.registered
    assert set(site.other.contacts) == {"1001"}


@pytest.mark.parametrize("status", [301, 302])
def test_a_redirected_register_goes_to_a_node_of_the_same_pbx(status: int) -> None:
    site = TwoNodes()
    site.icp.says["REGISTER"] = (status, (("contact", f"<sip:{OTHER}:5060>"),))
    phone = site.phone(1)
    phone.register()
    assert phone.registration.registered
    assert set(site.other.contacts) == {"1001"}


def test_a_redirected_register_goes_nowhere_else() -> None:
    site = TwoNodes()
    stranger = FakeIcp(site, ("10.9.8.66", 5060), name="stranger")
    site.icp.says["REGISTER"] = (302, (("contact", "<sip:10.9.8.66:5060>"),))
    phone = site.phone(1)
    phone.register()
    assert phone.last.status == 503
    assert stranger.node.requests == []
    assert any("did not accept the registration: it answered 302" in text for text in site.texts())


def test_nodes_that_redirect_to_each_other_are_asked_once_each() -> None:
    site = TwoNodes()
    site.icp.says["REGISTER"] = (302, (("contact", f"<sip:{OTHER}>"),))
    site.other.says["REGISTER"] = (302, (("contact", f"<sip:{ICP}>"),))
    phone = site.phone(1)
    phone.register()
    assert phone.last.status == 503
    assert len(site.sent("REGISTER", site.icp)) == len(site.sent("REGISTER", site.other)) == 1


def test_a_node_that_asks_to_be_left_alone_is() -> None:
    site, _ = registered()
    site.icp.says["OPTIONS"] = (503, (("retry-after", "120"),))
    site.wire.advance(11)
    since = len(site.wire.log)
    site.icp.says.clear()
    site.wire.advance(100)
    assert [c.what for c in site.wire.log[since:] if c.target == site.icp.address] == []
    assert set(site.other.contacts) == {"1001"}
    site.wire.advance(20 + FAILBACK)
    assert site.sent("REGISTER", site.icp, since)


def test_what_a_node_asks_for_is_bounded() -> None:
    site, _ = registered(SignallingPolicy(probe=ProbePolicy(max_retry_after=40)))
    site.icp.says["OPTIONS"] = (503, (("retry-after", "86400"),))
    site.wire.advance(11)
    since = len(site.wire.log)
    site.wire.advance(50)
    assert site.sent("OPTIONS", site.icp, since)


def test_a_node_that_is_added_takes_nothing_away_from_registered_phones() -> None:
    site, phones = registered()
    before = len(site.icp.registers)
    site.icp_records[0] = replace(site.icp_records[0], nodes=(NodeAddress("10.9.8.22", 5060),))
    site.load()
    site.wire.advance(1)
    assert phones[0].registration.registered
    assert len(site.signalling.registrar.bindings) == 1
    assert len(site.icp.registers) == before


# --- what else is at a node


def test_a_lamp_moves_with_the_node_and_back_and_the_phone_keeps_its_subscription() -> None:
    site, (phone,) = registered()
    held: dict[str, list[Notifier]] = {"icp": [], "other": []}
    for node in (site.icp, site.other):

        def subscribe(transaction: ServerTransaction, node: FakeIcp = node) -> None:
            notifier = Notifier(node.node.agent, lambda heard: None, transaction, contact=node.uri)
            notifier.accept()
            notifier.notify(summary(len(held[node.name])))
            held[node.name].append(notifier)

        node.handlers["SUBSCRIBE"] = subscribe
    told: list[SubscriberEvent] = []
    subscriber = Subscriber(
        phone.node.agent,
        told.append,
        Destination("UDP", OUTSIDE, 5060),
        uri=f"sip:tw1@{OUTSIDE}",
        from_=f"<sip:tw1@{OUTSIDE}>",
        to=f"<sip:tw1@{OUTSIDE}>",
        contact=phone.contact,
        event=EventType("message-summary"),
        accept=("application/simple-message-summary",),
        credentials=phone.credentials,
    )
    subscriber.start()
    site.wire.advance(1)
    assert [len(each) for each in held.values()] == [1, 0]
    site.icp.die()
    site.wire.advance(30)
    assert [len(each) for each in held.values()] == [1, 1]
    site.icp.revive()
    site.wire.advance(FAILBACK + 15)
    assert [len(each) for each in held.values()] == [2, 1]
    assert held["other"][0].over, "the node that stood in is told that it is not needed any more"
    assert not [event for event in told if isinstance(event, Closed)]
    assert len([event for event in told if isinstance(event, Notified)]) >= 3


def test_a_message_goes_to_the_node_that_serves() -> None:
    site, (phone,) = registered()
    site.icp.die()
    site.wire.advance(30)
    message = Request.new("MESSAGE", f"sip:1002@{OUTSIDE}")
    for name, value in (
        ("max-forwards", "70"),
        ("from", f"<sip:tw1@{OUTSIDE}>;tag=m"),
        ("to", f"<sip:1002@{OUTSIDE}>"),
        ("call-id", "message-1"),
        ("cseq", "1 MESSAGE"),
        ("content-type", "text/plain"),
    ):
        message.add(name, value)
    message.body = b"Hello"
    phone.node.agent.exchange(
        message, Destination("UDP", OUTSIDE, 5060), lambda outcome: None, credentials=phone.credentials
    )
    site.wire.advance(1)
    assert site.sent("MESSAGE", site.other)
    assert not site.sent("MESSAGE", site.icp)


# --- names


def located(site: TwoNodes, *candidates: Candidate) -> None:
    site.signalling.located(NodeAddress("pbx.example", None, "UDP"), candidates)


def named(devices: int = 1) -> tuple[TwoNodes, list[Phone]]:
    site = TwoNodes(devices=devices)
    site.icp_records = [replace(site.icp_records[0], host="pbx.example", port=None, nodes=())]
    site.load()
    return site, [site.phone(number, port=40000 + number) for number in range(1, devices + 1)]


def test_a_name_is_kept_in_addresses_and_its_servers_are_nodes() -> None:
    site, (phone,) = named()
    phone.register()
    assert phone.last.status == 503, "nobody knows where it is yet"
    located(
        site,
        Candidate(Destination("UDP", ICP, 5060), priority=1),
        Candidate(Destination("UDP", OTHER, 5060), priority=2),
    )
    phone.register()
    assert phone.registration.registered
    assert str(site.icp.registers[0].to.uri) == "sip:1001@pbx.example"
    site.icp.die()
    site.wire.advance(30)
    assert str(site.other.registers[0].to.uri) == "sip:1001@pbx.example"
    phone.call("1002")
    assert site.sent("INVITE", site.other)[-1].message.to.uri.host == "pbx.example"


def test_devices_are_shared_out_among_servers_of_one_priority() -> None:
    site, phones = named(devices=40)
    located(site, *(Candidate(Destination("UDP", host, 5060), 1, weight) for host, weight in ((ICP, 30), (OTHER, 10))))
    for phone in phones:
        phone.register()
    assert len(site.icp.contacts) + len(site.other.contacts) == 40
    assert len(site.icp.contacts) > len(site.other.contacts) > 0


def test_registrations_follow_a_name_that_leads_elsewhere() -> None:
    site, (phone,) = named()
    located(site, Candidate(Destination("UDP", ICP, 5060)))
    phone.register()
    located(site, Candidate(Destination("UDP", OTHER, 5060)))
    site.wire.advance(1)
    assert set(site.other.contacts) == {"1001"}
    site.icp.call("1001")
    assert site.icp.events[-1] == events.Refused(403), "its address is none of the PBX's any more"


def test_no_name_or_address_of_a_node_reaches_the_set_side() -> None:
    site, (phone,) = named()
    located(site, Candidate(Destination("UDP", ICP, 5060)), Candidate(Destination("UDP", OTHER, 5060), 2))
    phone.register()
    site.icp.says = refused_with(503, ("retry-after", "30"))
    site.other.says = refused_with(302, ("contact", "<sip:1009@pbx2.example>"))
    phone.call("1002")
    told = site.set_side_bytes().decode()
    assert not re.search(rf"pbx2?\.example|{re.escape(ICP)}|{re.escape(OTHER)}|{re.escape(INSIDE)}", told)

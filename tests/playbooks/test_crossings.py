"""What crosses on its way through the gateway, or should never have been sent: nothing breaks and nothing is left."""

from dataclasses import replace

import pytest

from opx import sdp
from opx.gateway.signalling.signalling import SignallingPolicy
from opx.sip import events
from opx.sip.answering import attach_sdp
from opx.sip.flow import Destination
from opx.sip.message import Request
from opx.sip.replaces import ReferTo, Replaces
from opx.sip.transactions import ServerTransaction
from support.site import HOME, INNER, INSIDE, OUTSIDE, Site, description
from support.talking import AT_OFFICE, AT_PHONE, name_of, refer, site_with, talking


def over(site: Site) -> None:
    site.wire.advance(300, step=2.0)
    signalling = site.signalling
    assert len(signalling.calls) == len(signalling.calls.transfers) == 0
    assert site.desk.open_calls == set()
    assert signalling.set_agent.dialogs == signalling.icp_agent.dialogs == 0


# --- descriptions where none belongs


def test_a_description_in_an_ack_that_owes_none_is_passed_over() -> None:
    site, phone = site_with()
    session = phone.call("1002")
    site.wire.lose = lambda carried: carried.what == "ACK" and carried.source == phone.address
    site.icp.sessions[-1].accept(description(*AT_OFFICE))
    site.wire.deliver()
    site.wire.lose = lambda carried: False
    session.usage.send_ack(session.usage.need().local_seq, description(*AT_PHONE, version=9))
    site.wire.deliver()
    assert session.up and site.icp.sessions[-1].up
    session.hang_up()
    over(site)


def test_a_description_in_the_prack_of_an_answer_without_one_is_passed_over() -> None:
    site, phone = site_with()
    session = phone.call("1002")
    office = site.icp.sessions[-1]
    site.wire.lose = lambda carried: carried.what == "PRACK" and carried.source == phone.address
    office.progress(180, reliable=True)
    site.wire.deliver()
    site.wire.lose = lambda carried: False
    ringing = next(c.message for c in reversed(site.wire.log) if c.what == "180" and c.target == phone.address)
    prack = session.usage.need().request("PRACK")
    prack.add("rack", f"{ringing.get('rseq')} {ringing.cseq.number} INVITE")
    attach_sdp(prack, description(*AT_PHONE, version=9))
    session.usage.send(prack, lambda outcome: None)
    site.wire.deliver()
    office.accept(description(*AT_OFFICE))
    site.wire.deliver()
    assert session.up
    session.hang_up()
    over(site)


def test_an_ack_that_does_not_answer_the_late_offer_ends_the_call() -> None:
    site, phone = site_with()
    session = phone.call("1002", b"")
    office = site.icp.sessions[-1]
    office.accept(description(*AT_OFFICE))
    site.wire.deliver()
    session.acknowledge(b"")
    site.wire.deliver()
    assert session.ended and office.ended
    over(site)


def test_a_late_offer_within_a_call_that_was_withdrawn_too_late_keeps_what_was_before() -> None:
    site, phone = site_with()
    session, office = talking(site, phone)
    session.offer(b"")
    site.wire.deliver()
    assert office.offered
    site.wire.lose = lambda carried: carried.what == "CANCEL" and carried.target == office.usage.agent.local
    session.withdraw_offer()
    site.wire.deliver()
    office.answer_offer(description(*AT_OFFICE, version=2))
    site.wire.advance(40)
    assert session.up and office.up
    answer = site.icp.events[-1]
    assert isinstance(answer, events.Confirmed)
    audio = sdp.parse(answer.sdp).audio
    assert audio is not None and audio.direction is sdp.Direction.SENDRECV
    session.hang_up()
    over(site)


def test_a_re_invite_without_offer_waits_while_the_caller_has_not_heard_of_the_answer() -> None:
    site, phone = site_with()
    session = phone.call("1002")
    office = site.icp.sessions[-1]
    office.progress(183, description(*AT_OFFICE), reliable=True)
    site.wire.deliver()
    site.wire.lose = lambda carried: carried.what == "PRACK" and carried.source == phone.address
    office.progress(180, reliable=True)
    site.wire.deliver()
    office.accept(b"")
    site.wire.deliver()
    assert office.up and not session.up
    office.offer(b"")
    site.wire.deliver()
    assert "491" in [c.what for c in site.wire.log if c.target == office.usage.agent.local]
    session.hang_up()
    office.hang_up()
    over(site)


# --- transfers


def test_a_set_that_hangs_up_before_its_transfer_is_answered_leaves_nothing() -> None:
    site, phone = site_with()
    session, office = talking(site, phone)
    statuses = refer(session, "1003")
    site.wire.deliver()
    asked = site.icp.events[-1]
    assert isinstance(asked, events.TransferAsked)
    site.wire.lose = lambda carried: carried.what == "BYE" and carried.target == office.usage.agent.local
    session.hang_up()
    site.wire.deliver()
    office.answer_transfer(asked.id, 202)
    office.notify_transfer(200, True)
    site.wire.deliver()
    assert statuses == [487]
    over(site)


def test_a_set_that_forgets_its_transfer_cannot_ask_for_another_beside_it() -> None:
    site, phone = site_with()
    session, office = talking(site, phone)

    def forget(transaction: ServerTransaction) -> bool:
        if transaction.method == "NOTIFY":
            transaction.reply(481)
        return transaction.method != "NOTIFY"

    session._authorize = forget
    refer(session, "1003")
    site.wire.deliver()
    asked = site.icp.events[-1]
    assert isinstance(asked, events.TransferAsked)
    office.answer_transfer(asked.id, 202)
    site.wire.deliver()
    again = session.usage.need().request("REFER")
    again.add("refer-to", f"<sip:1004@{OUTSIDE}>")
    outcomes: list[object] = []
    session.usage.send(again, outcomes.append)
    site.wire.deliver()
    assert [getattr(outcome, "status", None) for outcome in outcomes] == [491]
    assert session.up
    session.hang_up()
    over(site)


def test_a_call_is_not_connected_with_itself() -> None:
    site, phone = site_with(refer=False)
    session, office = talking(site, phone)
    statuses = refer(session, "1002", Replaces(name_of(session)))
    site.wire.deliver()
    assert statuses == [202]
    assert phone.events[-1] == events.TransferProgress(481, True)
    assert session.up and not office.offered
    session.hang_up()
    over(site)


@pytest.mark.parametrize("refused", ["first", "second"])
def test_an_attended_transfer_that_fails_after_the_set_has_left_ends_both_calls(refused: str) -> None:
    site, phone = site_with(refer=False)
    first, one = talking(site, phone, "1002")
    second, other = talking(site, phone, "1003")
    refer(first, "1003", Replaces(name_of(second)))
    site.wire.deliver()
    first.hang_up()
    second.hang_up()
    site.wire.deliver()
    assert one.up and other.up
    if refused == "second":
        one.answer_offer(description(*AT_OFFICE, version=2))
        site.wire.deliver()
        other.refuse_offer(488)
    else:
        one.refuse_offer(488)
    site.wire.deliver()
    assert one.ended and other.ended
    over(site)


def test_a_disabled_device_loses_an_attended_transfer_that_goes_on_without_it() -> None:
    site, phone = site_with(refer=False)
    first, one = talking(site, phone, "1002")
    second, other = talking(site, phone, "1003")
    refer(first, "1003", Replaces(name_of(second)))
    site.wire.deliver()
    first.hang_up()
    second.hang_up()
    site.wire.deliver()
    site.devices[0] = replace(site.devices[0], enabled=False)
    site.load()
    site.wire.deliver()
    assert one.ended and other.ended
    over(site)


def test_a_call_in_one_transfer_takes_no_part_in_another() -> None:
    site, phone = site_with(refer=False)
    first, _ = talking(site, phone, "1002")
    second, _ = talking(site, phone, "1003")
    refer(second, "1004")
    site.wire.deliver()
    statuses = refer(first, "1003", Replaces(name_of(second)))
    site.wire.deliver()
    assert statuses == [491]
    assert first.up and second.up
    first.hang_up()
    second.hang_up()
    site.icp.sessions[-1].reject(486)
    over(site)


def test_transfers_that_go_on_without_the_set_count_as_its_calls() -> None:
    site, phone = site_with(refer=False)
    limit = SignallingPolicy().calls.max_calls_per_device
    for _ in range(limit):
        session, _ = talking(site, phone)
        refer(session, "1003")
        site.wire.deliver()
        session.hang_up()
        site.wire.deliver()
    assert len(site.signalling.calls) == 0 and len(site.signalling.calls.transfers) == limit
    phone.call("1002")
    assert phone.events[-1] == events.Refused(503, 10)
    site.signalling.calls.hang_up_all("test")
    over(site)


# --- what passes


def test_the_parameters_of_a_type_stay_where_they_came_from() -> None:
    site, phone = site_with()
    session, office = talking(site, phone)
    site.wire.log.clear()
    office.ask("MESSAGE", "text/plain;charset=utf-8;host=10.9.8.20", b"hello", lambda status: None)
    site.wire.deliver()
    asked = phone.events[-1]
    assert isinstance(asked, events.Asked)
    assert asked.content_type == "text/plain"
    assert INNER.search(site.set_side_bytes()) is None
    session.answer_request(asked.id, 200)
    session.hang_up()
    over(site)


@pytest.mark.parametrize(("answered", "seen"), [(401, 500), (407, 500), (302, 500), (481, 500), (415, 415)])
def test_a_refusal_that_is_not_meant_for_the_asker_becomes_a_plain_one(answered: int, seen: int) -> None:
    site, phone = site_with()
    session, office = talking(site, phone)

    def refuse(transaction: ServerTransaction) -> bool:
        if transaction.method == "INFO":
            transaction.reply(answered)
        return transaction.method != "INFO"

    office._authorize = refuse
    statuses: list[int] = []
    session.ask("INFO", "application/dtmf", b"1", statuses.append)
    site.wire.deliver()
    assert statuses == [seen]
    assert session.up and office.up
    session.hang_up()
    over(site)


@pytest.mark.parametrize("target", ["tel:1002@evil.example", "tel:10:02", "tel:10[2"])
def test_a_number_that_is_none_does_not_reach_the_icp(target: str) -> None:
    site, phone = site_with()
    session = phone.call("1002")
    session.hang_up()
    site.wire.advance(1)
    before = len(site.icp.sessions)
    request = Request.new("INVITE", target)
    for name, value in (
        ("max-forwards", "70"),
        ("from", f"<sip:tw1@{OUTSIDE}>;tag=a"),
        ("to", f"<{target}>"),
        ("call-id", "tel-call"),
        ("cseq", "1 INVITE"),
        ("contact", f"<{phone.contact}>"),
    ):
        request.add(name, value)
    outcomes: list[object] = []
    phone.node.agent.exchange(
        request, Destination("UDP", OUTSIDE, 5060), outcomes.append, credentials=phone.credentials
    )
    site.wire.deliver()
    assert [getattr(outcome, "status", None) for outcome in outcomes] == [404]
    assert len(site.icp.sessions) == before


def test_a_set_cannot_refer_its_partner_to_what_is_no_number() -> None:
    site, phone = site_with()
    session, _ = talking(site, phone)
    statuses: list[int] = []
    session.refer(ReferTo.parse("<tel:1002@evil.example>"), statuses.append)
    site.wire.deliver()
    assert statuses == [404]
    session.hang_up()
    over(site)


def test_a_second_phone_of_a_device_that_registers_takes_no_call_of_the_first() -> None:
    site = Site(SignallingPolicy(contacts_per_device=2))
    one = site.phone(1)
    one.register()
    session, office = talking(site, one)
    other = site.phone(1, host="203.0.113.99", port=40009, local=("192.168.9.9", 5060))
    other.registration.contact = "sip:tw1@192.168.9.9:5060"
    other.register()
    assert len(site.signalling.registrar.bindings.of(1)) == 2
    office.hang_up()
    site.wire.deliver()
    bye = next(c for c in reversed(site.wire.log) if c.what == "BYE")
    assert bye.target == (HOME, 40001)
    assert session.ended


def test_a_proxy_that_rings_two_phones_with_one_invite_reaches_both() -> None:
    """Forks share Call-ID, From tag and CSeq; they are no copies of one call to one phone (RFC 3261 section 16.6)."""
    site = Site()
    phones = [site.phone(number, port=40000 + number) for number in (1, 2)]
    for phone in phones:
        phone.register()
    session = site.icp.call("1001")
    invite = next(c.message for c in reversed(site.wire.log) if c.what == "INVITE" and c.source == site.icp.address)
    assert isinstance(invite, Request)
    fork = Request.new("INVITE", site.icp.contacts["1002"])
    for name in ("max-forwards", "from", "to", "call-id", "cseq", "contact", "content-type"):
        fork.add(name, invite.need(name))
    fork.body = invite.body
    site.icp.node.agent.exchange(fork, Destination("UDP", INSIDE, 5060), lambda outcome: None)
    site.wire.deliver()
    assert [len(phone.sessions) for phone in phones] == [1, 1]
    session.hang_up()
    for phone in phones:
        phone.sessions[-1].hang_up()
    over(site)

"""Transfers by REFER and by Replaces, on the wire in memory."""

import pytest

from opx.pbx.options import NodeOptions
from opx.sip import events
from opx.sip.bodies.dialog_info import DialogInfo
from opx.sip.dtmf import RELAY
from opx.sip.replaces import DialogName, Replaces
from opx.sip.session import Session
from opx.sip.subscriber import Notified
from support.office import Desk, Office

FOUR = ("1001", "1002", "1003", "1004")


@pytest.fixture
def office() -> Office:
    """1001 has called 1002, and both phones answer re-INVITEs by themselves."""
    made = Office(FOUR)
    for desk in made.desks.values():
        desk.answers_offers = True
    made.connected()
    return made


def talk(office: Office, one: Session, other: Desk) -> None:
    """The end of one ends the other, and nothing is left."""
    one.hang_up()
    office.wire.advance(0.2)
    assert other.events[-1] == events.Ended(events.Cause.BYE)
    assert office.node.calls == set()
    assert +office.node.desk._busy == {}
    assert office.node.agent.dialogs == len(office.node.subscriptions)


def last_offer(desk: Desk) -> bytes:
    return next(event.sdp for event in reversed(desk.events) if isinstance(event, events.Offered))


def test_a_blind_transfer_connects_partner_and_target(office: Office) -> None:
    assert office.one.refer(office.one.last, "1003") == []
    office.wire.deliver()
    assert office.three.invites[-1].from_.uri.user == "1002"
    assert (office.three.invites[-1].get("referred-by") or "").startswith("<sip:1001@")
    assert office.one.told == [(100, False), (180, False)]
    office.three.last.accept(office.three.sdp)
    office.wire.deliver()
    assert last_offer(office.two) == office.three.sdp
    assert office.one.told[-1] == (200, True)
    assert office.one.events[-1] == events.Ended(events.Cause.BYE)
    assert "1001 transfers 1002 to 1003: done" in office.said
    office.wire.advance(60)
    talk(office, office.three.last, office.two)


def test_who_transferred_hears_the_outcome_before_it_is_hung_up(office: Office) -> None:
    office.one.refer(office.one.last, "1003")
    office.wire.deliver()
    office.wire.lose = lambda carried: carried.what == "NOTIFY"
    office.three.last.accept(office.three.sdp)
    office.wire.advance(0.2)
    office.wire.lose = lambda carried: False
    office.wire.advance(2)
    assert office.one.told[-1] == (200, True)
    to_one = [carried for carried in office.wire.log if carried.target == office.one.node.address]
    assert [carried.what for carried in to_one[-3:]] == ["NOTIFY", "NOTIFY", "BYE"]
    talk(office, office.three.last, office.two)


def test_who_hangs_up_before_the_outcome_is_told_is_not_hung_up_again(office: Office) -> None:
    office.one.refer(office.one.last, "1003")
    office.wire.deliver()
    office.wire.lose = lambda carried: carried.what == "NOTIFY"
    office.three.last.accept(office.three.sdp)
    office.wire.advance(0.2)
    office.one.last.hang_up()
    office.wire.lose = lambda carried: False
    office.wire.advance(2)
    byes = [carried for carried in office.wire.log if carried.what == "BYE"]
    assert [carried.source for carried in byes] == [office.one.node.address]
    talk(office, office.three.last, office.two)


def test_the_called_party_transfers_as_well(office: Office) -> None:
    statuses = office.two.refer(office.two.last, "1003")
    office.wire.deliver()
    office.three.last.accept(office.three.sdp)
    office.wire.deliver()
    assert statuses == [202]
    assert office.three.invites[-1].from_.uri.user == "1001"
    talk(office, office.one.last, office.three)


def test_who_hangs_up_at_once_after_transferring_has_the_transfer_done(office: Office) -> None:
    office.one.refer(office.one.last, "1003")
    office.wire.deliver()
    office.one.last.hang_up()
    office.wire.deliver()
    assert office.two.events[-1] != events.Ended(events.Cause.BYE)
    office.three.last.accept(office.three.sdp)
    office.wire.deliver()
    assert last_offer(office.two) == office.three.sdp
    talk(office, office.three.last, office.two)


@pytest.mark.parametrize(
    ("target", "status"),
    [("9999", 404), ("1005", 480), ("1003", 486), ("1002", 482)],
    ids=["unknown", "no phone", "says busy", "the partner itself"],
)
def test_a_transfer_that_leads_nowhere_is_told_and_the_call_goes_on(office: Office, target: str, status: int) -> None:
    office.one.refer(office.one.last, target)
    office.wire.deliver()
    if office.three.sessions:
        office.three.last.reject(486)
        office.wire.deliver()
    assert office.one.told[-1] == (status, True)
    office.one.last.offer(office.one.sdp.replace(b"sendrecv", b"sendonly"))
    office.wire.deliver()
    assert isinstance(office.one.events[-1], events.OfferAnswered)
    talk(office, office.one.last, office.two)


def test_the_partner_is_hung_up_when_nobody_is_left_and_the_target_refuses(office: Office) -> None:
    office.one.refer(office.one.last, "1003")
    office.wire.deliver()
    office.one.last.hang_up()
    office.wire.deliver()
    office.three.last.reject(486)
    office.wire.advance(0.2)
    assert office.two.events[-1] == events.Ended(events.Cause.BYE)
    assert office.node.calls == set()


def test_the_target_stops_ringing_when_the_partner_hangs_up(office: Office) -> None:
    office.one.refer(office.one.last, "1003")
    office.wire.deliver()
    office.two.last.hang_up()
    office.wire.deliver()
    assert office.three.events[-1] == events.Cancelled()
    assert office.one.told[-1] == (480, True)
    assert office.one.events[-1] == events.Ended(events.Cause.BYE)
    assert office.node.calls == set()


def test_a_target_that_nobody_answers_stops_ringing_and_the_call_goes_on(office: Office) -> None:
    office.one.refer(office.one.last, "1003")
    office.wire.advance(31)
    assert office.one.told[-1] == (480, True)
    assert office.three.events[-1] == events.Cancelled()
    talk(office, office.one.last, office.two)


def test_a_transfer_follows_the_targets_forwarding(office: Office) -> None:
    office.set("1003", forward_no_answer="1004")
    office.one.refer(office.one.last, "1003")
    office.wire.advance(16)
    assert office.three.events[-1] == events.Cancelled()
    fourth = office.desks["1004"]
    assert fourth.invites[-1].get("diversion") is not None
    fourth.last.accept(fourth.sdp)
    office.wire.deliver()
    assert office.one.told[-1] == (200, True)
    assert last_offer(office.two) == fourth.sdp
    talk(office, office.two.last, fourth)


def consulted(office: Office, *, answered: bool = True) -> tuple[Session, Session]:
    """1001 has a second call, to 1003: the sessions of the first and the second call."""
    first = office.one.last
    second = office.one.call("1003")
    office.wire.deliver()
    if answered:
        office.three.last.accept(office.three.sdp)
        office.wire.deliver()
    return first, second


def test_an_attended_transfer_connects_the_two_partners(office: Office) -> None:
    first, second = consulted(office)
    statuses = office.one.refer(first, "1003", Replaces(office.one.named(second)))
    office.wire.deliver()
    assert statuses == [202] and office.one.told == [(100, False), (200, True)]
    assert office.one.events[-1] == events.Ended(events.Cause.BYE)
    assert first.ended and second.ended
    assert last_offer(office.three) == office.two.sdp
    assert [call.caller.number + call.called for call in office.node.calls] == ["10021003"]
    talk(office, office.two.last, office.three)


def test_the_second_call_may_be_transferred_into_the_first(office: Office) -> None:
    first, second = consulted(office)
    office.one.refer(second, "1002", Replaces(office.one.named(first)))
    office.wire.deliver()
    assert last_offer(office.two) == office.three.sdp
    talk(office, office.three.last, office.two)


def test_a_transfer_while_the_target_still_rings_rings_on_for_the_partner(office: Office) -> None:
    first, second = consulted(office, answered=False)
    office.one.refer(first, "1003", Replaces(office.one.named(second)))
    office.wire.deliver()
    assert second.ended
    assert [invite.from_.uri.user for invite in office.three.invites] == ["1001", "1002"]
    office.three.last.accept(office.three.sdp)
    office.wire.deliver()
    assert office.one.told[-1] == (200, True)
    talk(office, office.two.last, office.three)


@pytest.mark.parametrize("whose", ["nobody's", "somebody else's", "the call itself"])
def test_replacing_a_dialog_that_is_not_the_own_other_call_is_481_and_changes_nothing(
    office: Office, whose: str
) -> None:
    name = DialogName("no", "such", "call")
    if whose == "somebody else's":
        name = office.desks["1004"].named(office.connected("1004", "1003"))
    elif whose == "the call itself":
        name = office.one.named(office.one.last)
    statuses = office.one.refer(office.one.sessions[0], "1003", Replaces(name))
    office.wire.deliver()
    assert statuses == [202] and office.one.told[-1] == (481, True)
    assert isinstance(office.two.events[-1], events.Confirmed)


def test_an_attended_transfer_whose_partner_refuses_leaves_both_calls(office: Office) -> None:
    first, second = consulted(office)
    office.three.answers_offers = False
    office.one.refer(first, "1003", Replaces(office.one.named(second)))
    office.wire.deliver()
    office.three.last.refuse_offer(488)
    office.wire.deliver()
    assert office.one.told[-1] == (488, True)
    assert not second.ended
    second.hang_up()
    office.wire.advance(0.2)
    assert office.three.events[-1] == events.Ended(events.Cause.BYE)


def test_two_transfers_at_once_are_one_too_many(office: Office) -> None:
    first = office.one.refer(office.one.last, "1003")
    office.wire.deliver()
    second = office.two.refer(office.two.last, "1004")
    office.wire.deliver()
    assert (first, second) == ([202], [491])


def test_a_node_without_refer_says_so() -> None:
    office = Office(options=NodeOptions(refer=False))
    session = office.connected()
    statuses = office.one.refer(session, "1003")
    office.wire.deliver()
    assert statuses == [405]
    assert session.usage.peer_allows("REFER") is False
    assert isinstance(office.two.events[-1], events.Confirmed)


def test_a_call_that_was_transferred_can_be_transferred_again(office: Office) -> None:
    first, second = consulted(office)
    office.one.refer(first, "1003", Replaces(office.one.named(second)))
    office.wire.deliver()
    office.three.refer(office.three.last, "1004")
    office.wire.deliver()
    fourth = office.desks["1004"]
    fourth.last.accept(fourth.sdp)
    office.wire.deliver()
    assert last_offer(office.two) == fourth.sdp
    talk(office, office.two.last, fourth)


# --- INVITE with Replaces


def ask(desk: Desk, replaces: Replaces) -> Session:
    return desk.call("1002", (("replaces", str(replaces)),))


def test_a_phone_takes_the_place_of_another_in_an_answered_call(office: Office) -> None:
    ask(office.three, Replaces(office.one.named(office.one.last)))
    office.wire.deliver()
    assert office.three.events[-1] == events.Answered(office.two.sdp)
    assert office.one.events[-1] == events.Ended(events.Cause.BYE)
    assert last_offer(office.two) == office.three.sdp
    assert "1003 takes 1001's place with 1002" in office.said
    talk(office, office.three.last, office.two)


def test_a_place_that_the_other_end_does_not_give_stays_taken(office: Office) -> None:
    office.two.answers_offers = False
    ask(office.three, Replaces(office.one.named(office.one.last)))
    office.wire.deliver()
    office.two.last.refuse_offer(488)
    office.wire.deliver()
    assert office.three.events == [events.Refused(488)]
    talk(office, office.one.last, office.two)


@pytest.mark.parametrize(
    ("replaces", "status"),
    [("no-such-call;to-tag=a;from-tag=b", 481), ("malformed", 400), ("x;to-tag=a", 400)],
)
def test_a_dialog_that_is_not_known_cannot_be_replaced(office: Office, replaces: str, status: int) -> None:
    office.three.call("1002", (("replaces", replaces),))
    office.wire.deliver()
    assert office.three.events == [events.Refused(status)]


def test_early_only_does_not_break_into_an_answered_call(office: Office) -> None:
    ask(office.three, Replaces(office.one.named(office.one.last), early_only=True))
    office.wire.deliver()
    assert office.three.events == [events.Refused(486)]


def watched(office: Office, watcher: Desk, number: str) -> DialogName:
    heard = watcher.watch("dialog", number)
    office.wire.deliver()
    body = next(event.content.body for event in reversed(heard) if isinstance(event, Notified))
    name = DialogInfo.parse(body).dialogs[0].name
    assert name is not None
    return name


@pytest.mark.parametrize("turned", [False, True], ids=["local-tag is to-tag", "remote-tag is to-tag"])
def test_a_call_is_picked_up_from_a_lamp(turned: bool) -> None:
    office = Office(FOUR)
    office.one.call("1002")
    office.wire.deliver()
    name = watched(office, office.three, "1002")
    if turned:
        name = DialogName(name.call_id, name.from_tag, name.to_tag)
    ask(office.three, Replaces(name, early_only=True))
    office.wire.deliver()
    assert office.two.events[-1] == events.Cancelled(elsewhere=True)
    assert isinstance(office.one.events[-1], events.Answered)
    talk(office, office.one.last, office.three)


def test_who_only_watches_does_not_break_into_a_call(office: Office) -> None:
    ask(office.three, Replaces(watched(office, office.three, "1002")))
    office.wire.deliver()
    assert office.three.events == [events.Refused(403)]


def test_a_caller_who_rings_is_not_replaced() -> None:
    office = Office(FOUR)
    office.one.call("1002")
    office.wire.deliver()
    ask(office.three, Replaces(watched(office, office.three, "1001")))
    office.wire.deliver()
    assert office.three.events == [events.Refused(481)]


def test_key_presses_in_info_pass_between_phones_and_nothing_else_does(office: Office) -> None:
    statuses: list[int] = []
    office.one.last.ask("INFO", RELAY, b"Signal=5\r\nDuration=160\r\n", statuses.append)
    office.wire.deliver()
    asked = office.two.events[-1]
    assert isinstance(asked, events.Asked)
    office.two.last.answer_request(asked.id, 200)
    office.one.last.ask("INFO", "text/plain", b"hello", statuses.append)
    office.wire.deliver()
    assert sorted(statuses) == [200, 415]

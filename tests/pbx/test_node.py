"""The PBX node: registering, calls, hold, and NOTIFY, in memory."""

import pytest

from opx.pbx.options import NodeOptions
from opx.sip import events
from opx.sip.digest import DigestClient
from support.office import Office


def test_extensions_call_each_other_with_their_own_descriptions() -> None:
    office = Office()
    office.connected()
    assert office.one.events[-1] == events.Answered(office.two.sdp)
    office.one.sessions[0].hang_up()
    office.wire.deliver()
    assert office.two.events[-1] == events.Ended(events.Cause.BYE)
    assert office.node.calls == set()


def test_a_wrong_password_does_not_register() -> None:
    office = Office()
    stranger = office.desk("1003", registered=False)
    stranger.registration._credentials = DigestClient("1003", "wrong")
    stranger.registration.start()
    office.wire.advance(0.1)
    assert stranger.results[-1].status == 401
    assert office.node.registrar.contacts("1003") == []


@pytest.mark.parametrize(("number", "status"), [("1003", 480), ("4711", 404)])
def test_a_call_that_leads_nowhere_says_why(number: str, status: int) -> None:
    office = Office()
    office.one.call(number)
    office.wire.deliver()
    assert office.one.events[-1] == events.Refused(status)


def test_a_third_caller_hears_busy() -> None:
    office = Office(("1001", "1002", "1003"), options=NodeOptions(calls_per_extension=1))
    office.connected()
    third = office.three
    third.call("1002")
    office.wire.deliver()
    office.one.sessions[0].hang_up()
    office.wire.advance(1)
    third.call("1002")
    office.wire.deliver()
    assert third.events == [events.Refused(486), events.Progress(180, b"")]


def test_an_extension_that_does_not_answer_stops_ringing() -> None:
    office = Office()
    office.one.call("1002")
    office.wire.advance(31)
    assert office.one.events[-1] == events.Refused(480)
    assert office.two.events[-1] == events.Cancelled()


def test_a_call_that_was_answered_lasts_beyond_the_ringing_time() -> None:
    office = Office()
    session = office.connected()
    office.wire.advance(60)
    assert not session.ended and len(office.node.calls) == 1


def test_hold_goes_through() -> None:
    office = Office()
    office.connected()
    held = office.two.sdp.replace(b"a=sendrecv", b"a=sendonly")
    office.two.sessions[0].offer(held)
    office.wire.deliver()
    assert office.one.events[-1] == events.Offered(held)
    office.one.sessions[0].answer_offer(office.one.sdp)
    office.wire.deliver()
    assert office.two.events[-1] == events.OfferAnswered(office.one.sdp)


def test_notify_reaches_the_phone_and_its_answer_comes_back() -> None:
    office = Office()
    statuses: list[int] = []
    office.node.notify("1001", "check-sync", "", b"", statuses.append)
    office.node.notify("1003", "check-sync", "", b"", statuses.append)
    office.wire.deliver()
    assert sorted(statuses) == [200, 480]
    assert office.one.node.requests[-1].method == "NOTIFY"

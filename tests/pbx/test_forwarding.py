"""Forwarding and do not disturb, on the wire in memory."""

import pytest

from opx.pbx.options import NodeOptions
from opx.sip import events
from support.office import PBX, Office

THREE = ("1001", "1002", "1003")


def forwarded(office: Office, to: str = "1003") -> list[str]:
    """The headers that tell the phone that rings of the forwarding."""
    request = office.desks[to].invites[-1]
    return [*request.get_all("diversion"), *request.get_all("history-info")]


def answered_by(office: Office, number: str) -> bool:
    office.desks[number].last.accept(office.desks[number].sdp)
    office.wire.deliver()
    return office.one.events[-1] == events.Answered(office.desks[number].sdp)


def test_all_calls_are_forwarded_and_caller_and_target_are_told() -> None:
    office = Office(THREE)
    office.set("1002", forward_all="1003")
    office.one.call("1002")
    office.wire.deliver()
    assert office.one.events == [events.Progress(181, b""), events.Progress(180, b"")]
    assert office.two.sessions == []
    host = PBX[0]
    assert forwarded(office) == [
        f'"Desk 1002" <sip:1002@{host}:5060>;reason=unconditional;counter=1;privacy=off;screen=yes',
        f"<sip:1002@{host}:5060?Reason=SIP%3Bcause%3D302>;index=1, <sip:1003@{host}:5060>;index=1.1;mp=1",
    ]
    assert office.three.invites[-1].from_.uri.user == "1001"
    assert answered_by(office, "1003")
    assert "1001 to 1002: forwarded to 1003 (unconditional)" in office.said


def test_a_call_for_a_busy_extension_goes_on() -> None:
    office = Office(THREE, options=NodeOptions(calls_per_extension=1))
    office.set("1002", forward_busy="1003")
    office.two.call("1001")
    office.wire.deliver()
    fourth = office.desk("1004")
    fourth.call("1002")
    office.wire.deliver()
    assert fourth.events[0] == events.Progress(181, b"")
    assert "reason=user-busy" in forwarded(office)[0]


def test_a_phone_that_says_busy_is_forwarded_too() -> None:
    office = Office(THREE)
    office.set("1002", forward_busy="1003")
    office.one.call("1002")
    office.wire.deliver()
    office.two.last.reject(486)
    office.wire.deliver()
    assert office.one.events == [events.Progress(status, b"") for status in (180, 181, 180)]
    assert answered_by(office, "1003")


def test_a_call_that_nobody_answers_goes_on_after_its_time_and_stops_ringing_at_the_first_phone() -> None:
    office = Office(THREE)
    office.set("1002", forward_no_answer="1003")
    office.one.call("1002")
    office.wire.advance(14)
    assert office.three.sessions == []
    office.wire.advance(2)
    assert office.two.events[-1] == events.Cancelled()
    assert "reason=no-answer" in forwarded(office)[0]
    assert answered_by(office, "1003")


def test_the_whole_chain_stops_when_the_last_one_does_not_answer_either() -> None:
    office = Office(THREE)
    office.set("1002", forward_no_answer="1003")
    office.one.call("1002")
    office.wire.advance(15.5 + 30.5)
    assert office.one.events[-1] == events.Refused(480)
    assert office.three.events[-1] == events.Cancelled()
    assert office.node.calls == set()


def test_an_extension_without_a_phone_is_forwarded_like_one_that_does_not_answer() -> None:
    office = Office(("1001", "1003"))
    office.set("1002", forward_no_answer="1003")
    office.one.call("1002")
    office.wire.deliver()
    assert "reason=unavailable" in forwarded(office)[0]


def test_a_chain_names_every_extension_the_last_one_first() -> None:
    office = Office(("1001", "1004"))
    office.set("1002", forward_all="1003")
    office.set("1003", dnd=True, forward_busy="1004")
    office.one.call("1002")
    office.wire.deliver()
    told = forwarded(office, "1004")
    assert [value.partition(";")[2].partition(";")[0] for value in told[:2]] == [
        "reason=do-not-disturb",
        "reason=unconditional",
    ]
    assert told[2].endswith("index=1.1.1;mp=1.1")


@pytest.mark.parametrize(
    ("forwards", "status"),
    [
        ({"1002": "1002"}, 482),
        ({"1002": "1003", "1003": "1002"}, 482),
        ({"1002": "1003", "1003": "1004", "1004": "1003"}, 482),
        ({"1002": "1001"}, 482),
        ({"1002": "9999"}, 404),
    ],
    ids=["to itself", "two in a circle", "a circle behind", "back to the caller", "to nowhere"],
)
def test_forwarding_that_leads_nowhere_ends_at_once(forwards: dict[str, str], status: int) -> None:
    office = Office(THREE)
    for number, target in forwards.items():
        office.set(number, forward_all=target)
    office.one.call("1002")
    office.wire.deliver()
    assert office.one.events == [events.Refused(status)]
    assert office.node.calls == set()


def test_a_phone_that_sends_the_call_elsewhere_by_itself_is_followed_and_the_caller_sees_no_302() -> None:
    office = Office(THREE)
    office.one.call("1002")
    office.wire.deliver()
    office.two.last.reject(302, (("contact", f"<sip:1003@{PBX[0]}>"),))
    office.wire.deliver()
    assert office.one.events == [events.Progress(status, b"") for status in (180, 181, 180)]
    assert "reason=deflection" in forwarded(office)[0]
    assert answered_by(office, "1003")


@pytest.mark.parametrize("target", ["sip:9999@10.9.8.20", "sip:1001@10.9.8.20", "sip:1002@10.9.8.20", "sip:10.9.8.20"])
def test_a_phone_that_sends_the_call_nowhere_is_not_followed(target: str) -> None:
    office = Office(THREE)
    office.one.call("1002")
    office.wire.deliver()
    office.two.last.reject(302, (("contact", f"<{target}>"),))
    office.wire.deliver()
    assert office.one.events == [events.Progress(180, b""), events.Refused(480)]
    assert office.node.calls == set()


def test_a_circle_of_busy_extensions_is_busy() -> None:
    office = Office(THREE)
    office.set("1002", dnd=True, forward_busy="1003")
    office.set("1003", dnd=True, forward_busy="1002")
    office.one.call("1002")
    office.wire.deliver()
    assert office.one.events == [events.Refused(486)]


def test_hops_are_bounded() -> None:
    office = Office(("1001", "1005"), options=NodeOptions(forward_limit=2))
    for number, target in (("1002", "1003"), ("1003", "1004")):
        office.set(number, forward_all=target)
    office.set("1004", forward_all="1005")
    office.one.call("1003")
    office.wire.deliver()
    assert [event for event in office.one.events if isinstance(event, events.Refused)] == []
    office.one.last.hang_up()
    office.one.call("1002")
    office.wire.deliver()
    assert office.one.events[-1] == events.Refused(483)


def test_do_not_disturb_is_busy_to_callers_and_lets_the_phone_call() -> None:
    office = Office()
    office.set("1002", dnd=True)
    office.one.call("1002")
    office.wire.deliver()
    assert office.one.events == [events.Refused(486)]
    assert office.two.sessions == []
    office.two.call("1001")
    office.wire.deliver()
    assert office.two.events == [events.Progress(180, b"")]


def test_forwarding_of_all_calls_counts_before_do_not_disturb() -> None:
    office = Office(THREE)
    office.set("1002", dnd=True, forward_all="1003")
    office.one.call("1002")
    office.wire.deliver()
    assert len(office.three.sessions) == 1


def test_a_forwarded_call_frees_the_extension_that_did_not_take_it() -> None:
    office = Office(THREE, options=NodeOptions(calls_per_extension=1))
    office.set("1002", forward_busy="1003")
    office.one.call("1002")
    office.wire.deliver()
    office.two.last.reject(486)
    office.wire.deliver()
    fourth = office.desk("1004")
    fourth.call("1002")
    office.wire.deliver()
    assert len(office.two.sessions) == 2
    office.one.last.hang_up()
    fourth.last.hang_up()
    office.wire.deliver()
    assert +office.node.desk._busy == {}


def test_a_caller_who_gives_up_while_the_call_is_forwarded_stops_the_ringing() -> None:
    office = Office(THREE)
    office.set("1002", forward_no_answer="1003")
    office.one.call("1002")
    office.wire.advance(16)
    office.one.last.hang_up()
    office.wire.advance(1)
    assert office.three.events[-1] == events.Cancelled()
    assert office.node.calls == set()


def test_an_answer_that_crosses_the_forwarding_is_hung_up_and_the_call_goes_on() -> None:
    office = Office(THREE)
    office.set("1002", forward_no_answer="1003")
    office.one.call("1002")
    office.wire.deliver()
    # The phone answers, and its answer is still on its way when the node gives it up.
    office.wire.lose = lambda carried: carried.what == "200" and carried.source == office.two.node.address
    office.two.last.accept(office.two.sdp)
    office.wire.advance(16)
    office.wire.lose = lambda carried: False
    office.wire.advance(5)
    assert office.two.events[-1] == events.Ended(events.Cause.BYE)
    assert answered_by(office, "1003")

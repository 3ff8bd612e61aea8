"""What phones send that is wrong, on the wire in memory: an answer that says so, and nothing changed."""

import pytest

from opx.pbx.features.codes import Feature
from opx.pbx.options import DEFAULT_CODES, NodeOptions
from opx.sip import events
from opx.sip.exchange import Outcome
from opx.sip.flow import Destination
from opx.sip.message import Request, Response
from support.office import PBX, Desk, Office


def ask(office: Office, desk: Desk, method: str, uri: str, **headers: str) -> Response:
    """Send a request outside any dialog with the desk's credentials; its final answer."""
    request = Request.new(method, uri)
    lines = {
        "max-forwards": "70",
        "from": f"<sip:{desk.number}@{PBX[0]}>;tag=f",
        "to": f"<{uri}>",
        "call-id": f"bad-{method}-{len(office.wire.log)}",
        "cseq": f"1 {method}",
        "contact": f"<sip:{desk.number}@{desk.node.address[0]}>",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in lines.items():
        request.add(name, value)
    finals: list[Outcome] = []
    desk.node.agent.exchange(request, Destination("UDP", *PBX), finals.append, credentials=desk.credentials)
    office.wire.deliver()
    (final,) = finals
    assert isinstance(final, Response)
    return final


SUMMARY = f"sip:1001@{PBX[0]}"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 489),
        ({"event": ";id=1"}, 400),
        ({"event": "conference"}, 489),
        ({"event": "message-summary", "expires": "soon"}, 400),
        ({"event": "message-summary", "expires": "5"}, 423),
        ({"event": "message-summary", "accept": "application/pidf+xml"}, 406),
    ],
)
def test_a_subscribe_that_cannot_be_used_is_refused(headers: dict[str, str], status: int) -> None:
    office = Office()
    answer = ask(office, office.one, "SUBSCRIBE", SUMMARY, **headers)
    assert answer.status == status
    assert len(office.node.subscriptions) == 0 and office.node.agent.dialogs == 0
    if status == 489 and headers:
        assert answer.get("allow-events") == "dialog, message-summary"
    if status == 423:
        assert answer.get("min-expires") == "60"


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("tel:+15551234", 404),
        (f"sip:{PBX[0]}", 404),
        (f"sip:%00@{PBX[0]}", 404),
        (f"sip:{'9' * 400}@{PBX[0]}", 404),
        ("mailto:someone", 416),
    ],
)
def test_a_call_to_what_is_no_number_is_refused(uri: str, status: int) -> None:
    office = Office()
    assert ask(office, office.one, "INVITE", uri).status == status
    assert office.node.calls == set()


def test_nothing_is_said_that_a_terminal_obeys_or_that_nobody_wants_to_read() -> None:
    office = Office()
    for number in ("%1b%5b2J", "%0a1001%20calls", "9" * 400):
        assert ask(office, office.one, "INVITE", f"sip:{number}@{PBX[0]}").status == 404
    assert all(text.isprintable() and len(text) < 120 for text in office.said)


def test_a_pin_that_was_dialled_wrongly_is_not_said() -> None:
    office = Office(options=NodeOptions(codes={**DEFAULT_CODES, Feature.LOG_IN: ""}))
    for number in ("*111500*2468", "1500*2468", "1500%232468"):
        assert ask(office, office.one, "INVITE", f"sip:{number}@{PBX[0]}").status == 404
    assert [text for text in office.said if "2468" in text] == []


@pytest.mark.parametrize("method", ["REFER", "INFO", "MESSAGE", "PUBLISH", "NOTIFY", "UPDATE"])
def test_methods_that_need_a_call_or_nobody_serves_are_refused_outside_of_one(method: str) -> None:
    office = Office()
    answer = ask(office, office.one, method, SUMMARY, refer_to=f"<sip:1002@{PBX[0]}>", event="x")
    assert answer.status in (405, 481)


@pytest.mark.parametrize(
    "refer_to", ["", "<sip:1003", "<mailto:x@y>", "<sip:1003@h?Replaces=x>", "<sip:1003@h;method=BYE>"]
)
def test_a_refer_that_cannot_be_read_is_refused_and_the_call_goes_on(refer_to: str) -> None:
    office = Office()
    session = office.connected()
    request = session.usage.need().request("REFER")
    if refer_to:
        request.add("refer-to", refer_to)
    finals: list[Outcome] = []
    session.usage.send(request, finals.append)
    office.wire.deliver()
    assert isinstance(finals[0], Response) and 400 <= finals[0].status < 500
    assert isinstance(office.two.events[-1], events.Confirmed)
    assert len(office.node.calls) == 1


def test_two_replaces_are_one_too_many() -> None:
    office = Office()
    office.one.call("1002", (("replaces", "a;to-tag=b;from-tag=c"), ("replaces", "d;to-tag=e;from-tag=f")))
    office.wire.deliver()
    assert office.one.events == [events.Refused(400)]

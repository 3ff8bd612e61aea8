"""What a user agent refuses before its application hears of it."""

import pytest

from opx.sip import events
from opx.sip.agent import UserAgent
from opx.sip.message import Request, Response
from opx.sip.parser import parse
from opx.sip.session import Session
from support.sipnet import Face
from support.torture import DESCRIPTION, Subject


def request(
    method: str = "INVITE",
    *headers: str,
    uri: str = "sip:subject@192.0.2.9",
    body: bytes = b"",
    branch: str = "1",
    to: str = "<sip:subject@192.0.2.9>",
    cseq: int = 1,
) -> bytes:
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bK{branch}",
        "Max-Forwards: 0",
        "From: <sip:peer@192.0.2.77>;tag=theirs",
        f"To: {to}",
        "Call-ID: screened",
        f"CSeq: {cseq} {method}",
        "Contact: <sip:peer@192.0.2.77>",
        *headers,
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def status_of(subject: Subject, data: bytes) -> int | None:
    final = subject.judge(data)
    return final.status if final else None


@pytest.mark.parametrize("uri", ["sip:a@b", "SIP:a@b", "sips:a@b", "tel:+15551234"])
def test_a_scheme_that_may_be_ours_passes(uri: str) -> None:
    assert status_of(Subject(), request(uri=uri)) == 200


@pytest.mark.parametrize("uri", ["urn:service:sos", "http://example.com", "mailto:a@b"])
def test_another_scheme_is_416(uri: str) -> None:
    assert status_of(Subject(), request(uri=uri)) == 416


def test_an_unknown_option_is_420_and_named() -> None:
    final = Subject().judge(request("OPTIONS", "Require: a, b", "Require: c"))
    assert final is not None
    assert (final.status, final.get("unsupported")) == (420, "a, b, c")


def test_an_option_that_the_agent_has_may_be_required() -> None:
    subject = Subject()
    wheel = subject.wire.wheel
    agent = UserAgent(subject.node, wheel, Face(subject.node.address), supported=("100rel", "timer"))
    agent.receive(request("OPTIONS", "Require: TIMER, 100rel, a"), subject.flow)
    ((_, sent),) = agent.take_outgoing()
    answer = parse(sent)
    assert isinstance(answer, Response)
    assert (answer.status, answer.get("unsupported")) == (420, "a")


@pytest.mark.parametrize("method", ["CANCEL", "ACK"])
def test_what_only_ends_something_may_require_anything(method: str) -> None:
    subject = Subject()
    subject.node.on_request_do = lambda transaction: None
    assert subject.judge(request()) is None
    subject.agent.hold_invite(subject.node.requests[0], _Canceller())
    assert status_of(subject, request(method, "Require: a")) == (200 if method == "CANCEL" else None)


class _Canceller:
    """Whoever holds the INVITE; what it is told matters not here."""

    def on_request(self, transaction: object) -> None: ...
    def on_cancel(self, transaction: object, cancel: object) -> None: ...
    def on_ack(self, ack: object) -> None: ...
    def on_unanswered(self, transaction: object, failure: object) -> None: ...


GEOLOCATION = b"--b\r\nContent-Type: application/pidf+xml\r\n%s\r\n<presence/>\r\n"
DESCRIBED = b"--b\r\nContent-Type: application/sdp\r\n\r\n" + DESCRIPTION + b"\r\n"
END = b"--b--\r\n"


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ((), b"", 200),
        (("Content-Type: application/sdp",), DESCRIPTION, 200),
        (("Content-Type: application/sdp", "Content-Encoding: identity"), DESCRIPTION, 200),
        (("Content-Type: application/sdp", "Content-Disposition: session;handling=required"), DESCRIPTION, 200),
        (("Content-Type: text/plain", "Content-Disposition: render;handling=optional"), b"hello", 200),
        (("Content-Type: multipart/mixed;boundary=b",), GEOLOCATION % b"" + DESCRIBED + END, 200),
        (
            ("Content-Type: multipart/mixed;boundary=b",),
            GEOLOCATION % b"Content-Disposition: render;handling=required\r\n" + DESCRIBED + END,
            415,
        ),
        (("Content-Type: multipart/mixed;boundary=b",), GEOLOCATION % b"" + END, 415),
        (
            ("Content-Type: multipart/mixed;boundary=b",),
            GEOLOCATION % b"Content-Disposition: render;handling=optional\r\n" + END,
            200,
        ),
        (("Content-Type: multipart/mixed;boundary=b",), DESCRIBED, 400),
        (("Content-Type: text/plain",), b"hello", 415),
        ((), b"hello", 415),
        (("Content-Type: application/sdp", "Content-Encoding: gzip"), DESCRIPTION, 415),
        (("Content-Type: application/sdp", "Content-Disposition: early-session"), DESCRIPTION, 415),
    ],
)
def test_a_body_is_used_passed_over_or_refused(headers: tuple[str, ...], body: bytes, status: int) -> None:
    subject = Subject()
    final = subject.judge(request("INVITE", *headers, body=body))
    assert final is not None
    assert final.status == status
    if status == 415:
        assert final.get("accept") == "application/sdp, multipart/mixed"
        assert (final.get("accept-encoding") == "identity") == ("Content-Encoding: gzip" in headers)
    if status == 200:
        assert subject.offers == [DESCRIPTION if DESCRIPTION in body else b""]


def test_a_body_that_no_session_is_to_use_is_its_applications() -> None:
    assert status_of(Subject(), request("MESSAGE", "Content-Type: text/plain", body=b"hello")) == 405


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/sdp", 200),
        ("text/plain, Application/SDP;level=1", 200),
        ("application/*", 200),
        ("*/*;q=0.1", 200),
        ("text/plain", 406),
        ("", 406),
    ],
)
def test_who_accepts_no_description_is_refused(accept: str, status: int) -> None:
    assert status_of(Subject(), request("INVITE", f"Accept: {accept}")) == status


def test_methods_of_the_rfcs_are_405_and_others_501() -> None:
    assert status_of(Subject(), request("PUBLISH")) == 405
    assert status_of(Subject(), request("PUBLISHED")) == 501


# --- the same call by two ways


def test_a_second_copy_of_an_invite_is_482_while_the_call_lasts() -> None:
    subject = Subject()
    first = subject.judge(request(branch="one"))
    assert first is not None and first.status == 200
    assert status_of(subject, request(branch="two")) == 482
    assert status_of(subject, request("ACK", branch="two", cseq=1)) is None
    assert len(subject.offers) == 1
    # Any other number is another call of the same peer, and within the dialog there are no copies.
    assert status_of(subject, request(branch="three", cseq=2)) == 200
    inside = f"<sip:subject@192.0.2.9>;tag={first.to_tag}"
    assert status_of(subject, request(branch="four", to=inside, cseq=3)) == 491


def test_after_the_call_the_same_numbers_are_a_new_call() -> None:
    subject = Subject()
    first = subject.judge(request(branch="one"))
    assert first is not None
    inside = f"<sip:subject@192.0.2.9>;tag={first.to_tag}"
    assert subject.hear(request("ACK", branch="ack", to=inside)) == []
    assert status_of(subject, request("BYE", branch="bye", to=inside, cseq=2)) == 200
    assert status_of(subject, request(branch="two")) == 200
    assert subject.agent.dialogs == 1


def test_an_invite_that_is_challenged_may_come_again_with_the_same_number() -> None:
    """Some proxies answer a challenge for their user without counting up."""
    subject = Subject()
    serve = subject.node.on_request_do
    subject.node.on_request_do = lambda transaction: transaction.reply(407, to_tag="asked")
    assert status_of(subject, request(branch="one")) == 407
    subject.node.on_request_do = serve
    assert status_of(subject, request(branch="two")) == 200


# --- answers without a transaction


def test_a_repetition_of_what_cannot_be_read_gets_the_same_answer() -> None:
    subject = Subject()
    broken = request().replace(b"Max-Forwards: 0", b"Max-Forwards: many")
    one, two = subject.judge(broken), subject.judge(broken)
    other = Subject().judge(broken)
    assert one is not None and two is not None and other is not None
    assert one.encode() == two.encode()
    assert one.to_tag != other.to_tag


def test_a_branch_that_is_only_the_cookie_makes_no_two_requests_one() -> None:
    subject = Subject()
    assert status_of(subject, request("OPTIONS", branch="")) == 200
    another = request("OPTIONS", branch="").replace(b"Call-ID: screened", b"Call-ID: another")
    final = subject.judge(another)
    assert final is not None and final.call_id == "another"


def test_a_peer_of_rfc_2543_is_reached_where_it_calls_from() -> None:
    subject = Subject()
    contact, tag = b"Contact: <sip:peer@192.0.2.77>\r\n", b";tag=theirs"
    first = subject.judge(request().replace(contact, b"").replace(tag, b""))
    assert first is not None and first.status == 200
    inside = f"<sip:subject@192.0.2.9>;tag={first.to_tag}"
    assert subject.hear(request("ACK", branch="ack", to=inside).replace(tag, b"")) == []
    subject.sessions[0].hang_up()
    ((_, bye),) = subject.agent.take_outgoing()
    assert bye.startswith(b"BYE sip:peer@192.0.2.77 SIP/2.0\r\n")
    assert b"\r\nTo: <sip:peer@192.0.2.77>\r\n" in bye


def test_any_other_call_needs_a_contact() -> None:
    assert status_of(Subject(), request().replace(b"Contact: <sip:peer@192.0.2.77>\r\n", b"")) == 400


def test_headers_of_a_contact_do_not_come_into_a_request_uri() -> None:
    subject = Subject()
    first = subject.judge(request().replace(b"77>\r\nContent", b"77;x=y?Route=%3Csip:elsewhere%3E>\r\nContent"))
    assert first is not None and first.status == 200
    inside = f"<sip:subject@192.0.2.9>;tag={first.to_tag}"
    assert subject.hear(request("ACK", branch="ack", to=inside)) == []
    subject.sessions[0].hang_up()
    ((_, bye),) = subject.agent.take_outgoing()
    assert bye.startswith(b"BYE sip:peer@192.0.2.77;x=y SIP/2.0\r\n")


@pytest.mark.parametrize("route", ["<sip:%00;lr>", "<sip:proxy;lr", "proxy", "<sip:proxy;lr>, <sip:a b>"])
def test_a_call_by_a_way_that_cannot_be_read_is_refused_at_once(route: str) -> None:
    """Not when it is to end, and the request for that cannot be made."""
    subject = Subject()
    assert status_of(subject, request("INVITE", f"Record-Route: {route}")) == 400
    assert subject.agent.dialogs == 0


def test_an_answer_by_a_way_that_cannot_be_read_is_acknowledged_and_ended() -> None:
    subject = Subject()
    heard: list[events.SessionEvent] = []
    Session.call(
        subject.agent,
        heard.append,
        subject.flow,
        uri="sip:peer@192.0.2.77",
        from_="<sip:subject@192.0.2.9>",
        to="<sip:peer@192.0.2.77>",
        contact="sip:subject@192.0.2.9",
        sdp=DESCRIPTION,
    )
    ((_, sent),) = subject.agent.take_outgoing()
    invite = parse(sent)
    assert isinstance(invite, Request)
    answer = invite.reply(200, to_tag="theirs")
    answer.add("contact", "<sip:peer@192.0.2.77>")
    answer.add("record-route", "<sip:%00;lr>")
    subject.agent.receive(answer.encode(), subject.flow)
    sent_then = [data.split(b"\r\n", 1)[0] for _, data in subject.agent.take_outgoing()]
    assert sent_then == [b"ACK sip:peer@192.0.2.77 SIP/2.0", b"BYE sip:peer@192.0.2.77 SIP/2.0"]
    assert heard == [events.Refused(502, local=True)]

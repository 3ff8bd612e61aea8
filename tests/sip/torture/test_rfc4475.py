"""Every message of RFC 4475: what is read of it, and what a user agent answers."""

from dataclasses import dataclass, field
from operator import attrgetter
from types import SimpleNamespace

import pytest

from opx.sip.agent import ALLOW
from opx.sip.errors import RemoteProtocolError
from opx.sip.exchange import Outcome
from opx.sip.headers import Via
from opx.sip.message import Request, Response
from opx.sip.multipart import parts_of
from opx.sip.parser import parse, validate
from opx.sip.uri import unescape
from support.torture import DESCRIPTION, PEER, RFC4475, Subject


@dataclass(frozen=True)
class Verdict:
    """`status` is the final answer, None when nothing may be said. `reads` are values of the parsed message."""

    status: int | None
    reads: dict[str, object] = field(default_factory=dict)
    answer: dict[str, str] = field(default_factory=dict)
    parses: bool = True
    """Whether parser and validation take it; what they do not take they refuse with `status`."""


def refused(status: int | None) -> Verdict:
    return Verdict(status, parses=False)


KNOWN = ALLOW

VERDICTS: dict[str, Verdict] = {
    # The To tag makes it a request of a dialog, and there is none.
    "wsinv": Verdict(
        481,
        {
            "message.to.tag": "1918181833n",
            "message.from_.display": 'J Rosenberg \\"',
            "message.from_.tag": "98asjd8",
            "message.max_forwards": 68,
            "message.cseq": (9, "INVITE"),
            "vias": [("UDP", "192.0.2.2"), ("TCP", "spindle.example.com"), ("UDP", "192.168.255.111")],
            "message.branch": "390skdjuw",
            "contact.display": 'Quoted string ""',
            "contact.params": (("newparam", "newvalue"), ("secondparam", None), ("q", "0.33")),
            "message.target.params": (("unknownparam", None),),
            "route": ["<sip:services.example.com;lr;unknownwith=value;unknown-no-value>"],
            "fangled": "newfangled value continued newfangled value",
            "unusual": ";;,,;;,;",
            "sdp_bytes": 150,
        },
    ),
    "intmeth": Verdict(
        501,
        {
            "message.method": "!interesting-Method0123456789_*+`.%indeed'~",
            "message.target.user": "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
            "message.target.password": "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)",
            "message.target.host": "example.com",
            "message.to.display": "BEL:  NUL:  DEL: ",
            "message.from_.display": "token1~` token2'+_ token3*%!.-",
            "message.from_.tag": "_token~1'+`*%!-.",
            "message.call_id": "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
            "message.max_forwards": 255,
        },
        {"allow": KNOWN},
    ),
    "esc01": Verdict(
        200,
        {
            "message.target.user": "sips%3Auser%40example.com",
            "message.target.host": "example.net",
            "to_user": "user",
            "contact_user": "caller",
            "contact_lr": True,
            "contact_name": "value%41",
            "sdp_bytes": 150,
        },
    ),
    # An escaped NUL stays escaped.
    "escnull": Verdict(200, {"to_user": "null-%00-null", "contact_user": "%00"}),
    "esc02": Verdict(
        501,
        {
            "message.method": "RE%47IST%45R",
            "message.to.display": "%Z%45",
            "message.branch": "z9hG4bK209%fzsnel234",
            "contacts": ["<sip:alias1@host1.example.com>", "<sip:alias3@host3.example.com>"],
        },
        {"allow": KNOWN},
    ),
    "lwsdisp": Verdict(200, {"message.from_.display": "caller", "message.from_.tag": "323"}),
    "longreq": Verdict(
        200,
        {
            "message.to.display": f"I have a user name of {'extreme' * 10} proportion",
            "message.from_.tag": f"12{'982' * 50}424",
            "message.call_id": f"longreq.one{'really' * 20}longcallid",
            "via_count": 34,
            "sdp_bytes": 150,
        },
    ),
    # What follows in the datagram is noise; on a stream it is another message (test_streams.py).
    "dblreq": Verdict(200, {"message.method": "REGISTER", "message.body": b""}),
    "semiuri": Verdict(200, {"message.target.user": "user;par=u%40example.net", "message.target.params": ()}),
    "transports": Verdict(
        200,
        {
            "vias": [
                ("UDP", "t1.example.com"),
                ("SCTP", "t2.example.com"),
                ("TLS", "t3.example.com"),
                ("UNKNOWN", "t4.example.com"),
                ("TCP", "t5.example.com"),
            ]
        },
    ),
    "mpart01": Verdict(
        405,
        {"parts": [("text/plain", 5), ("application/octet-stream", 342)], "body_bytes": 553},
        {"allow": KNOWN},
    ),
    "unreason": Verdict(
        None, {"message.status": 200, "message.reason": "= 2**3 * 5**2 но сто девяносто девять - простое"}
    ),
    "noreason": Verdict(None, {"message.status": 100, "message.reason": ""}),
    "badinv01": refused(400),
    "clerr": refused(400),
    "ncl": refused(400),
    "scalar02": refused(400),
    "scalarlg": refused(None),
    "quotbal": refused(400),
    "ltgtruri": refused(400),
    "lwsruri": refused(400),
    "lwsstart": refused(400),
    "trws": refused(400),
    "escruri": refused(400),
    # We make no use of Date, and the RFC would not have it refused then.
    "baddate": Verdict(200, {"date": "Fri, 01 Jan 2010 16:00:00 EST"}),
    # Only who uses the Contact reads it: the parser lets it pass.
    "regbadct": Verdict(400),
    # The spaces around the URI are passed over, as the RFC leaves it.
    "badaspec": Verdict(200, {"message.to.display": "Watson, Thomas", "to_user": "t.watson"}),
    "baddn": refused(400),
    "badvers": refused(505),
    "mismatch01": refused(400),
    "mismatch02": refused(501),
    "bigcode": refused(None),
    # Matched as RFC 2543 has it, which the RFC allows as well as 400.
    "badbranch": Verdict(200, {"message.branch": "z9hG4bK"}),
    "insuf": refused(400),
    "unkscm": Verdict(416, {"message.target.scheme": "nobodyknowsthisscheme"}),
    "novelsc": Verdict(416, {"message.target.scheme": "soap.beep"}),
    "unksm2": refused(400),
    "bext01": Verdict(420, answer={"unsupported": "nothingSupportsThis, nothingSupportsThisEither"}),
    "invut": Verdict(415, answer={"accept": "application/sdp, multipart/mixed"}),
    # Credentials that nobody understands are none; our subject asks for none (the gateway does: test_strangers.py).
    "regaut01": Verdict(200),
    "multi01": refused(400),
    "mcl01": refused(400),
    "bcast": Verdict(None, {"vias": [("UDP", "192.0.2.198"), ("UDP", "255.255.255.255")]}),
    "zeromf": Verdict(200, {"message.max_forwards": 0}),
    "cparam01": Verdict(200, {"contact.params": (("unknownparam", None),), "contact.uri.params": ()}),
    "cparam02": Verdict(200, {"contact.params": (), "contact.uri.params": (("unknownparam", None),)}),
    "regescrt": Verdict(
        200,
        {"contact.uri.headers": "Route=%3Csip:sip.example.com%3E"},
        {"contact": "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>"},
    ),
    "sdp01": Verdict(406),
    "inv2543": Verdict(200, {"message.from_tag": "", "message.branch": "", "sdp_bytes": 105}),
}


def facts(message: Request | Response) -> SimpleNamespace:
    """A message with what the table asks of it beside its own properties."""
    contacts = message.contacts
    seen = SimpleNamespace(
        message=message,
        contacts=[str(contact) for contact in contacts],
        vias=[(via.transport, via.host) for via in map(Via.parse, message.values("via"))],
        via_count=len(message.values("via")),
        route=message.values("route"),
        fangled=message.get("newfangledheader"),
        unusual=message.get("unknownheaderwithunusualvalue"),
        date=message.get("date"),
        to_user=unescape(message.to.uri.user or ""),
        sdp_bytes=len(message.body) if message.content_type == "application/sdp" else 0,
        body_bytes=len(message.body),
        parts=[(part.media_type, len(part.body)) for part in parts_of(message)],
    )
    if contacts:
        uri = contacts[0].uri
        seen.contact = contacts[0]
        seen.contact_user = unescape(uri.user or "")
        seen.contact_lr = uri.has_param("lr")
        seen.contact_name = uri.param("name")
    return seen


def test_the_table_holds_every_message_of_the_rfc() -> None:
    assert list(VERDICTS) == list(RFC4475)
    assert len(RFC4475) == 49


@pytest.mark.parametrize("name", [name for name, verdict in VERDICTS.items() if verdict.parses])
def test_what_is_lawful_is_read(name: str) -> None:
    message = parse(RFC4475[name].data)
    validate(message)
    reads = VERDICTS[name].reads
    if reads:
        seen = facts(message)
        assert {path: attrgetter(path)(seen) for path in reads} == reads


@pytest.mark.parametrize("name", [name for name, verdict in VERDICTS.items() if not verdict.parses])
def test_what_is_not_lawful_is_refused_by_the_parser(name: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        validate(parse(RFC4475[name].data))
    assert (caught.value.status if caught.value.request else None) == VERDICTS[name].status


@pytest.mark.parametrize("name", VERDICTS)
def test_a_user_agent_gives_one_answer_and_the_right_one(name: str) -> None:
    subject, verdict, data = Subject(), VERDICTS[name], RFC4475[name].data
    final = subject.judge(data)
    assert (final.status if final else None) == verdict.status
    if final is not None:
        assert {header: final.get(header) for header in verdict.answer} == verdict.answer
        assert not any(final.names.count(header) > 1 for header in ("from", "to", "call-id", "cseq"))
        assert_a_repetition_changes_nothing(subject, data, final)


def assert_a_repetition_changes_nothing(subject: Subject, data: bytes, final: Response) -> None:
    again = subject.judge(data)
    if data.startswith(b"INVITE") and final.status == 200:
        # A 2xx of an INVITE is not repeated for the asking but by the clock, until its ACK comes.
        assert again is None
        subject.wire.wheel.advance(subject.agent.timing.t1 + 0.1)
        ((_, sent),) = subject.agent.take_outgoing()
        assert sent == final.encode()
    else:
        assert again is not None
        assert again.encode() == final.encode()


def test_wsinv_outside_a_dialog_is_a_call() -> None:
    data = RFC4475["wsinv"].data.replace(b" ;   tag    = 1918181833n", b"")
    subject = Subject()
    final = subject.judge(data)
    assert final is not None
    assert final.status == 200
    assert len(subject.offers[0]) == 150


@pytest.mark.parametrize(
    ("name", "status"),
    [("unreason", 200), ("noreason", 100), ("scalarlg", None), ("bigcode", None), ("bcast", None)],
)
def test_a_response_of_the_rfc_to_a_request_of_ours(name: str, status: int | None) -> None:
    """Under the Via, Call-ID, From and CSeq of our own request it is used or passed over as it deserves."""
    subject = Subject()
    method = "OPTIONS" if name == "scalarlg" else "INVITE"
    heard: list[Outcome] = []
    request = Request.new(method, "sip:user@example.edu")
    for header, value in {
        "max-forwards": "70",
        "from": "<sip:user@example.com>;tag=11141343",
        "to": "<sip:user@example.edu>",
        "call-id": "ours",
        "cseq": f"1 {method}",
    }.items():
        request.add(header, value)
    request.body = DESCRIPTION
    subject.agent.exchange(request, subject.flow, heard.append, on_provisional=heard.append)
    subject.agent.take_outgoing()

    lines = RFC4475[name].data.split(b"\r\n")
    via = lines.index(next(line for line in lines if line.startswith(b"Via:")))
    lines[via] = f"Via: {request.get('via')}".encode()
    if name != "scalarlg":
        cseq = lines.index(next(line for line in lines if line.startswith(b"CSeq:")))
        lines[cseq] = f"CSeq: 1 {method}".encode()
    subject.agent.receive(b"\r\n".join(lines), subject.flow)

    assert [outcome.status for outcome in heard if isinstance(outcome, Response)] == ([status] if status == 200 else [])
    assert subject.agent.take_outgoing() == []
    subject.wire.wheel.advance(subject.wire.wheel.now + 0.6)
    # An INVITE that had a provisional answer is not repeated; one whose answer was passed over is.
    repeated = [flow.remote for flow, _ in subject.agent.take_outgoing()]
    assert repeated == ([] if status else [PEER])

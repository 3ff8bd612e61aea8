"""The torture messages of RFC 4475 and RFC 5118, as bytes, and a user agent to try them on."""

import re
from dataclasses import dataclass
from pathlib import Path

from opx.sip.agent import UserAgent, new_tag
from opx.sip.answering import sdp_of
from opx.sip.flow import Flow
from opx.sip.message import Response
from opx.sip.parser import parse
from opx.sip.session import Session
from opx.sip.transactions import ServerTransaction
from support.sipnet import Node, Wire

FOLDER = Path(__file__).parent.parent / "sip" / "torture"

_HEX = re.compile(r"<hex>([0-9A-Fa-f]*)</hex>")
_REPEAT = re.compile(r"<repeat count=(\d+)>([^<]*)</repeat>")
_TITLE = re.compile(r"^=== (\S+) (\S+)\n", re.MULTILINE)


@dataclass(frozen=True)
class TortureMessage:
    """One message under the name that its RFC gives it."""

    rfc: int
    section: str
    name: str
    data: bytes

    @property
    def head(self) -> bytes:
        """Start line and headers, with the empty line that ends them."""
        return self.data[: self.data.index(b"\r\n\r\n") + 4]


def read_messages(rfc: int) -> dict[str, TortureMessage]:
    """All messages of an RFC by their names, in its order; the notation is told at the top of the file."""
    pieces = _TITLE.split((FOLDER / f"rfc{rfc}.txt").read_text())[1:]
    return {
        name: TortureMessage(rfc, section, name, _bytes_of(text))
        for section, name, text in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True)
    }


def _bytes_of(text: str) -> bytes:
    whole = re.sub(
        r"<allOneLine>\n(.*?)</allOneLine>\n", lambda block: block[1].replace("\n", "") + "\n", text, flags=re.DOTALL
    )
    whole = _REPEAT.sub(lambda repeat: repeat[2] * int(repeat[1]), whole).replace("\n", "\r\n")
    # Latin-1 carries any byte that <hex> names through the text; the files themselves are ASCII.
    return _HEX.sub(lambda named: bytes.fromhex(named[1]).decode("latin-1"), whole).encode("latin-1")


RFC4475 = read_messages(4475)
RFC5118 = read_messages(5118)
MESSAGES = RFC4475 | RFC5118

PEER, HERE = ("192.0.2.77", 5060), ("192.0.2.9", 5060)
DESCRIPTION = b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


class Subject:
    """A user agent that takes every call, registers everybody and knows OPTIONS, and what it says to a peer's bytes."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.node = Node(self.wire, "subject", HERE, on_request_do=self._serve)
        self.flow = Flow("UDP", HERE, PEER)
        self.offers: list[bytes] = []
        self.sessions: list[Session] = []

    @property
    def agent(self) -> UserAgent:
        return self.node.agent

    def hear(self, data: bytes) -> list[Response]:
        """All that it sends at once in answer to one datagram."""
        self.agent.receive(data, self.flow)
        answers = []
        for flow, sent in self.agent.take_outgoing():
            assert flow == self.flow
            answer = parse(sent)
            assert isinstance(answer, Response), sent
            answers.append(answer)
        return answers

    def judge(self, data: bytes) -> Response | None:
        """Its final answer to one datagram, None when it says nothing; there may be only one."""
        finals = [answer for answer in self.hear(data) if answer.status >= 200]
        assert len(finals) <= 1
        return finals[0] if finals else None

    def _serve(self, transaction: ServerTransaction) -> None:
        if transaction.method == "INVITE":
            session = Session.incoming(self.agent, lambda event: None, transaction, contact="sip:subject@192.0.2.9")
            self.offers.append(sdp_of(transaction.request))
            self.sessions.append(session)
            session.accept(DESCRIPTION)
        elif transaction.method == "REGISTER":
            response = transaction.request.reply(200, to_tag=new_tag())
            for contact in transaction.request.contacts:
                response.add("contact", str(contact))
            transaction.respond(response)
        else:
            self.agent.refuse_method(transaction)

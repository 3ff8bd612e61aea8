"""What an INVITE's 2xx needs around it: its repetition until the ACK comes, and the bodies that both carry."""

import re
from collections.abc import Callable

from opx.sip.address import NameAddr
from opx.sip.agent import UserAgent
from opx.sip.errors import RemoteProtocolError
from opx.sip.message import Request, Response
from opx.sip.multipart import SDP, session_part
from opx.sip.timers import Timer
from opx.sip.transactions import ServerTransaction

_QVALUE = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\Z")


class AnswerRepeater:
    """Repeats a 2xx until it is acknowledged (RFC 3261 section 13.3.1.4), over any transport; gives up after 64*T1.

    `number` is the CSeq number that the ACK must have.
    """

    def __init__(
        self,
        agent: UserAgent,
        transaction: ServerTransaction,
        response: Response,
        number: int,
        on_never_acknowledged: Callable[[], None],
    ) -> None:
        self.number = number
        self._agent = agent
        self._transaction = transaction
        self._response = response
        self._interval = agent.timing.t1
        self._on_never_acknowledged = on_never_acknowledged
        self._repeat: Timer = agent.wheel.schedule(self._interval, self._again)
        self._limit: Timer = agent.wheel.schedule(agent.timing.timeout, self._give_up)

    def stop(self) -> None:
        self._repeat.cancel()
        self._limit.cancel()

    def _again(self) -> None:
        if not self._transaction.terminated:
            self._transaction.respond(self._response)
        self._interval = min(2 * self._interval, self._agent.timing.t2)
        self._repeat = self._agent.wheel.schedule(self._interval, self._again)

    def _give_up(self) -> None:
        self.stop()
        self._on_never_acknowledged()


def build_answer(agent: UserAgent, request: Request, status: int, tag: str, contact: str, sdp: bytes) -> Response:
    """A response to an INVITE that makes or keeps a dialog (RFC 3261 section 13.3.1)."""
    response = request.reply(status, to_tag=tag)
    response.add("contact", contact)
    response.add("allow", agent.allow)
    response.add("supported", agent.supported_text)
    if agent.product:
        response.add("server", agent.product)
    attach_sdp(response, sdp)
    return response


def sdp_of(message: Request | Response) -> bytes:
    """The session description in a message, b"" when its body is none or something else, or cannot be read."""
    if not message.body:
        return b""
    if message.content_type == SDP and "content-disposition" not in message.names:
        return message.body
    try:
        return session_part(message)
    except RemoteProtocolError:
        return b""


def attach_sdp(message: Request | Response, sdp: bytes) -> None:
    """Make `sdp` the body, unless it is empty."""
    if sdp:
        message.set("content-type", SDP)
        message.body = sdp


def redirect_targets(response: Response) -> tuple[str, ...]:
    """The URIs of a redirection's Contacts, by falling q and else in their order (RFC 3261 section 8.1.3.4).

    What cannot be read is passed over.
    """
    found: list[tuple[float, str]] = []
    for value in response.values("contact"):
        try:
            contact = NameAddr.parse(value)
        except RemoteProtocolError:
            continue
        found.append((-_q(contact.param("q")), str(contact.uri)))
    return tuple(uri for _, uri in sorted(found, key=lambda each: each[0]))


def _q(text: str | None) -> float:
    if text is None:
        return 1.0
    return float(text) if _QVALUE.match(text) else 0.0


def retry_after_of(response: Response) -> int | None:
    """Seconds of a Retry-After header, None where there is none that can be read (RFC 3261 section 20.33)."""
    value = (response.get("retry-after") or "").partition(";")[0].partition("(")[0].strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None

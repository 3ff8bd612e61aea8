"""A call's messages as steps between parties: what a ladder shows, before anybody draws it."""

from collections.abc import Sequence
from dataclasses import dataclass

from opx.gateway.faults.messages import SipMessage
from opx.gateway.media.interface import Side
from opx.sip.errors import RemoteProtocolError
from opx.sip.flow import host_port
from opx.sip.message import Request, Response
from opx.sip.parser import parse

GATEWAY = "Gateway"
CHALLENGES = (401, 407)
"""Part of every call that asks for credentials."""
MAX_TITLE = 60
"""Characters."""


@dataclass(frozen=True, slots=True)
class Party:
    """A lifeline: the phone, the gateway, a node of the ICP."""

    label: str
    address: str


@dataclass(frozen=True, slots=True)
class Step:
    """One arrow from party to party, by their places in the ladder. `after`: seconds since the first message.

    `title` names it in a few words, `method` is the request's that it belongs to. `repeated`: sent once more.
    """

    at: float
    after: float
    source: int
    target: int
    title: str
    method: str
    failure: bool
    repeated: bool
    message: SipMessage


@dataclass(frozen=True, slots=True)
class Ladder:
    parties: tuple[Party, ...]
    steps: tuple[Step, ...]


def ladder(messages: Sequence[SipMessage]) -> Ladder:
    """Phones stand on the left, the gateway in the middle, nodes of the ICP on the right, in the order they spoke."""
    phones = _remotes(messages, Side.SET)
    nodes = _remotes(messages, Side.ICP)
    places = {(Side.SET, remote): index for index, remote in enumerate(phones)}
    middle = len(phones)
    places |= {(Side.ICP, remote): middle + 1 + index for index, remote in enumerate(nodes)}
    seen: set[tuple[bool, str, bytes]] = set()
    steps = []
    for message in messages:
        far = places[message.side, host_port(message.remote)]
        title, method, failure = _title(message.data)
        key = (message.sent, host_port(message.remote), message.data)
        steps.append(
            Step(
                message.at,
                message.at - messages[0].at,
                *((middle, far) if message.sent else (far, middle)),
                title,
                method,
                failure,
                key in seen,
                message,
            )
        )
        seen.add(key)
    return Ladder(
        (*(Party("Phone", a) for a in phones), Party(GATEWAY, ""), *(Party("ICP", a) for a in nodes)), (*steps,)
    )


def _remotes(messages: Sequence[SipMessage], side: Side) -> list[str]:
    return list(dict.fromkeys(host_port(message.remote) for message in messages if message.side is side))


def _title(data: bytes) -> tuple[str, str, bool]:
    """A few words for a message, its method, and whether it says that something failed."""
    try:
        message = parse(data)
        method = message.cseq.method
    except RemoteProtocolError:
        line = data.partition(b"\n")[0].decode("utf-8", "replace").strip()
        return f"unreadable: {line}"[:MAX_TITLE], "", True
    with_sdp = " (SDP)" if b"m=audio" in message.body else ""
    if isinstance(message, Response):
        failed = message.status >= 400 and message.status not in CHALLENGES
        return f"{message.status} {message.reason}{with_sdp}"[:MAX_TITLE], method, failed
    assert isinstance(message, Request)
    return f"{message.method}{with_sdp}"[:MAX_TITLE], method, message.method == "CANCEL"

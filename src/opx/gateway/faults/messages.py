"""A call's messages as they may leave signalling: masked, in order, and packed small to be kept."""

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from opx.gateway.control.protocol import Ladder, TracedMessage
from opx.gateway.faults.masking import mask
from opx.gateway.media.interface import Side
from opx.gateway.signalling.traces import LegTrace
from opx.sip.flow import Address

_VERSION = b"1"
MAX_UNPACKED = 16 * 1024 * 1024
"""Bytes; a call's legs hold less, so that more than that is damage."""


@dataclass(frozen=True, slots=True)
class SipMessage:
    """One message, without secrets. `sent` by the gateway, on its side `side`; `at` in seconds since 1970."""

    at: float
    side: Side
    sent: bool
    transport: str
    local: Address
    remote: Address
    data: bytes

    @property
    def text(self) -> str:
        """Bytes that are no UTF-8 stand as backslash escapes."""
        return self.data.decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class CallTrace:
    """All messages of a call, the oldest first. `left_out`: how many were too many to keep."""

    messages: tuple[SipMessage, ...]
    left_out: int = 0


def masked(legs: Iterable[LegTrace]) -> CallTrace:
    """The messages of several legs as one."""
    legs = list(legs)
    found = [
        SipMessage(
            message.at,
            leg.side,
            message.sent,
            message.flow.transport,
            message.flow.local,
            message.flow.remote,
            mask(message.data),
        )
        for leg in legs
        for message in leg.messages
    ]
    found.sort(key=lambda message: message.at)
    return CallTrace(tuple(found), sum(leg.left_out for leg in legs))


def pack(trace: CallTrace) -> bytes:
    """Small bytes to be stored: a line of JSON and the message's own bytes each, compressed together."""
    parts = [json.dumps([trace.left_out]).encode() + b"\n"]
    for one in trace.messages:
        head = [one.at, one.side.value, one.sent, one.transport, *one.local, *one.remote, len(one.data)]
        parts += (json.dumps(head).encode(), b"\n", one.data)
    return _VERSION + zlib.compress(b"".join(parts), 6)


def unpack(data: bytes) -> CallTrace:
    """What `pack` made. ValueError for anything else."""
    if data[:1] != _VERSION:
        raise ValueError("these messages were stored by another release")
    try:
        return _read(zlib.decompressobj().decompress(data[1:], MAX_UNPACKED))
    except (zlib.error, ValueError, TypeError) as error:
        raise ValueError(f"these messages are damaged: {error}") from None


def _read(rest: bytes) -> CallTrace:
    line, _, rest = rest.partition(b"\n")
    (left_out,) = json.loads(line)
    messages = []
    while rest:
        line, _, rest = rest.partition(b"\n")
        at, side, sent, transport, host, port, far_host, far_port, size = json.loads(line)
        message = SipMessage(at, Side(side), sent, transport, (host, port), (far_host, far_port), rest[:size])
        messages.append(message)
        rest = rest[size:]
    return CallTrace(tuple(messages), left_out)


def to_wire(trace: CallTrace) -> Ladder:
    """As the control socket carries it."""
    return Ladder(
        messages=tuple(
            TracedMessage(
                at=one.at,
                side=one.side.value,
                sent=one.sent,
                transport=one.transport,
                local=one.local,
                remote=one.remote,
                text=one.text,
            )
            for one in trace.messages
        ),
        left_out=trace.left_out,
    )


def from_wire(ladder: Ladder) -> CallTrace:
    messages: Sequence[SipMessage] = [
        SipMessage(one.at, Side(one.side), one.sent, one.transport, one.local, one.remote, one.text.encode())
        for one in ladder.messages
    ]
    return CallTrace(tuple(messages), ladder.left_out)

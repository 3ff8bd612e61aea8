"""The SIP messages of each call as they were read and sent, for whoever looks for a fault later.

Costs a message one look-up and one append of references; masking secrets and drawing wait until somebody asks. A leg
is known by its Call-ID. What belongs to no call is let go at once.
"""

import re
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from opx.gateway.media.interface import Side
from opx.sip.flow import Flow
from opx.sip.message import Request, Response

MAX_FIRST = 60
"""Messages kept from the beginning of a leg: a call with transfers and holds stays below."""
MAX_LAST = 140
"""And from its end; what comes between is left out."""
MAX_OCTETS = 256 * 1024
"""Bytes kept of a leg, so that no phone can fill the memory with large messages."""
MAX_UNCLAIMED = 1024
"""Legs that have begun and belong to no call yet: INVITEs of strangers, until newer ones come."""
MAX_UNCLAIMED_OCTETS = 16 * 1024
"""Bytes kept of one of those: an INVITE, its challenge and the INVITE with credentials have room in it."""

_NAME = b"\r\nCall-ID: "
_OTHER = re.compile(rb"\r?\n(?:call-id|i)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)


class Traced(NamedTuple):
    """One message. `at` in seconds since 1970."""

    at: float
    sent: bool
    flow: Flow
    data: bytes


class LegTrace:
    """The messages of one leg, its first and its last ones."""

    __slots__ = ("_first", "_last", "call_id", "left_out", "most", "octets", "side")

    def __init__(self, side: Side, call_id: bytes, most: int = MAX_OCTETS) -> None:
        self.side = side
        self.call_id = call_id
        self.most = most
        """Bytes that it may hold."""
        self.octets = 0
        self.left_out = 0
        self._first: list[Traced] = []
        self._last: deque[Traced] = deque()

    @property
    def messages(self) -> list[Traced]:
        return [*self._first, *self._last]

    def add(self, message: Traced) -> None:
        size = len(message.data)
        if size > self.most // 2:
            self.left_out += 1
            return
        self.octets += size
        last = self._last
        if not last and len(self._first) < MAX_FIRST and self.octets <= self.most // 2:
            self._first.append(message)
            return
        last.append(message)
        while len(last) > MAX_LAST or self.octets > self.most:
            self.octets -= len(last.popleft().data)
            self.left_out += 1


class SideTap:
    """What one side's user agent shows its messages to."""

    def __init__(self, side: Side, clock: Callable[[], float]) -> None:
        self._side = side
        self._clock = clock
        self._known: dict[bytes, LegTrace] = {}
        self._unclaimed: dict[bytes, LegTrace] = {}

    def __len__(self) -> int:
        return len(self._known)

    def read(self, flow: Flow, data: bytes) -> None:
        """A datagram as it came."""
        trace = self._trace(data)
        if trace is not None:
            trace.add(Traced(self._clock(), False, flow, data))

    def read_message(self, flow: Flow, message: Request | Response) -> None:
        """A message of a stream; its lines are as they came, but for folded ones."""
        known = self._known
        begins = isinstance(message, Request) and message.method == "INVITE"
        if not known and not begins:
            return
        call_id = (message.get("call-id") or "").encode("utf-8", "surrogateescape")
        trace = known.get(call_id)
        if trace is None and begins and call_id:
            trace = self._open(call_id)
        if trace is not None:
            trace.add(Traced(self._clock(), False, flow, message.encode()))

    def sent(self, flow: Flow, data: bytes) -> None:
        trace = self._trace(data)
        if trace is not None:
            trace.add(Traced(self._clock(), True, flow, data))

    def _trace(self, data: bytes) -> LegTrace | None:
        begins = data.startswith(b"INVITE ")
        if not self._known and not begins:
            return None
        call_id = call_id_of(data)
        trace = self._known.get(call_id)
        if trace is None and begins and call_id:
            trace = self._open(call_id)
        return trace

    def _open(self, call_id: bytes) -> LegTrace:
        trace = self._known[call_id] = self._unclaimed[call_id] = LegTrace(self._side, call_id, MAX_UNCLAIMED_OCTETS)
        if len(self._unclaimed) > MAX_UNCLAIMED:
            oldest = next(iter(self._unclaimed))
            del self._unclaimed[oldest], self._known[oldest]
        return trace

    def claim(self, call_id: str) -> LegTrace:
        """The leg of that Call-ID belongs to a call; it is kept until `release`."""
        key = call_id.encode("utf-8", "surrogateescape")
        trace = self._unclaimed.pop(key, None) or self._known.get(key)
        if trace is None:
            trace = self._known[key] = LegTrace(self._side, key)
        trace.most = MAX_OCTETS
        return trace

    def release(self, trace: LegTrace) -> None:
        """The call is over; whoever has the trace may keep it."""
        if self._known.get(trace.call_id) is trace:
            del self._known[trace.call_id]
            self._unclaimed.pop(trace.call_id, None)


class CallTraces:
    """Both sides' taps. `clock` in seconds since 1970."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.taps = {side: SideTap(side, clock) for side in Side}

    def claim(self, side: Side, call_id: str) -> LegTrace:
        return self.taps[side].claim(call_id)

    def release(self, trace: LegTrace) -> None:
        self.taps[trace.side].release(trace)


def call_id_of(data: bytes) -> bytes:
    """The Call-ID of a message's bytes, b"" when there is none."""
    start = data.find(_NAME)
    if start >= 0:
        start += len(_NAME)
        return data[start : data.find(b"\r\n", start)].strip()
    match = _OTHER.search(data)
    return match[1].strip() if match is not None else b""

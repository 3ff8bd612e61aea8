"""Reliable provisional answers (RFC 3262): both ends."""

import random
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from opx.sip.agent import UserAgent
from opx.sip.grammar import holds_token
from opx.sip.message import Request, Response
from opx.sip.timers import Timer
from opx.sip.transactions import ServerTransaction

OPTION = "100rel"
MAX_WAITING = 16
"""Provisional answers that wait for the one before them; a phone that rings sends two or three."""


class RAck(NamedTuple):
    """Which provisional answer a PRACK acknowledges (section 7.2)."""

    rseq: int
    cseq: int
    method: str


def rack_of(prack: Request) -> RAck | None:
    """None when it is malformed."""
    parts = (prack.get("rack") or "").split()
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) <= 10 for part in parts[:2]):
        return None
    return RAck(int(parts[0]), int(parts[1]), parts[2])


def rseq_of(response: Response) -> int | None:
    """The number of a provisional answer that wants a PRACK, None for one that does not."""
    value = response.get("rseq")
    if value is None or not has_option(response, "require"):
        return None
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 10 else None


def has_option(message: Request | Response, name: str) -> bool:
    """Whether Require or Supported (`name`) names reliable provisional answers."""
    return holds_token(message.get_all(name), OPTION)


class ReliableAnswers:
    """Sends provisional answers of an INVITE one at a time and repeats each until its PRACK comes (section 3).

    `on_abandoned` hears that none came within 64*T1. `number` is the INVITE's CSeq number.
    """

    def __init__(
        self, agent: UserAgent, transaction: ServerTransaction, number: int, on_abandoned: Callable[[], None]
    ) -> None:
        self._agent = agent
        self._transaction = transaction
        self._number = number
        self._on_abandoned = on_abandoned
        self._rseq = random.randint(1, 2**30)
        self._waiting: deque[Response] = deque()
        self._current: Response | None = None
        self._interval = 0.0
        self._repeat: Timer | None = None
        self._limit: Timer | None = None

    @property
    def unacknowledged(self) -> bool:
        return self._current is not None

    def send(self, response: Response) -> None:
        """Send `response`, now or when the ones before it are acknowledged."""
        if len(self._waiting) >= MAX_WAITING:
            return
        self._waiting.append(response)
        if self._current is None:
            self._next()

    def acknowledged(self, rack: RAck) -> Response | None:
        """A PRACK came: the answer that it is for, None when it is for none that waits."""
        current = self._current
        if current is None or rack != (self._rseq, self._number, "INVITE"):
            return None
        self._stop_timers()
        self._current = None
        if self._waiting:
            self._next()
        return current

    def stop(self) -> None:
        self._stop_timers()
        self._current = None
        self._waiting.clear()

    def _next(self) -> None:
        self._rseq += 1
        response = self._waiting.popleft()
        response.add("require", OPTION)
        response.add("rseq", str(self._rseq))
        self._current = response
        self._interval = self._agent.timing.t1
        self._transaction.respond(response)
        self._repeat = self._agent.wheel.schedule(self._interval, self._again)
        self._limit = self._agent.wheel.schedule(self._agent.timing.timeout, self._give_up)

    def _again(self) -> None:
        if self._current is not None:
            self._transaction.respond(self._current)
            self._interval *= 2
            self._repeat = self._agent.wheel.schedule(self._interval, self._again)

    def _give_up(self) -> None:
        self.stop()
        self._on_abandoned()

    def _stop_timers(self) -> None:
        for timer in (self._repeat, self._limit):
            if timer is not None:
                timer.cancel()
        self._repeat = self._limit = None

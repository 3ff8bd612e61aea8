"""Looks every few seconds at what there may be alarm for. Cheap: a handful of comparisons, whatever the load."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from opx.alarms import AlarmBoard
from opx.gateway.control.lag import LagMeter
from opx.gateway.faults.records import CallRecord
from opx.gateway.signalling.call import NO_PORTS
from opx.gateway.signalling.nodes import Health
from opx.gateway.signalling.signalling import Signalling
from opx.gateway.signalling.timeline import Entry, Kind
from opx.gateway.writer import WriteBehind

LOOK_EVERY = 5.0
"""Seconds."""
PORTS_QUIET = 300.0
"""Seconds without a call that found no media port, after which the alarm about it is cleared."""
MAX_DEVICES = 10_000
"""Refused devices that are remembered."""
_REGISTRATION = ("REGISTER ", "registration refused")
"""How the timeline's entries begin that turn a registration away."""


@dataclass(frozen=True, slots=True)
class WatchPolicy:
    """`refusals` of one device within `refusal_window` seconds are cause for alarm, and so is a `lag` in seconds."""

    refusals: int = 5
    refusal_window: float = 900.0
    lag: float = 0.5


class Watch:
    """`entry` is a sink of the timeline, `record` hears of every call that ended; `look` must be called regularly."""

    def __init__(self, board: AlarmBoard, policy: WatchPolicy, clock: Callable[[], float] = time.time) -> None:
        self._board = board
        self._policy = policy
        self._clock = clock
        self._refused: dict[int, deque[Entry]] = {}
        self._no_ports_at = 0.0

    def entry(self, entry: Entry) -> None:
        """Something was written on a timeline."""
        device_id = entry.device_id
        if device_id is None:
            return
        if entry.kind is Kind.REGISTRATION:
            self._refused.pop(device_id, None)
        elif entry.kind is Kind.REFUSAL and entry.text.startswith(_REGISTRATION):
            latest = self._refused.pop(device_id, None) or deque(maxlen=self._policy.refusals)
            latest.append(entry)
            self._refused[device_id] = latest
            if len(self._refused) > MAX_DEVICES:
                del self._refused[next(iter(self._refused))]

    def record(self, record: CallRecord) -> None:
        """A call has ended."""
        if record.reason == NO_PORTS:
            self._no_ports_at = self._clock()
            self._board.raise_("media-ports-exhausted", "", f"a call of {record.device} ended: {record.reason}")

    def look(self, signalling: Signalling, writer: WriteBehind, lag: LagMeter) -> None:
        board = self._board
        for link in signalling.links:
            if link.nodes and all(node.health is Health.UNKNOWN for node in link.nodes):
                # Just started: an alarm of before the restart stands until somebody knows better.
                continue
            nodes = ", ".join(f"{node} {node.health.value}" for node in link.nodes) or "its name leads nowhere"
            board.set("icp-unreachable", link.record.name, nodes, not link.available)
        board.clear_others("icp-unreachable", (link.record.name for link in signalling.links))
        licences = signalling.registrar.licences
        full = licences.total is not None and licences.used >= licences.total
        board.set("licences-exhausted", "", f"{licences.used} of {licences.total} in use", full)
        board.set("database-unwritable", "", writer.failure, bool(writer.failure))
        steady = lag.steady
        board.set("overloaded", "", f"what is due comes {steady:.1f} s late", steady >= self._policy.lag)
        if self._clock() - self._no_ports_at >= PORTS_QUIET:
            board.clear("media-ports-exhausted", "")
        self._look_at_refused(signalling)
        board.tick()

    def _look_at_refused(self, signalling: Signalling) -> None:
        oldest = self._clock() - self._policy.refusal_window
        again: list[str] = []
        for device_id, entries in list(self._refused.items()):
            if entries[-1].at < oldest:
                del self._refused[device_id]
            elif len(entries) == self._policy.refusals and entries[0].at >= oldest:
                device = signalling.directory.device(device_id)
                name = device.set_username if device is not None else f"device {device_id}"
                again.append(name)
                self._board.raise_("registration-refused", name, entries[-1].text)
        self._board.clear_others("registration-refused", again)

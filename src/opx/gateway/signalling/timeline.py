"""Timelines: what happened to a device, in words, with the reason of every refusal."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    REGISTRATION = "registration"
    REFUSAL = "refusal"
    CALL = "call"
    ICP = "icp"
    SUBSCRIPTION = "subscription"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class Entry:
    """`device_id` is None for what concerns no device that we know. `at` is in seconds since 1970."""

    device_id: int | None
    at: float
    kind: Kind
    text: str


REPEAT_WINDOW = 60.0
"""Seconds in which the same entry of the same device is not written twice: a guesser may not fill a timeline."""
MAX_REMEMBERED = 10_000
"""Entries remembered for that."""


class Timeline:
    """Takes entries and hands them to `sinks` (the database, the log, the demo's screen)."""

    def __init__(self, sinks: list[Callable[[Entry], None]], clock: Callable[[], float] = time.time) -> None:
        self.sinks = sinks
        self._clock = clock
        self._recent: dict[tuple[int | None, Kind, str], float] = {}

    def add(self, device_id: int | None, kind: Kind, text: str, *, once: bool = False) -> None:
        """Write an entry; with `once` not again within the repeat window."""
        now = self._clock()
        if once and not self._first(device_id, kind, text, now):
            return
        entry = Entry(device_id, now, kind, text)
        for sink in self.sinks:
            sink(entry)

    def _first(self, device_id: int | None, kind: Kind, text: str, now: float) -> bool:
        key = (device_id, kind, text)
        last = self._recent.pop(key, None)
        if len(self._recent) >= MAX_REMEMBERED:
            del self._recent[next(iter(self._recent))]
        self._recent[key] = now if last is None or now - last >= REPEAT_WINDOW else last
        return self._recent[key] == now

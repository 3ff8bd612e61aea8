"""How often one address may be refused before it is not listened to for a while."""

import time
from collections import deque
from collections.abc import Callable

MAX_SOURCES = 10_000
"""Addresses remembered; the one that was refused longest ago is forgotten first."""


class Attempts:
    """Refusals of each address within `window` seconds; from the `limit`-th on it has to wait."""

    def __init__(self, limit: int, window: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._window = window
        self._clock = clock
        self._refused: dict[str, deque[float]] = {}

    def wait(self, source: str) -> float:
        """Seconds until `source` is listened to, 0 when at once."""
        times = self._refused.get(source)
        if times is None or len(times) < self._limit:
            return 0.0
        return max(0.0, times[0] + self._window - self._clock())

    def refused(self, source: str) -> None:
        times = self._refused.pop(source, None) or deque(maxlen=self._limit)
        times.append(self._clock())
        while len(self._refused) >= MAX_SOURCES:
            del self._refused[next(iter(self._refused))]
        self._refused[source] = times

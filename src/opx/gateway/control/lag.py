"""How late the event loop comes to what is due: the one figure that tells an overloaded signalling process."""

import asyncio

BEAT = 0.5
"""Seconds between two looks."""
MEMORY = 60
"""Looks that are remembered: half a minute."""


class LagMeter:
    """`start`, and `stop` in the end; `worst` is the largest lateness of the last half minute in seconds."""

    def __init__(self) -> None:
        self._seen: list[float] = [0.0] * MEMORY
        self._next = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def worst(self) -> float:
        return max(self._seen)

    @property
    def steady(self) -> float:
        """The least lateness of the last five seconds: what a single long step does not raise."""
        latest = [self._seen[self._next - back] for back in range(1, 11)]
        return min(latest)

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + BEAT
        self._timer = loop.call_at(self._due, self._look)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def note(self, late: float) -> None:
        """Something was `late` seconds late."""
        self._seen[self._next] = max(0.0, late)
        self._next = (self._next + 1) % MEMORY

    def _look(self) -> None:
        self.note(asyncio.get_running_loop().time() - self._due)
        self.start()

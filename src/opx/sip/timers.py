"""One timer wheel for all of a process's protocol timers.

Tens of thousands of transactions live at once and nearly every one of their timers is cancelled or does nothing; a
heap entry per timer is then the largest cost of a busy server. The wheel keeps one heap entry per tick instead. It
has no clock: whoever owns it says what time it is.
"""

import heapq
import math
from collections.abc import Callable

TICK = 0.1
"""Seconds per tick: the resolution of every timer, and RFC 3261's T1 is five of them."""


class Timer:
    """A scheduled call. `cancel()` is idempotent and lets go of everything the call held."""

    __slots__ = ("_callback", "due")

    def __init__(self, due: float, callback: Callable[[], None]) -> None:
        self.due = due
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self._callback = None

    @property
    def active(self) -> bool:
        return self._callback is not None

    def fire(self) -> None:
        """Run the call once; the wheel's part to call."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class TimerWheel:
    """Timers in ticks of `tick` seconds; `now` is the time last told, in seconds of any monotonic origin."""

    __slots__ = ("_heap", "_slots", "now", "tick")

    def __init__(self, now: float = 0.0, tick: float = TICK) -> None:
        self.now = now
        self.tick = tick
        self._slots: dict[int, list[Timer]] = {}
        self._heap: list[int] = []

    def schedule(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` once, at the first tick that is not before `delay` seconds from now."""
        due = self.now + delay
        slot = math.ceil(due / self.tick - 1e-6)
        timer = Timer(due, callback)
        timers = self._slots.get(slot)
        if timers is None:
            self._slots[slot] = [timer]
            heapq.heappush(self._heap, slot)
        else:
            timers.append(timer)
        return timer

    def advance(self, now: float) -> None:
        """Tell the time; runs what has come due, tick by tick, each at its own time.

        When a call raises, the others of its tick are still due: the next `advance` runs them.
        """
        last = math.floor(now / self.tick + 1e-6)
        while self._heap and self._heap[0] <= last:
            slot = heapq.heappop(self._heap)
            self.now = max(self.now, slot * self.tick)
            left = iter(self._slots.pop(slot))
            try:
                for timer in left:
                    timer.fire()
            except BaseException:
                self._put_back(slot, list(left))
                raise
        self.now = max(self.now, now)

    def _put_back(self, slot: int, timers: list[Timer]) -> None:
        if slot not in self._slots:
            heapq.heappush(self._heap, slot)
        self._slots.setdefault(slot, []).extend(timers)

    def next_due(self) -> float | None:
        """When `advance` next has something to look at, or None."""
        return self._heap[0] * self.tick if self._heap else None

"""Lets messages gather under load, so that one wake-up serves many.

A server that wakes for every datagram runs with cold caches: on a virtual machine that costs as much again as the work
itself. While little arrives each message is read at once; as soon as wake-ups follow each other more closely than the
gap, sockets are read by the beat instead, as network cards moderate their interrupts.
"""

import asyncio
from collections.abc import Callable

GAP = 0.010
"""Seconds between two beats: nothing beside SIP's T1 of half a second, and a dozen messages at a thousand a second."""


class Pulse:
    """Reads sockets of one event loop.

    A `drain` reads what is there, without waiting, and returns how much it took, in units of its own; at `full` of
    them it stops to let others have their turn, and is asked again at once.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, gap: float = GAP) -> None:
        self.gap = gap
        self._loop = loop
        self._drains: dict[int, tuple[Callable[[], int], int]] = {}
        self._last = -1.0
        self._beating: asyncio.Handle | None = None

    def add(self, descriptor: int, drain: Callable[[], int], full: int) -> None:
        self._drains[descriptor] = (drain, full)
        if self._beating is None:
            self._loop.add_reader(descriptor, self._on_ready, drain)

    def remove(self, descriptor: int) -> None:
        """Before the socket is closed."""
        if self._drains.pop(descriptor, None) is not None:
            self._loop.remove_reader(descriptor)
        if not self._drains and self._beating is not None:
            self._beating.cancel()
            self._beating = None

    def _on_ready(self, drain: Callable[[], int]) -> None:
        now = self._loop.time()
        close, self._last = now - self._last < self.gap, now
        if not close:
            drain()
        elif self._beating is None:
            for descriptor in self._drains:
                self._loop.remove_reader(descriptor)
            self._beating = self._loop.call_later(self.gap, self._beat)

    def _beat(self) -> None:
        # Armed first: what a message does may not end the reading of others.
        self._beating = self._loop.call_later(self.gap, self._beat)
        taken = [(drain(), full) for drain, full in list(self._drains.values())]
        if self._beating is None:
            return
        if any(count >= full for count, full in taken):
            self._beating.cancel()
            self._beating = self._loop.call_soon(self._beat)
        elif not any(count for count, _ in taken):
            self._beating.cancel()
            self._beating = None
            for descriptor, (drain, _) in self._drains.items():
                self._loop.add_reader(descriptor, self._on_ready, drain)

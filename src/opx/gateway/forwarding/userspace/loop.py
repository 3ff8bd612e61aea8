"""A worker's heart: waits for sockets, and calls whoever they belong to. One thread, no asyncio: a connection costs
two dictionary entries, and an event one call."""

import select
import time
from collections.abc import Callable

MAX_EVENTS = 512
"""Taken from the kernel at once."""

Handler = Callable[[int], None]
"""Takes epoll's event bits. What it was called for may be over: only its system calls tell."""


class Loop:
    """`now` is the time of the events that are being handled, in seconds of the monotonic clock."""

    def __init__(self, tick: float, on_tick: Callable[[], None]) -> None:
        """`on_tick` is called every `tick` seconds."""
        self.now = time.monotonic()
        self.epoll = select.epoll()
        self.handlers: dict[int, Handler] = {}
        self._ready: list[Callable[[], None]] = []
        self._paused: list[tuple[int, int, Handler]] = []
        self._tick = tick
        self._on_tick = on_tick
        self._stopped = False

    def add(self, descriptor: int, events: int, handler: Handler) -> None:
        self.handlers[descriptor] = handler
        self.epoll.register(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Of a descriptor that is closed now, which takes it out of epoll by itself."""
        self.handlers.pop(descriptor, None)
        if self._paused:
            self._paused = [paused for paused in self._paused if paused[0] != descriptor]

    def remove(self, descriptor: int) -> None:
        """Of one that stays open."""
        if self.handlers.pop(descriptor, None) is not None:
            self.epoll.unregister(descriptor)

    def pause(self, descriptor: int, events: int) -> None:
        """Listen to it again at the next tick only."""
        self._paused.append((descriptor, events, self.handlers[descriptor]))
        self.remove(descriptor)

    def soon(self, call: Callable[[], None]) -> None:
        """After the events at hand, which get their turn first."""
        self._ready.append(call)

    def stop(self) -> None:
        self._stopped = True

    def run(self) -> None:
        """Until `stop`."""
        due = time.monotonic() + self._tick
        poll, handlers, clock = self.epoll.poll, self.handlers, time.monotonic
        while not self._stopped:
            events = poll(0 if self._ready else max(0.0, due - self.now), MAX_EVENTS)
            self.now = clock()
            for descriptor, bits in events:
                handler = handlers.get(descriptor)
                if handler is not None:
                    handler(bits)
            if self._ready:
                ready, self._ready = self._ready, []
                for call in ready:
                    call()
            if self.now >= due:
                paused, self._paused = self._paused, []
                for one in paused:
                    self.add(*one)
                self._on_tick()
                due = self.now + self._tick
        self.epoll.close()

"""Turns a timer wheel by the event loop's clock, and beats when sockets are to be read."""

import asyncio

from opx.sip.timers import TimerWheel
from opx.sip.transport.pulse import GAP, Pulse


class WheelClock:
    """Advances `wheel` tick by tick while it runs. Any number of stacks may share one wheel and its clock."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None, gap: float = GAP) -> None:
        self.loop = loop or asyncio.get_running_loop()
        self.pulse = Pulse(self.loop, gap)
        self.wheel = TimerWheel(self.loop.time())
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        if self._handle is None:
            self._tick()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def read(self) -> None:
        """Bring the wheel to the present, so that what is scheduled next counts from now."""
        self.wheel.advance(self.loop.time())

    def _tick(self) -> None:
        # Armed first: a callback that raises may not stop every later timer.
        self._handle = self.loop.call_later(self.wheel.tick, self._tick)
        self.read()

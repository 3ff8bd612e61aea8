"""Asks the media driver on behalf of calls that do not wait."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from opx.gateway.media.interface import MediaDriver, MediaError, RelayPorts, RelayStats, Side

Address = tuple[str, int]
Order = Callable[[], Awaitable[None]]

log = logging.getLogger(__name__)


class DriverDesk:
    """Carries a call's orders out one after the other; calls do not wait for each other.

    `on_closed` hears what the relay counted for a call.
    """

    def __init__(self, driver: MediaDriver, on_closed: Callable[[str, RelayStats], None]) -> None:
        self._driver = driver
        self._on_closed = on_closed
        # One task for all that a call orders in a row: a task for each order costs more than most orders.
        self._waiting: dict[str, deque[Order]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, call_id: str, on_open: Callable[[RelayPorts | None], None]) -> None:
        async def order() -> None:
            try:
                ports: RelayPorts | None = await self._driver.open(call_id)
            except MediaError as error:
                log.warning("no media for call %s: %s", call_id, error)
                ports = None
            on_open(ports)

        self._enqueue(call_id, order)

    def connect(self, call_id: str, side: Side, expected: str | None, hint: Address | None) -> None:
        self._enqueue(call_id, lambda: self._driver.connect(call_id, side, expected, hint))

    def relatch(self, call_id: str, side: Side) -> None:
        self._enqueue(call_id, lambda: self._driver.relatch(call_id, side))

    def hold(self, call_id: str, on: bool) -> None:
        self._enqueue(call_id, lambda: self._driver.hold(call_id, on))

    def close(self, call_id: str) -> None:
        async def order() -> None:
            self._on_closed(call_id, await self._driver.close(call_id))

        self._enqueue(call_id, order)

    async def drain(self) -> None:
        """Wait until all orders given so far are carried out."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _enqueue(self, call_id: str, order: Order) -> None:
        waiting = self._waiting.get(call_id)
        if waiting is not None:
            waiting.append(order)
            return
        self._waiting[call_id] = deque((order,))
        task = asyncio.get_running_loop().create_task(self._carry_out(call_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, call_id: str) -> None:
        waiting = self._waiting[call_id]
        try:
            while waiting:
                try:
                    await waiting.popleft()()
                except MediaError as error:
                    # The call may have lost its relay meanwhile; that is reported by the driver itself.
                    log.info("media of call %s: %s", call_id, error)
                except Exception:
                    # The orders behind it stand all the same: ports that are never closed are lost.
                    log.exception("media of call %s", call_id)
        finally:
            del self._waiting[call_id]

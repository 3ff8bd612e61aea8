"""Counts calls and devices in service over time, for the dashboard's pictures."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from opx.gateway.console.models import TrafficSample
from opx.gateway.control.protocol import Control, ControlError
from opx.store.engine import for_reading

LOOK = 10.0
"""Seconds between two looks at the gateway."""
PERIOD = 300.0
"""Seconds of one sample."""
KEEP = 8 * 86400.0
"""Seconds that samples are kept."""

log = logging.getLogger(__name__)


class Traffic:
    """`start`, `stop`. A period in which the gateway did not answer has no sample."""

    def __init__(self, engine: AsyncEngine, control: Control, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._reading = for_reading(engine)
        self._control = control
        self._clock = clock
        self._period = 0.0
        self._most: tuple[int, int] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def samples(self, since: float) -> list[tuple[float, int, int]]:
        """Time, calls and devices in service, the oldest first; with what the present period has seen so far."""
        columns = (TrafficSample.at, TrafficSample.calls, TrafficSample.registered)
        async with self._reading.connect() as connection:
            query = select(*columns).where(TrafficSample.at >= since).order_by(TrafficSample.at)
            rows = [(at, calls, registered) for at, calls, registered in await connection.execute(query)]
        if self._most is not None:
            rows.append((self._period, *self._most))
        return rows

    async def look(self) -> None:
        """Ask the gateway once; when a period is over, write what it saw."""
        now = self._clock()
        period = now - now % PERIOD
        if period != self._period:
            await self._write()
            self._period, self._most = period, None
        with contextlib.suppress(ControlError):
            status = await self._control.status()
            calls, registered = self._most or (0, 0)
            self._most = (max(calls, status.calls), max(registered, status.registered))

    async def _write(self) -> None:
        if self._most is None:
            return
        calls, registered = self._most
        async with self._engine.begin() as connection:
            # Another start within the same period has written it, perhaps.
            await connection.execute(delete(TrafficSample).where(TrafficSample.at == self._period))
            values = {"at": self._period, "calls": calls, "registered": registered}
            await connection.execute(insert(TrafficSample).values(values))
            await connection.execute(delete(TrafficSample).where(TrafficSample.at < self._period - KEEP))

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except DBAPIError as error:
                log.warning("traffic is not written down: %s", error.orig)
            await asyncio.sleep(LOOK)

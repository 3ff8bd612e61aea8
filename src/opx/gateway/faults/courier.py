"""Delivers what must leave the machine: late rather than never, in bounded memory, and in nobody's way."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

BACKOFF_MIN = 2.0
"""Seconds until the first try after one that failed; doubled with each further one."""
BACKOFF_MAX = 300.0
LAST_TRY = 3.0
"""Seconds that a program which stops waits for what is still to be delivered."""

Item = dict[str, Any]

log = logging.getLogger(__name__)


class DeliveryError(Exception):
    """It could not be delivered; the text says why, without secrets. `lasting`: trying again would not help."""

    def __init__(self, text: str, *, lasting: bool = False) -> None:
        super().__init__(text)
        self.lasting = lasting


class Way(Protocol):
    """A way out. `send` runs in a thread and may wait; DeliveryError."""

    name: str
    batch: int
    """How many items go at once."""

    def send(self, items: Sequence[Item]) -> None: ...


class Courier:
    """`start`, `take` at will, `stop` in the end. Beyond `most` waiting items the oldest go, counted in `dropped`.

    `gather` in seconds: how long items wait for others to go with them. `on_trouble` hears why nothing can be
    delivered, and "" when it can again.
    """

    def __init__(
        self,
        way: Way,
        *,
        most: int = 1000,
        gather: float = 0.0,
        on_trouble: Callable[[str, str], None] = lambda name, why: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.way = way
        self.dropped = 0
        self.delivered = 0
        self._gather = gather
        self._on_trouble = on_trouble
        self._sleep = sleep
        self._waiting: deque[Item] = deque(maxlen=most)
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Try once more for a moment; what is left then is lost, and said so."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            async with asyncio.timeout(LAST_TRY):
                while self._waiting:
                    await self._deliver()
        except (DeliveryError, TimeoutError) as error:
            log.error("%s: %d were not delivered: %s", self.way.name, len(self._waiting), error or "no time left")

    def take(self, item: Item) -> None:
        """Deliver `item` some time."""
        if len(self._waiting) == self._waiting.maxlen:
            self.dropped += 1
        self._waiting.append(item)
        self._due.set()

    async def try_out(self, item: Item) -> str:
        """Send one at once, past those that wait; what went wrong, "" for success."""
        try:
            await asyncio.to_thread(self.way.send, [item])
        except DeliveryError as error:
            return str(error)
        return ""

    async def _run(self) -> None:
        failed = 0
        while True:
            await self._due.wait()
            self._due.clear()
            await self._sleep(self._gather)
            while self._waiting:
                try:
                    await self._deliver()
                    if failed:
                        self._on_trouble(self.way.name, "")
                    failed = 0
                except DeliveryError as error:
                    delay = min(BACKOFF_MIN * 2**failed, BACKOFF_MAX)
                    failed = min(failed + 1, 16)
                    log.warning("%s: %s; next try in %.0f s", self.way.name, error, delay)
                    self._on_trouble(self.way.name, str(error))
                    await self._sleep(delay)

    async def _deliver(self) -> None:
        items = [self._waiting[index] for index in range(min(self.way.batch, len(self._waiting)))]
        before = self.dropped
        try:
            await asyncio.to_thread(self.way.send, items)
            self.delivered += len(items)
        except DeliveryError as error:
            if not error.lasting:
                raise
            self.dropped += len(items)
            before += len(items)
            log.error("%s: %d given up: %s", self.way.name, len(items), error)
        # Those that fell off the full queue meanwhile were the first of these.
        for _ in range(max(0, len(items) - (self.dropped - before))):
            self._waiting.popleft()


def envelope(event: str, number: str, data: Item) -> Item:
    """What every way out gets. `event` is the kind of thing, `number` tells a repetition from another one."""
    return {"event": event, "id": number, "at": time.time(), "data": data}

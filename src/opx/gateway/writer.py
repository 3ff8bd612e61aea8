"""Writes behind: signalling hands over what is to be kept and goes on; one transaction a moment later keeps it all."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Any

from opx.gateway.repository import BindingRow, IcpBindingRow, Repository, TimelineRow
from opx.gateway.spool import Spool

BACKOFF_MIN = 1.0
"""Seconds until the first try after one that failed; doubled with each further one."""
BACKOFF_MAX = 60.0
KIND = "database"
"""Of the writer's own entries on the gateway's timeline."""

log = logging.getLogger(__name__)


class WriteBehind:
    """Call `start`, hand over at will, `stop` in the end, which writes the rest.

    Newer states of a binding replace older ones that were not written yet. When the database fails, everything is kept
    for the next try; timeline entries beyond `max_timeline` and rows of other rooms beyond `max_rows` are dropped, the
    newest first, and counted in `dropped`. `further` writes those rows, which come by `add`. `interval` is the time in
    seconds from the first change to its write, `sleep` what passes the time. With a `spool` states of bindings outlive
    this process, however it ends: `take_over` writes what another one has left there.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        interval: float = 0.5,
        max_timeline: int = 10_000,
        spool: Spool | None = None,
        max_rows: int = 5_000,
        further: Callable[[Sequence[Any]], Awaitable[None]] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.dropped = 0
        self.failure = ""
        """Why the last write came to nothing; "" when it did not."""
        self._repository = repository
        self._interval = interval
        self._max_timeline = max_timeline
        self._spool = spool
        self._max_rows = max_rows
        self._further = further
        self._sleep = sleep
        self._wall = wall
        # When the database was first found to be away, and how much had been dropped before.
        self._away: tuple[float, int] | None = None
        self._bindings: dict[tuple[int, str], BindingRow | None] = {}
        self._icp_bindings: dict[int, IcpBindingRow | None] = {}
        self._timeline: list[TimelineRow] = []
        self._rows: list[Any] = []
        self._due = asyncio.Event()
        self._writing = asyncio.Lock()
        self._warned = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def unwritten(self) -> int:
        """Changes and entries that wait for their write."""
        return len(self._bindings) + len(self._icp_bindings) + len(self._timeline) + len(self._rows)

    async def take_over(self) -> None:
        """Write what a process that was killed has left in the spool. OSError, or whatever the database raises."""
        if self._spool is not None:
            self._bindings, self._icp_bindings = await asyncio.to_thread(self._spool.load)
            await self.flush()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Writes what is left. When the database fails even now, says in the log what is lost."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            await self.flush()
        except Exception:
            lost = len(self._bindings) + len(self._icp_bindings), len(self._timeline), len(self._rows)
            what = "%d changes of bindings, %d timeline entries, %d records of calls and alarms"
            log.exception(f"the database cannot be written; lost: {what}", *lost)

    def save_binding(self, row: BindingRow) -> None:
        """Kept, whatever becomes of this process, once `keep` has returned; the same for the three below."""
        self._keep_binding(row.device_id, row.contact, row)

    def delete_binding(self, device_id: int, contact: str) -> None:
        self._keep_binding(device_id, contact, None)

    def save_icp_binding(self, row: IcpBindingRow) -> None:
        self._keep_icp_binding(row.device_id, row)

    def delete_icp_binding(self, device_id: int) -> None:
        self._keep_icp_binding(device_id, None)

    def keep(self) -> None:
        """To be called before anything is sent that tells of what was handed over."""
        if self._spool is not None:
            self._spool.keep()

    def _keep_binding(self, device_id: int, contact: str, row: BindingRow | None) -> None:
        self._bindings[device_id, contact] = row
        if self._spool is not None:
            self._spool.add_binding(device_id, contact, row)
        self._due.set()

    def _keep_icp_binding(self, device_id: int, row: IcpBindingRow | None) -> None:
        self._icp_bindings[device_id] = row
        if self._spool is not None:
            self._spool.add_icp_binding(device_id, row)
        self._due.set()

    def add_timeline(self, row: TimelineRow) -> None:
        if len(self._timeline) >= self._max_timeline:
            self.dropped += 1
            return
        self._timeline.append(row)
        self._due.set()

    def add(self, row: Any) -> None:
        """A row that `further` knows to write."""
        if len(self._rows) >= self._max_rows:
            self.dropped += 1
            return
        self._rows.append(row)
        self._due.set()

    async def flush(self) -> None:
        """Write what there is, now; whatever the database raises goes on to the caller, and nothing is lost then."""
        # A write once begun runs to its end, whoever is cancelled: half of it handed over and half forgotten is worse.
        await asyncio.shield(asyncio.ensure_future(self._flush()))

    async def _flush(self) -> None:
        async with self._writing:
            await self._flush_own()
            await self._flush_further()

    async def _flush_further(self) -> None:
        rows, self._rows = self._rows, []
        if not rows or self._further is None:
            return
        try:
            await self._further(rows)
        except BaseException:
            self.dropped += max(0, len(rows) + len(self._rows) - self._max_rows)
            self._rows = [*rows, *islice(self._rows, max(0, self._max_rows - len(rows)))]
            raise

    async def _flush_own(self) -> None:
        bindings, self._bindings = self._bindings, {}
        icp_bindings, self._icp_bindings = self._icp_bindings, {}
        timeline, self._timeline = self._timeline, []
        turned = self._spool.turn() if self._spool is not None else 0
        if not (bindings or icp_bindings or timeline):
            return
        try:
            await self._repository.write(
                bindings=[row for row in bindings.values() if row is not None],
                gone=[key for key, row in bindings.items() if row is None],
                icp_bindings=[row for row in icp_bindings.values() if row is not None],
                icp_gone=[key for key, row in icp_bindings.items() if row is None],
                timeline=timeline,
            )
        except BaseException:
            self._bindings = bindings | self._bindings
            self._icp_bindings = icp_bindings | self._icp_bindings
            self.dropped += max(0, len(timeline) + len(self._timeline) - self._max_timeline)
            timeline.extend(islice(self._timeline, max(0, self._max_timeline - len(timeline))))
            self._timeline = timeline
            if self._spool is not None:
                self._spool.bound(self._bindings, self._icp_bindings)
            raise
        if self._spool is not None:
            self._spool.written(turned)

    def _say_back(self) -> None:
        """On the gateway's own timeline: what stands there has a gap, or came late."""
        if self._away is None:
            return
        (since, dropped), self._away = self._away, None
        now = self._wall()
        text = f"the database could be written again after {now - since:.0f} s"
        if self.dropped > dropped:
            text += f"; {self.dropped - dropped} timeline entries and records were dropped meanwhile"
        self.add_timeline(TimelineRow(None, now, KIND, text))

    async def _run(self) -> None:
        delay = self._interval
        failed = 0
        while True:
            await self._due.wait()
            await self._sleep(delay)
            self._due.clear()
            try:
                await self.flush()
                delay, failed, self.failure = self._interval, 0, ""
                self._say_back()
            except Exception as error:
                delay = min(BACKOFF_MIN * 2**failed, BACKOFF_MAX)
                failed = min(failed + 1, 16)
                self.failure = type(error).__name__
                self._away = self._away or (self._wall(), self.dropped)
                self._due.set()
                log.error("the database cannot be written (%s); next try in %.0f s", type(error).__name__, delay)
            if self.dropped > self._warned:
                log.warning("unwritable timeline entries and records dropped: %d in all", self.dropped)
                self._warned = self.dropped

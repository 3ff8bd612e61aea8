"""Writes behind: signalling hands over what is to be kept and goes on; one transaction a moment later keeps it all."""

import asyncio
import logging

from sqlalchemy.exc import SQLAlchemyError

from opx.gateway.repository import BindingRow, IcpBindingRow, Repository, TimelineRow

log = logging.getLogger(__name__)


class WriteBehind:
    """Call `start`, hand over at will, `stop` in the end, which writes the rest.

    Newer states of a binding replace older ones that were not written yet. When the database fails, everything is kept
    for the next try; timeline entries beyond `max_timeline` are dropped and counted in `dropped`.
    """

    def __init__(self, repository: Repository, *, interval: float = 0.5, max_timeline: int = 10_000) -> None:
        self.dropped = 0
        self._repository = repository
        self._interval = interval
        self._max_timeline = max_timeline
        self._bindings: dict[tuple[int, str], BindingRow | None] = {}
        self._icp_bindings: dict[int, IcpBindingRow | None] = {}
        self._timeline: list[TimelineRow] = []
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.flush()

    def save_binding(self, row: BindingRow) -> None:
        self._bindings[row.device_id, row.contact] = row
        self._due.set()

    def delete_binding(self, device_id: int, contact: str) -> None:
        self._bindings[device_id, contact] = None
        self._due.set()

    def save_icp_binding(self, row: IcpBindingRow) -> None:
        self._icp_bindings[row.device_id] = row
        self._due.set()

    def delete_icp_binding(self, device_id: int) -> None:
        self._icp_bindings[device_id] = None
        self._due.set()

    def add_timeline(self, row: TimelineRow) -> None:
        if len(self._timeline) >= self._max_timeline:
            self.dropped += 1
            return
        self._timeline.append(row)
        self._due.set()

    async def flush(self) -> None:
        """Write what there is, now. SQLAlchemyError when the database fails; nothing is lost then."""
        bindings, self._bindings = self._bindings, {}
        icp_bindings, self._icp_bindings = self._icp_bindings, {}
        timeline, self._timeline = self._timeline, []
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
        except SQLAlchemyError:
            self._bindings = bindings | self._bindings
            self._icp_bindings = icp_bindings | self._icp_bindings
            self._timeline = (timeline + self._timeline)[: self._max_timeline]
            raise

    async def _run(self) -> None:
        delay = self._interval
        while True:
            await self._due.wait()
            await asyncio.sleep(delay)
            self._due.clear()
            try:
                await asyncio.shield(self.flush())
                delay = self._interval
            except SQLAlchemyError as error:
                delay = min(2 * delay, 60.0)
                self._due.set()
                log.error("the database cannot be written (%s); next try in %.1f s", type(error).__name__, delay)

"""Keeps features behind the calls: a change counts at once, and is in the database a moment later."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from opx.pbx.features.states import FeatureState

RETRY_SECONDS = 5.0
"""Until a database that failed is tried again; newer states replace what waits meanwhile."""

log = logging.getLogger(__name__)


class StateKeeper:
    """`start`, hand over with `keep`, `stop` in the end, which writes the rest."""

    def __init__(self, save: Callable[[Mapping[str, FeatureState]], Awaitable[None]]) -> None:
        self._save = save
        self._waiting: dict[str, FeatureState] = {}
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    def keep(self, number: str, before: FeatureState, after: FeatureState) -> None:
        self._waiting[number] = after
        self._due.set()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._write()

    async def _run(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            if not await self._write():
                await asyncio.sleep(RETRY_SECONDS)
                self._due.set()

    async def _write(self) -> bool:
        taken, self._waiting = self._waiting, {}
        if not taken:
            return True
        try:
            await self._save(taken)
        except BaseException as error:
            self._waiting = taken | self._waiting
            if not isinstance(error, Exception):
                raise
            log.exception("the features of %d extensions could not be kept", len(taken))
            return False
        return True

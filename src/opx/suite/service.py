"""Wires the suite's main process, starts and stops it."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from opx.kept.bulletin import Hub, Rooms
from opx.kept.keeper import KeptProcess
from opx.store.notices import ChangeFeed
from opx.suite.connectors.reading import PbxReader
from opx.suite.opening import open_sites
from opx.suite.provisioning.service import Provisioning
from opx.suite.settings import SuiteSettings
from opx.suite.timeline import Timeline


class SuiteService:
    """The suite's main process. `start`, then `stop`; `kept` are the processes of its other faces."""

    def __init__(self, settings: SuiteSettings, kept: Sequence[KeptProcess] = ()) -> None:
        self.settings = settings
        self._kept = kept
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """SecretsError, DatabaseTooNew or OSError, each saying what is wrong."""
        async with AsyncExitStack() as stack:
            self.sites = await open_sites(self.settings)
            stack.push_async_callback(self.sites.engine.dispose)
            self.bulletin = Hub(self.settings.bulletin)
            stack.push_async_callback(self.bulletin.stop)
            await self.bulletin.start()
            rooms = Rooms(self.bulletin)
            self.reader = PbxReader(self.sites, rooms, self.settings.pbx_reading, self.settings.address)
            stack.push_async_callback(self.reader.stop)
            await self.reader.start()
            self.provisioning = Provisioning(
                self.sites, Timeline(self.sites.engine), rooms, self.settings.provisioning, self.settings.address
            )
            stack.push_async_callback(self.provisioning.stop)
            await self.provisioning.start()
            if self.settings.database_place.server is not None:
                feed = ChangeFeed(self.settings.database_place, self._changed_elsewhere)
                await feed.start()
                stack.push_async_callback(feed.stop)
            for process in self._kept:
                stack.push_async_callback(process.stop)
                await process.start()
            self._running = stack.pop_all()

    async def stop(self) -> None:
        await self._running.aclose()

    async def _changed_elsewhere(self) -> None:
        self.bulletin.hear_all()

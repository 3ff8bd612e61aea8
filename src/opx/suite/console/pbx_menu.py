"""The PBXs in the menu, each at the guide's place: Phone Systems > [Your PBX Name]."""

import asyncio
import logging

from sqlalchemy.exc import SQLAlchemyError

from opx.kept.bulletin import Bulletin
from opx.suite.sites.records import PbxRecord
from opx.suite.sites.repository import SiteRepository
from opx.suite.topics import SITES
from opx.web.pages import MenuEntry

SITE_SETTINGS = ("Configuration", "Site Settings")
PHONE_SYSTEMS = (*SITE_SETTINGS, "Phone Systems")
MAX_SHOWN = 20
"""PBXs in the menu; the page All PBXs has them all."""

log = logging.getLogger(__name__)


class PbxMenu:
    """Knows the names without asking the database for every page. `start`, then `stop`."""

    def __init__(self, sites: SiteRepository, bulletin: Bulletin) -> None:
        self._sites = sites
        self._pbxs: list[PbxRecord] = []
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        bulletin.subscribe(SITES, lambda keys: self._due.set())

    async def start(self) -> None:
        await self.refresh()
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def refresh(self) -> None:
        self._pbxs = await self._sites.pbxs()

    def entries(self) -> list[MenuEntry]:
        return [MenuEntry((*PHONE_SYSTEMS, pbx.name), f"/pbxs/{pbx.id}", 11) for pbx in self._pbxs[:MAX_SHOWN]]

    async def _keep(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self.refresh()
            except (SQLAlchemyError, OSError) as error:
                log.info("the PBXs for the menu cannot be read: %s", error)

"""Wires the console's process, starts and stops it."""

from contextlib import AsyncExitStack

from opx.config import SettingsFile
from opx.kept.bulletin import Member, Rooms
from opx.suite.certificates import server_certificate
from opx.suite.connectors.reading import PbxReader
from opx.suite.console.desk import Desk
from opx.suite.console.lookout import GatewayWatch, Lookout
from opx.suite.console.models import CONSOLE
from opx.suite.console.pbx_menu import PbxMenu
from opx.suite.console.phone_rows import PhoneRows
from opx.suite.console.rooms import TEMPLATES, rooms
from opx.suite.gateway_link.exchange import TokenExchange
from opx.suite.gateway_link.link import GatewayLink
from opx.suite.opening import open_sites
from opx.suite.provisioning.repository import ProvisioningRepository
from opx.suite.settings import SuiteSettings
from opx.suite.timeline import Timeline
from opx.suite.topics import SITES
from opx.suite.users.repository import UserRepository
from opx.web.console import Console
from opx.web.passwords import PasswordHasher
from opx.web.server import HttpsServer


class ConsoleService:
    """The console in this process. `start`, then `stop`. `hasher` is for tests, which need no costly one."""

    def __init__(self, file: SettingsFile, hasher: PasswordHasher | None = None) -> None:
        self.settings = file.settings(SuiteSettings)
        self._hasher = hasher
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """SecretsError, DatabaseTooNew, ConfigError or OSError, each saying what is wrong."""
        async with AsyncExitStack() as stack:
            await self._open(stack)
            await self._listen(stack)
            self._running = stack.pop_all()

    async def open(self) -> None:
        """All of `start` but the network: `app` can be called."""
        async with AsyncExitStack() as stack:
            await self._open(stack)
            self._running = stack.pop_all()

    async def _open(self, stack: AsyncExitStack) -> None:
        settings = self.settings
        self.sites = await open_sites(settings)
        engine = self.sites.engine
        stack.push_async_callback(engine.dispose)
        self.console = Console("opx-suite", engine, CONSOLE, settings.web.policy, self._hasher)
        member = Member(settings.bulletin)
        self.bulletin = Rooms(member)
        link = GatewayLink(self.sites, self.bulletin, settings.address)
        stack.push_async_callback(link.close)
        watch = GatewayWatch(link)
        stack.push_async_callback(watch.stop)
        self.bulletin.subscribe(SITES, lambda keys: watch.forget())
        provisioning = ProvisioningRepository(engine)
        menu = PbxMenu(self.sites, self.bulletin)
        stack.push_async_callback(menu.stop)
        await menu.start()
        stack.push_async_callback(member.stop)
        await member.start()
        desk = Desk(
            self.console,
            self.sites,
            Timeline(engine),
            self.bulletin,
            link,
            TokenExchange(self.sites, self.bulletin, settings.address),
            menu,
            PbxReader(self.sites, self.bulletin, settings.pbx_reading, settings.address),
            provisioning,
            UserRepository(engine),
            watch,
            Lookout(self.sites, provisioning, PhoneRows(engine), settings),
            settings,
        )
        self.console.serve("OPX Application Suite", settings.web_address, rooms(desk), [TEMPLATES])
        self.app = self.console.app

    async def _listen(self, stack: AsyncExitStack) -> None:
        settings = self.settings
        self.certificate = await server_certificate(settings, self.sites)
        self.server = HttpsServer(self.app, settings.web_address, settings.web.port, self.certificate)
        await self.server.start()
        stack.push_async_callback(self.server.stop)

    async def stop(self) -> None:
        await self._running.aclose()

    async def announcement(self) -> list[str]:
        """What the owner is told at the start: where the console is, and how to sign in the first time."""
        return await self.console.announcement(self.settings.web_url, self.certificate.authority_file)

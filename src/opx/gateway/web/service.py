"""Wires the gateway's web face, starts and stops it: the console, and the web services beside it, on one address."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from opx import __version__
from opx.config import SettingsFile
from opx.gateway.certificates import server_certificate
from opx.gateway.console.desk import Desk
from opx.gateway.console.models import CONSOLE
from opx.gateway.console.rooms import TEMPLATES, rooms
from opx.gateway.console.traffic import Traffic
from opx.gateway.console.web_services import PAGE as WEB_SERVICES_PAGE
from opx.gateway.control.client import ControlClient
from opx.gateway.control.forwards import ForwardingControl
from opx.gateway.faults.metrics import PATH as METRICS
from opx.gateway.faults.metrics import MetricsApp
from opx.gateway.forwarding.repository import ForwardRepository
from opx.gateway.forwarding.site import site_of
from opx.gateway.opening import open_repository
from opx.gateway.settings import GatewaySettings
from opx.gateway.web.forwards import KeptForwards
from opx.gateway.webservices.api import PATH
from opx.gateway.webservices.api import app as web_services_app
from opx.gateway.webservices.ports import ServerFacts
from opx.gateway.webservices.repository import WebServicesRepository
from opx.gateway.webservices.service import WebServices
from opx.web.console import Console
from opx.web.passwords import PasswordHasher
from opx.web.server import HttpsServer


class WebService:
    """The web face in this process. `start`, then `stop`.

    `hasher` and `control` are for tests, which need no costly one and no running gateway.
    """

    def __init__(
        self, file: SettingsFile, hasher: PasswordHasher | None = None, control: ForwardingControl | None = None
    ) -> None:
        self._file = file
        self._hasher = hasher
        self._control = control
        self._running = AsyncExitStack()
        self.settings = file.settings(GatewaySettings)

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
        self.repository, _ = await open_repository(settings)
        stack.push_async_callback(self.repository.close)
        self.engine = engine = self.repository.engine
        self.console = Console("opx-gateway", engine, CONSOLE, settings.web.policy, self._hasher)
        control = self._control or self._client(stack)
        kept = WebServicesRepository(engine, self.repository.sealer, settings.web_services)
        self.web_services = WebServices(kept, self.console.audit.note)
        self.forwards = ForwardRepository(engine, site_of(settings))
        api = web_services_app(
            repository=self.repository,
            service=self.web_services,
            server=ServerFacts(
                settings.icp_side.address, settings.set_side.address, settings.set_side.port, __version__
            ),
            control=control,
            audit=self.console.audit.note,
            permit_weak_passwords=settings.permit_weak_passwords,
            authorise_page=WEB_SERVICES_PAGE,
            forwards=KeptForwards(self.forwards, control),
        )
        self.traffic = Traffic(engine, control)
        desk = Desk(
            self.console,
            engine,
            self.repository,
            control,
            self.forwards,
            self.web_services,
            self.traffic,
            self._file,
            settings,
        )
        self.console.serve("OPX Gateway", settings.web_address, rooms(desk), [TEMPLATES])
        metrics = MetricsApp(control, settings.metrics, (settings.web_address, settings.icp_side.address))
        self.app = Split(self.console.app, {PATH: api, METRICS: metrics})

    def _client(self, stack: AsyncExitStack) -> ControlClient:
        client = ControlClient(self.settings.control_socket)
        stack.push_async_callback(client.close)
        return client

    async def _listen(self, stack: AsyncExitStack) -> None:
        settings = self.settings
        self.certificate = server_certificate(settings)
        self.server = HttpsServer(self.app, settings.web_address, settings.web.port, self.certificate)
        await self.server.start()
        stack.push_async_callback(self.server.stop)
        self.traffic.start()
        stack.push_async_callback(self.traffic.stop)

    async def stop(self) -> None:
        await self._running.aclose()

    async def announcement(self) -> list[str]:
        """What the owner is told at the start: where the console is, and how to sign in the first time."""
        return await self.console.announcement(self.settings.web_url, self.certificate.authority_file)


@dataclass(frozen=True, slots=True)
class Split:
    """An ASGI application of several, by the beginning of the path; `rest` gets what no other one takes."""

    rest: ASGIApp
    others: Mapping[str, ASGIApp]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        app = next((app for prefix, app in self.others.items() if path.startswith(prefix)), self.rest)
        await app(scope, receive, send)

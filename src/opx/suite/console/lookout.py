"""Gathers what the guide's conditions are checked on: out of the database, the certificate's files, and the gateway."""

import asyncio
import contextlib
import time
from dataclasses import dataclass

from opx.gateway_client.client import GatewayClient
from opx.gateway_client.errors import GatewayError
from opx.gateway_client.models import Forward, Icp
from opx.suite.certificates import certificates_in_use, names_of
from opx.suite.console.phone_rows import PhoneRows
from opx.suite.gateway_link.link import GatewayLink
from opx.suite.provisioning.records import ProvisionState
from opx.suite.provisioning.repository import ProvisioningRepository
from opx.suite.settings import SuiteSettings
from opx.suite.sites.conditions import Extensions, Facts, GatewayView, Phones
from opx.suite.sites.repository import ExtensionQuery, SiteRepository
from opx.web.authority import CertificateError

FRESH = 30.0
"""Seconds for which what the gateway said is shown without asking again."""
PATIENCE = 2.0
"""Seconds that a page waits for the gateway; what it says later is on the next page."""
NOT_ASKED = "the gateway has not answered yet"


class GatewayWatch:
    """What the gateway says, asked beside the pages: none of them waits longer than PATIENCE."""

    def __init__(self, link: GatewayLink) -> None:
        self._link = link
        self._view = GatewayView(problem=NOT_ASKED)
        self._until = 0.0
        self._asking: asyncio.Task[None] | None = None

    async def view(self) -> GatewayView:
        """What it said last; asked again when that is old."""
        if self._asking is None and time.monotonic() >= self._until:
            self._asking = asyncio.create_task(self._ask())
        if self._asking is not None:
            await asyncio.wait({self._asking}, timeout=PATIENCE)
        return self._view

    def forget(self) -> None:
        """Something has changed: the next page asks again."""
        self._until = 0.0

    async def stop(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask(self) -> None:
        try:
            self._view = await look_at_gateway(self._link)
            self._until = time.monotonic() + FRESH
        finally:
            self._asking = None


async def look_at_gateway(link: GatewayLink) -> GatewayView:
    """What it is, its ICPs, and its port forwarding rules where that is granted."""
    try:
        server = await link.look()
    except GatewayError as error:
        return GatewayView(problem=str(error))
    icps: list[Icp] | None = None
    forwards: list[Forward] | None = None
    with contextlib.suppress(GatewayError):
        icps = await link.ask(_all_icps)
    with contextlib.suppress(GatewayError):
        forwards = await link.ask(lambda client: client.forwards())
    return GatewayView(server, "", icps, forwards)


async def _all_icps(client: GatewayClient) -> list[Icp]:
    return [icp async for icp in client.icps()]


@dataclass(frozen=True)
class Lookout:
    """`facts` whenever somebody wants to know."""

    sites: SiteRepository
    provisioning: ProvisioningRepository
    phones: PhoneRows
    settings: SuiteSettings

    async def facts(self, view: GatewayView) -> Facts:
        locations = await self.sites.locations()
        return Facts(
            await self.sites.gateway.read(),
            view,
            locations,
            await self.sites.pbxs(),
            await self.sites.nodes(),
            await self.extensions(),
            await self.phone_counts(),
            self.settings.address,
            self.settings.handsets.https_port,
            time.time(),
            await asyncio.to_thread(self._lacking, names_of(self.settings, locations)),
        )

    async def extensions(self) -> Extensions:
        async def number(query: ExtensionQuery) -> int:
            return (await self.sites.extensions(query, limit=0))[1]

        states = await self.provisioning.counts()
        return Extensions(
            await number(ExtensionQuery(present=True)),
            await number(ExtensionQuery(teleworker=True)),
            await number(ExtensionQuery(present=True, obstructed=True)),
            await number(ExtensionQuery(present=True, hot_desk=True)),
            await number(ExtensionQuery(present=True, hot_desk=True, teleworker=True)),
            states.get(ProvisionState.PROVISIONED, 0) + states.get(ProvisionState.BY_HAND, 0),
            states.get(ProvisionState.PENDING, 0),
            states.get(ProvisionState.FAILED, 0),
        )

    async def phone_counts(self) -> Phones:
        counts = await self.phones.counts()
        seen = counts["waiting"] + counts["approved"] + counts["revoked"]
        return Phones(seen, counts["waiting"], counts["approved"])

    def _lacking(self, wanted: tuple[str, ...]) -> tuple[str, ...]:
        try:
            names = certificates_in_use(self.settings)[0].names
        except CertificateError:
            # It is made at the start.
            return ()
        return tuple(name for name in wanted if name not in names)

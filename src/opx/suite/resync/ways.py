"""How a phone is reached by SIP NOTIFY: by the gateway's device outside, by its node's management API inside."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

from opx.gateway_client.client import GatewayClient
from opx.gateway_client.errors import GatewayError
from opx.gateway_client.models import Registration
from opx.kept.bulletin import Bulletin
from opx.suite.connectors.connector import Connector, ConnectorError, Event
from opx.suite.connectors.opening import open_connector
from opx.suite.gateway_link.link import GatewayLink
from opx.suite.handsets.book import Book
from opx.suite.handsets.records import PhoneRecord, Side
from opx.suite.provisioning.repository import ProvisioningRepository
from opx.suite.sites.records import ExtensionRecord, Missing
from opx.suite.sites.repository import SiteRepository
from opx.suite.topics import SITES

NOT_THERE = 480
_MAC = re.compile(r"(?<![0-9A-Z])(?:[0-9A-F]{2}[:-]?){5}[0-9A-F]{2}(?![0-9A-Z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a NOTIFY. `text` says why it did not work, for people."""

    well: bool
    text: str = ""


class Connectors:
    """An open connector for each PBX, opened anew when the site settings change. `close` in the end."""

    def __init__(self, sites: SiteRepository, bulletin: Bulletin, local_address: str) -> None:
        self._sites = sites
        self._local_address = local_address
        self._open: dict[int, Connector] = {}
        self._opening = asyncio.Lock()
        self._stale = False
        bulletin.subscribe(SITES, lambda keys: self._changed())

    async def of(self, extension: ExtensionRecord) -> Connector:
        """ConnectorError."""
        async with self._opening:
            if self._stale:
                await self._close_all()
                self._stale = False
            connector = self._open.get(extension.pbx_id)
            if connector is None:
                try:
                    pbx = await self._sites.pbx(extension.pbx_id)
                except Missing as error:
                    raise ConnectorError(str(error)) from None
                connector = await open_connector(self._sites, pbx, self._local_address)
                self._open[extension.pbx_id] = connector
            return connector

    async def close(self) -> None:
        async with self._opening:
            await self._close_all()

    def _changed(self) -> None:
        self._stale = True

    async def _close_all(self) -> None:
        for connector in self._open.values():
            await connector.close()
        self._open.clear()


class Ways:
    """Finds the way to a phone."""

    def __init__(
        self, book: Book, link: GatewayLink, provisioning: ProvisioningRepository, connectors: Connectors
    ) -> None:
        self._book = book
        self._link = link
        self._provisioning = provisioning
        self._connectors = connectors

    async def tell(self, phone: PhoneRecord, extension_ids: Sequence[int], event: Event, body: str = "") -> Told:
        """Try the extensions that the phone may be registered as, the likeliest first."""
        said = Told(False, "it has no extension that it could be reached by")
        for key in dict.fromkeys(extension_ids):
            extension = self._book.extensions.get(key)
            if extension is None:
                continue
            if phone.side == Side.TELEWORKER:
                said = await self._through_gateway(phone, extension, event, body)
            else:
                said = await self._through_node(extension, event, body)
            if said.well:
                break
        return said

    async def _through_gateway(self, phone: PhoneRecord, extension: ExtensionRecord, event: Event, body: str) -> Told:
        state = await self._provisioning.state(extension.id)
        if state is None or state.device_id is None:
            return Told(False, f"extension {extension.number} is not on the gateway as far as the suite knows")
        device_id = state.device_id

        async def work(client: GatewayClient) -> Told:
            if stranger := _other_phone(await client.registrations(device_id), phone.mac):
                return Told(False, f"another phone, {stranger}, is registered as extension {extension.number}")
            return _answered(await client.notify(device_id, event, body), extension)

        try:
            return await self._link.ask(work)
        except GatewayError as error:
            return Told(False, str(error))

    async def _through_node(self, extension: ExtensionRecord, event: Event, body: str) -> Told:
        try:
            connector = await self._connectors.of(extension)
            return _answered(await connector.notify(extension.number, event, body), extension)
        except ConnectorError as error:
            return Told(False, str(error))


def _answered(status: int, extension: ExtensionRecord) -> Told:
    if 200 <= status < 300:
        return Told(True)
    if status == NOT_THERE:
        return Told(False, f"no phone is registered as extension {extension.number}")
    return Told(False, f"the phone answered {status}")


def _other_phone(registrations: Sequence[Registration], mac: str) -> str:
    """The MAC of the phone that the gateway would tell instead: the newest registration's, when it names another one.

    A user agent that names none may be the phone's.
    """
    newest = max(registrations, key=lambda registration: registration.registered_at, default=None)
    found = _MAC.search(newest.user_agent) if newest is not None else None
    named = re.sub("[:-]", "", found[0]).upper() if found else mac
    return "" if named == mac else named

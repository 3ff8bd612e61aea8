"""What is so now of phones: whether they are registered, and which configuration they are to have."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from opx.gateway_client.errors import GatewayError
from opx.suite.connectors.connector import ConnectorError
from opx.suite.connectors.opening import open_connector
from opx.suite.console.desk import Desk
from opx.suite.gateway_link.link import GatewayLink
from opx.suite.handsets.book import Book
from opx.suite.handsets.records import PhoneRecord, Side
from opx.suite.handsets.shelf import File, Shelf
from opx.suite.phone_pages.extras import SuiteExtras
from opx.suite.profiles.library import Library
from opx.suite.profiles.repository import ProfileRepository
from opx.suite.provisioning.repository import ProvisioningRepository
from opx.suite.sites.records import ExtensionRecord, SiteError
from opx.suite.sites.repository import ExtensionQuery, SiteRepository

KEPT = 15.0
"""Seconds that an answer serves all pages."""
PATIENCE = 2.0
"""Seconds that a page waits for the gateway and the PBXs."""
AT_A_TIME = 5
MAX_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class RegistrationView:
    """`known` False: `text` says why nobody can tell."""

    known: bool
    registered: bool = False
    text: str = ""


NOT_IN_TIME = RegistrationView(False, text="it was not told in time")


class Registrations:
    """Asks the gateway for phones outside, the PBXs for those of the LAN; a page never waits long."""

    def __init__(
        self,
        sites: SiteRepository,
        link: GatewayLink,
        provisioning: ProvisioningRepository,
        local_address: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sites = sites
        self._link = link
        self._provisioning = provisioning
        self._local_address = local_address
        self._clock = clock
        self._kept: dict[tuple[str, int], tuple[float, RegistrationView]] = {}
        self._turn = asyncio.Semaphore(AT_A_TIME)

    async def of(self, phones: Sequence[tuple[str, int | None]]) -> dict[int, RegistrationView]:
        """By extension; `phones` are pairs of side and extension."""
        wanted = {(side, key) for side, key in phones if side and key is not None}
        now = self._clock()
        missing = [pair for pair in wanted if pair not in self._kept or self._kept[pair][0] <= now]
        if missing:
            await self._ask(missing)
        return {key: self._kept[side, key][1] if (side, key) in self._kept else NOT_IN_TIME for side, key in wanted}

    async def _ask(self, missing: Sequence[tuple[str, int]]) -> None:
        if len(self._kept) > MAX_KEPT:
            self._kept.clear()
        found, _ = await self._sites.extensions(ExtensionQuery(ids=[key for _, key in missing]))
        extensions = {extension.id: extension for extension in found}
        inside: defaultdict[int, list[ExtensionRecord]] = defaultdict(list)
        work: list[Awaitable[None]] = []
        for side, key in missing:
            self._kept.pop((side, key), None)
            extension = extensions.get(key)
            if extension is not None and side == Side.TELEWORKER:
                work.append(self._at_gateway(extension))
            elif extension is not None:
                inside[extension.pbx_id].append(extension)
        work += [self._at_pbx(pbx_id, members) for pbx_id, members in inside.items()]
        tasks = [asyncio.ensure_future(item) for item in work]
        _, late = await asyncio.wait(tasks, timeout=PATIENCE) if tasks else ((), ())
        for task in late:
            task.cancel()

    async def _at_gateway(self, extension: ExtensionRecord) -> None:
        async with self._turn:
            view = RegistrationView(False, text="it is not on the gateway as far as the suite knows")
            state = await self._provisioning.state(extension.id)
            if state is not None and state.device_id is not None:
                device_id = state.device_id
                try:
                    there = await self._link.ask(lambda client: client.registrations(device_id))
                except GatewayError as error:
                    view = RegistrationView(False, text=str(error))
                else:
                    newest = max(there, key=lambda item: item.registered_at, default=None)
                    text = f"from {newest.host}, port {newest.port}, over {newest.transport}" if newest else ""
                    if newest is not None and not newest.at_icp:
                        text += "; not at its ICP"
                    view = RegistrationView(True, newest is not None, text)
            self._keep(Side.TELEWORKER, extension.id, view)

    async def _at_pbx(self, pbx_id: int, extensions: Sequence[ExtensionRecord]) -> None:
        try:
            connector = await open_connector(self._sites, await self._sites.pbx(pbx_id), self._local_address)
            try:
                numbers = await connector.registered()
            finally:
                await connector.close()
        except (ConnectorError, SiteError) as error:
            for extension in extensions:
                self._keep(Side.LOCAL, extension.id, RegistrationView(False, text=str(error)))
            return
        for extension in extensions:
            self._keep(Side.LOCAL, extension.id, RegistrationView(True, extension.number in numbers, "at its PBX"))

    def _keep(self, side: Side, key: int, view: RegistrationView) -> None:
        self._kept[side.value, key] = self._clock() + KEPT, view


async def current_file(desk: Desk, phone: PhoneRecord) -> File | None:
    """What the handset server gives an approved phone now; None for one whose model or side is not known."""
    if not phone.approved or not phone.model or phone.side not in list(Side):
        return None
    book, settings = Book(), desk.settings
    book.take_phones([phone], None)
    keys = [key for key in (phone.used_extension_id,) if key is not None]
    extensions, _ = await desk.sites.extensions(ExtensionQuery(ids=keys))
    book.take_extensions(extensions, None)
    gateway = await desk.sites.gateway.read()
    book.take_site(await desk.sites.nodes(), await desk.sites.locations(), gateway.address)
    library, profiles = Library(SuiteExtras()), ProfileRepository(desk.sites.engine)
    library.take(await profiles.profiles(), await profiles.uses())
    shelf = Shelf(
        book,
        settings.handsets.provision,
        library,
        settings.address,
        settings.handsets.https_port,
        authority=settings.certificates.own is None,
    )
    return shelf.own(phone, phone.model, Side(phone.side))

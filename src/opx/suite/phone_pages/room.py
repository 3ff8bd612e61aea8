"""Brings pages, directories, action URIs, profiles and the telling of phones to the handset server."""

from collections.abc import Callable

from opx.suite.connectors.connector import ConnectorError
from opx.suite.handsets.files import SETUP_PAGE
from opx.suite.handsets.house import House, Inner
from opx.suite.handsets.http import XML as XML_TYPE
from opx.suite.handsets.http import HandsetRequest, HandsetResponse
from opx.suite.handsets.log_in import LogInPage
from opx.suite.handsets.records import PhoneRecord, Side, pretty_mac
from opx.suite.phone_pages.actions import ACTION, Actions, CallWatch, Journal
from opx.suite.phone_pages.desk import DIRECTORY_FILE, LOGO, XML, PageDesk, PinError
from opx.suite.phone_pages.directory import Contacts, DirectoryFile, DirectoryPages
from opx.suite.phone_pages.extras import SuiteExtras
from opx.suite.phone_pages.home import Home
from opx.suite.phone_pages.hot_desk import HotDeskPages
from opx.suite.phone_pages.images import Images
from opx.suite.phone_pages.pages import PhonePages
from opx.suite.phone_pages.setup import TITLE, SetupPages
from opx.suite.profiles.library import Library, LibraryKeeper
from opx.suite.profiles.repository import ProfileRepository
from opx.suite.provisioning.repository import ProvisioningRepository
from opx.suite.resync.desk import ResyncDesk
from opx.suite.resync.ways import Connectors, Ways
from opx.suite.sites.records import ExtensionRecord
from opx.suite.topics import PHONES
from opx.suite.xml_objects.orders import Execute


class PagesRoom:
    """A `handsets.house.Room`. What it is made of is there once it is furnished and open."""

    def __init__(self) -> None:
        self._library = Library(SuiteExtras())

    async def furnish(self, house: House) -> None:
        house.profiles = self._library

        def changed() -> None:
            for hear in house.book.on_change:
                hear(None)

        self.keeper = LibraryKeeper(self._library, ProfileRepository(house.sites.engine), house.bulletin, changed)
        await self.keeper.start()
        house.stack.push_async_callback(self.keeper.stop)

    async def open(self, house: House, inner: Inner) -> None:
        book, provisioning = house.book, ProvisioningRepository(house.sites.engine)
        connectors = Connectors(house.sites, house.bulletin, house.settings.address)
        house.stack.push_async_callback(connectors.close)
        self.journal = Journal(house.timeline.note, inner.clock)
        await self.journal.start()
        house.stack.push_async_callback(self.journal.stop)
        calls = CallWatch(inner.clock)

        async def check_pin(extension: ExtensionRecord, pin: str, mac: str) -> bool:
            try:
                connector = await connectors.of(extension)
                return await connector.check_pin(extension.number, pin, pretty_mac(mac))
            except ConnectorError as error:
                raise PinError(str(error)) from None

        async def on_gateway(extension_id: int) -> bool:
            state = await provisioning.state(extension_id)
            return state is not None and state.on_gateway

        def published(mac: str) -> None:
            house.bulletin.publish(PHONES, [mac])

        def version_of(phone: PhoneRecord) -> str:
            if not phone.model or phone.side not in list(Side):
                return ""
            return inner.shelf.own(phone, phone.model, Side(phone.side)).version

        def outdated(phone: PhoneRecord) -> bool:
            return bool(phone.delivered) and version_of(phone) not in ("", phone.delivered)

        self.desk = PageDesk(
            book,
            house.phones,
            self._library.hot_desking,
            check_pin,
            on_gateway,
            published,
            self.journal.note,
            inner.clock,
        )
        actions = Actions(self.journal, calls, outdated)
        self._add_routes(house, inner, self.desk, actions)
        ways = Ways(book, house.link, provisioning, connectors)
        self.resync = ResyncDesk(book, ways, version_of, calls.busy, self.journal.note, house.bulletin)
        await self.resync.start()
        house.stack.push_async_callback(self.resync.stop)

    async def listen(self) -> None:
        """It has no sockets of its own."""

    def _add_routes(self, house: House, inner: Inner, desk: PageDesk, actions: Actions) -> None:
        def base_of(side: Side) -> str:
            return inner.shelf.place(side).base

        contacts = Contacts(house.book)
        home, hot_desk = Home(desk), HotDeskPages(desk)
        pages = {
            "home": home.menu,
            "about": home.about,
            "directory": DirectoryPages(contacts).search,
            "desk": hot_desk.log_in,
            "desk/out": hot_desk.log_out,
            "setup": SetupPages(desk).choose,
        }
        house.routes.add(XML, _Below(PhonePages(base_of, pages), actions))
        house.routes.add(DIRECTORY_FILE, DirectoryFile(contacts))
        house.routes.add(f"{LOGO.partition('/')[0]}/", Images())
        new = LogInPage(inner.codes, inner.authority, inner.shelf, inner.clock, SETUP_PAGE, TITLE)
        house.routes.add(SETUP_PAGE, SetupDoor(desk, new, base_of))


class SetupDoor:
    """Where a Setup key leads: an approved phone's user chooses an extension, a new one's needs a one-time code."""

    access = LogInPage.access

    def __init__(self, desk: PageDesk, new: LogInPage, base_of: Callable[[Side], str]) -> None:
        self._desk = desk
        self._new = new
        self._base_of = base_of

    async def answer(self, request: HandsetRequest) -> HandsetResponse | None:
        if request.caller.side is not Side.LOCAL:
            return None
        phone = self._desk.book.phone(request.caller.identity.mac)
        if phone is not None and phone.approved:
            return HandsetResponse(Execute((f"{self._base_of(Side.LOCAL)}{XML}setup",)).render(), XML_TYPE)
        return await self._new.answer(request)


class _Below:
    """Pages and actions, whose paths begin alike."""

    access = PhonePages.access

    def __init__(self, pages: PhonePages, actions: Actions) -> None:
        self._pages = pages
        self._actions = actions

    async def answer(self, request: HandsetRequest) -> HandsetResponse | None:
        if request.path.lower().startswith(ACTION):
            return await self._actions.answer(request)
        return await self._pages.answer(request)

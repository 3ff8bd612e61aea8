"""The Setup key of a phone in the LAN: its user chooses one of the extensions that no phone has."""

from opx.suite.handsets.records import Side
from opx.suite.phone_pages.desk import PageDesk, PageRequest
from opx.suite.phone_pages.pages import message
from opx.suite.sites.records import ExtensionRecord, SiteError
from opx.suite.timeline import Kind
from opx.suite.xml_objects.orders import FAST_REBOOT, Execute
from opx.suite.xml_objects.parts import EXIT, MenuItem, SoftKey
from opx.suite.xml_objects.screens import InputScreen, TextMenu, XmlObject

TITLE = "Setup"
PAGE_SIZE = 15


class SetupPages:
    """For approved phones; a new one's Setup key asks for extension and one-time code instead."""

    def __init__(self, desk: PageDesk) -> None:
        self._desk = desk

    async def choose(self, request: PageRequest) -> XmlObject:
        if request.side is not Side.LOCAL:
            return message(TITLE, "Your administrator assigns this phone's extension.")
        if request.phone.extension_id is not None:
            return message(TITLE, "This phone has an extension already.")
        if "extension" in request.query:
            return await self._take(request, request.query["extension"])
        wanted = request.query.get("search", "")
        free = [item for item in self._free() if item.number.startswith(wanted)]
        if not free:
            text = f"No extension that begins with {wanted} is free." if wanted else "No extension is free."
            return message(TITLE, text, request.link("setup") if wanted else "")
        if len(free) > PAGE_SIZE and not wanted:
            return InputScreen(TITLE, "Extension:", request.link("setup"), "search", "number")
        link = request.link("setup")
        items = [MenuItem(f"{item.number} {item.name}".strip(), f"{link}?extension={item.id}") for item in free]
        keys = (SoftKey(1, "Select", "SoftKey:Select"), SoftKey(6, "Exit", EXIT))
        return TextMenu(TITLE, tuple(items[:PAGE_SIZE]), keys, style="none")

    async def _take(self, request: PageRequest, text: str) -> XmlObject:
        desk, mac = self._desk, request.phone.mac
        chosen = next((item for item in self._free() if str(item.id) == text), None)
        if chosen is None:
            return message(TITLE, "This extension is not free any more.", request.link("setup"))
        try:
            record = await desk.phones.assign(mac, chosen.id)
        except SiteError:
            return message(TITLE, "This extension is not free any more.", request.link("setup"))
        desk.book.put(record)
        desk.note(mac, Kind.DONE, f"extension {chosen.number} was chosen at its Setup key")
        desk.published(mac)
        return Execute((FAST_REBOOT,))

    def _free(self) -> list[ExtensionRecord]:
        book = self._desk.book
        taken = {phone.extension_id for phone in book.phones.values()}
        free = [
            item
            for item in book.extensions.values()
            if item.present and not item.hot_desk and item.internal is not None and item.id not in taken
        ]
        return sorted(free, key=lambda item: (len(item.number), item.number))

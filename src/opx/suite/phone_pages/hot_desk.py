"""Hot desking: a phone becomes the hot desk extension whose number and PIN are typed at it, until that one logs out."""

from collections import OrderedDict

from opx.suite.handsets.lines import missing
from opx.suite.handsets.records import Side
from opx.suite.phone_pages.desk import PageDesk, PageRequest, PinError
from opx.suite.phone_pages.pages import message
from opx.suite.sites.records import ExtensionRecord, SiteError
from opx.suite.timeline import Kind
from opx.suite.xml_objects.orders import FAST_REBOOT, Execute
from opx.suite.xml_objects.parts import InputField
from opx.suite.xml_objects.screens import InputForm, XmlObject

TITLE = "Hot desk"
WRONG = "Extension or PIN is not right."
MAX_TRIES = 5
"""Wrong log-ins of one phone within TRY_SECONDS; the PBX bounds those of one extension by itself."""
TRY_SECONDS = 300.0
MAX_PHONES = 20_000
MIN_PIN, MAX_PIN = 4, 16


class HotDeskPages:
    def __init__(self, desk: PageDesk) -> None:
        self._desk = desk
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    async def log_in(self, request: PageRequest) -> XmlObject:
        """Without parameters the form; with them the answer."""
        desk, phone = self._desk, request.phone
        if not desk.hot_desking(desk.view(request)):
            return message(TITLE, "Hot desking is not enabled at this phone.")
        number, pin = request.query.get("extension", ""), request.query.get("pin", "")
        if not number and not pin:
            fields = (
                InputField("Extension:", "extension", "number"),
                InputField("PIN:", "pin", "number", password=True),
            )
            return InputForm(TITLE, request.link("desk"), fields)
        back = request.link("desk")
        if self._locked(phone.mac):
            return message(TITLE, "Too many wrong tries. Wait some minutes.", back)
        extension = self._extension(number)
        try:
            right = _is_pin(pin) and extension is not None and await desk.check_pin(extension, pin, phone.mac)
        except PinError as error:
            desk.note(phone.mac, Kind.WARNING, f"nobody could log in to {number}: {error}")
            return message(TITLE, "The telephone system does not answer. Please try again later.", back)
        if not right or extension is None:
            self._failed(phone.mac)
            desk.note(phone.mac, Kind.REFUSED, f"a wrong extension or PIN was typed to log in to {number[:16]}")
            return message(TITLE, WRONG, back)
        problem = await self._problem(request, extension)
        if problem:
            desk.note(phone.mac, Kind.REFUSED, f"hot desk extension {number} cannot log in here: {problem}")
            return message(TITLE, f"{number} cannot be used here: {problem}.", back)
        return await self._move(request, extension)

    async def log_out(self, request: PageRequest) -> XmlObject:
        phone, desk = request.phone, self._desk
        if phone.hot_desk_id is None:
            return message(TITLE, "Nobody is logged in.")
        guest = desk.extension(phone)
        record, _ = await desk.phones.hot_desk(phone.mac, None)
        desk.book.put(record)
        desk.note(phone.mac, Kind.DONE, f"hot desk extension {guest.number if guest else ''} logged out")
        desk.published(phone.mac)
        return Execute((FAST_REBOOT,))

    async def _move(self, request: PageRequest, extension: ExtensionRecord) -> XmlObject:
        desk, mac = self._desk, request.phone.mac
        try:
            record, left = await desk.phones.hot_desk(mac, extension.id)
        except SiteError as error:
            return message(TITLE, f"{error}.")
        desk.book.put(record)
        desk.note(mac, Kind.DONE, f"hot desk extension {extension.number} logged in")
        if left:
            other = await desk.phones.phone(left)
            desk.book.put(other)
            desk.note(left, Kind.DONE, f"hot desk extension {extension.number} logged in at another phone")
            desk.published(left)
        desk.published(mac)
        return Execute((FAST_REBOOT,))

    async def _problem(self, request: PageRequest, extension: ExtensionRecord) -> str:
        """Why a phone of this side cannot be the extension; "" when it can."""
        book = self._desk.book
        node = book.nodes.get(extension.node_id) if extension.node_id is not None else None
        if problem := missing(extension, node, request.side):
            return problem
        if request.side is Side.TELEWORKER and not await self._desk.on_gateway(extension.id):
            return "it is not on the border gateway yet"
        return ""

    def _extension(self, number: str) -> ExtensionRecord | None:
        """The hot desk extension of a number, when there is exactly one."""
        extensions = self._desk.book.extensions.values()
        found = [item for item in extensions if item.number == number and item.hot_desk and item.present]
        return found[0] if len(found) == 1 else None

    def _recent(self, mac: str) -> list[float]:
        now = self._desk.clock()
        return [at for at in self._failures.get(mac, ()) if at > now - TRY_SECONDS]

    def _locked(self, mac: str) -> bool:
        return len(self._recent(mac)) >= MAX_TRIES

    def _failed(self, mac: str) -> None:
        recent = [*self._recent(mac), self._desk.clock()]
        self._failures.pop(mac, None)
        while len(self._failures) >= MAX_PHONES:
            self._failures.popitem(last=False)
        self._failures[mac] = recent


def _is_pin(text: str) -> bool:
    return text.isascii() and text.isdigit() and MIN_PIN <= len(text) <= MAX_PIN

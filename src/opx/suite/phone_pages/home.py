"""The services menu, and what a phone says about itself."""

from opx.suite.handsets.records import Side, pretty_mac
from opx.suite.phone_pages.desk import PageDesk, PageRequest
from opx.suite.xml_objects.parts import EXIT, MenuItem, SoftKey
from opx.suite.xml_objects.screens import TextMenu, TextScreen, XmlObject

TITLE = "Services"


class Home:
    def __init__(self, desk: PageDesk) -> None:
        self._desk = desk

    async def menu(self, request: PageRequest) -> XmlObject:
        items = [MenuItem("Directory", request.link("directory"))]
        if request.phone.hot_desk_id is not None:
            items.append(MenuItem("Log out", request.link("desk/out")))
        elif self._desk.hot_desking(self._desk.view(request)):
            items.append(MenuItem("Log in", request.link("desk")))
        if request.side is Side.LOCAL and request.phone.extension_id is None:
            items.append(MenuItem("Setup", request.link("setup")))
        items.append(MenuItem("This phone", request.link("about")))
        return TextMenu(TITLE, tuple(items), (SoftKey(1, "Select", "SoftKey:Select"), SoftKey(6, "Exit", EXIT)))

    async def about(self, request: PageRequest) -> XmlObject:
        phone, extension = request.phone, self._desk.extension(request.phone)
        lines = [
            f"Extension: {f'{extension.number} {extension.name}'.strip() if extension else 'none'}",
            f"MAC: {pretty_mac(phone.mac)}",
            f"Model: {request.model}",
            f"Firmware: {phone.firmware or 'not known'}",
            f"Configuration: {phone.delivered[:8] or 'none'}",
        ]
        return TextScreen("This phone", "\n".join(lines), done=request.link("home"))

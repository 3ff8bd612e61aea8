"""Everything is where the guide says, under the guide's names."""

from html.parser import HTMLParser
from pathlib import Path

from support.console import open_console, signed_in


class Menu(HTMLParser):
    """The way to each link of the main menu."""

    def __init__(self) -> None:
        super().__init__()
        self.ways: dict[tuple[str, ...], str] = {}
        self._in = False
        self._levels: list[str] = []
        self._depth = 0
        self._heading = False
        self._link = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "nav":
            self._in = values.get("id") == "menu"
        if not self._in:
            return
        if tag == "ul":
            self._depth += 1
            del self._levels[self._depth - 1 :]
        elif tag == "span":
            self._heading = True
        elif tag == "a" and self._depth:
            self._link = values.get("href") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "nav":
            self._in = False
        elif tag == "ul" and self._in:
            self._depth -= 1
        elif tag == "span":
            self._heading = False
        elif tag == "a":
            self._link = ""

    def handle_data(self, data: str) -> None:
        if self._in and self._heading:
            self._levels = [*self._levels[: self._depth - 1], data]
        elif self._in and self._link:
            self.ways[(*self._levels[: self._depth - 1], data)] = self._link


async def test_every_menu_path_of_the_guide_leads_to_its_page(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await visitor.get("/")
        menu = Menu()
        menu.feed(visitor.html)
        for way, title in (
            (("MBG Security", "Port Forwarding"), "Port Forwarding"),
            (("MiVoice Border Gateway", "Service configuration", "ICPs"), "ICPs"),
            (("MiVoice Border Gateway", "Teleworking", "SIP"), "SIP devices"),
            (("MiVoice Border Gateway", "System configuration", "Settings"), "Settings"),
            (("Administration", "Web services"), "Web services"),
            (("Administration", "Users"), "Users"),
            (("Administration", "Audit log"), "Audit log"),
            (("Dashboard",), "Dashboard"),
        ):
            assert way in menu.ways, menu.ways
            page = await visitor.get(menu.ways[way])
            assert page.status_code == 200
            assert f"<h1>{title}</h1>" in visitor.html
            assert f'href="{menu.ways[way]}" aria-current="page"' in visitor.html


async def test_the_guides_labels_stand_on_its_pages(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        for path, labels in (
            ("/port-forwarding/add", ("Destination Host IP Address", "SNAT", "Protocol")),
            ("/icps/add", ("Hostname or IP Address",)),
            ("/web-services", ("Start", "Add a new consumer", "Temporary tokens", "Final tokens", "Verifier")),
            (
                "/web-services/consumers/add",
                ("Active", "Name", "ConsumerID", "Permissions", "Base/managetoken", "MBG/v1/icps", "MBG/v1/devices"),
            ),
        ):
            await visitor.get(path)
            for label in labels:
                assert label in visitor.text, (path, label)

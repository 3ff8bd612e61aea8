"""What is on a handset's screen: the idle screen, and XML pages over it, with what was typed. No socket in here.

A method that makes the handset do something gives its URI; "" is nothing to do.
"""

from __future__ import annotations

from urllib.parse import quote

from opx.phone.handset.xml_objects import Field, Item, Page, SoftKey, Status

MAX_PAGES = 16
"""Pages that lead back to one another; the oldest goes."""
LOGIN = "handset:log-in"
"""What submitting the handset's own log-in page does."""

LOGIN_PAGE = Page(
    "InputScreen",
    "Log In",
    fields=(Field("User Name", "user"), Field("Password", "password", "number", "", True)),
    keys=(SoftKey(1, "Submit", "SoftKey:Submit"), SoftKey(2, "Exit", "SoftKey:Exit")),
    url=LOGIN,
)
"""The handset's own, for the credentials that its configuration server asks for."""


class NothingThere(LookupError):
    """There is no such key, item or field on the screen; the text says what there is."""


class Display:
    def __init__(self) -> None:
        self.pages: list[Page] = []
        self.cursor = 0
        self.typed: dict[str, str] = {}
        self.messages: dict[str, dict[int, str]] = {}
        """Of the idle screen, by session and index."""
        self.error = ""
        """What the last request came to, when it came to nothing."""

    @property
    def page(self) -> Page | None:
        return self.pages[-1] if self.pages else None

    def show(self, page: Page) -> None:
        """A new page over the others; one to be forgotten when it is left has been left now."""
        self.error = ""
        if self.pages and self.pages[-1].destroy:
            self.pages.pop()
        self.pages.append(page)
        del self.pages[:-MAX_PAGES]
        self._begin()

    def status(self, status: Status) -> None:
        session = self.messages.setdefault(status.session, {})
        for index, text in status.messages.items():
            if text:
                session[index] = text
            else:
                session.pop(index, None)
        if not session:
            del self.messages[status.session]

    def leave(self) -> str:
        """Back to the page before, or to the idle screen; the URI that the page wants fetched then."""
        self.error = ""
        if not self.pages:
            return ""
        left = self.pages.pop()
        self._begin()
        return left.cancel

    def clear(self) -> None:
        """To the idle screen."""
        self.pages.clear()
        self.messages.clear()
        self.error = ""
        self._begin()

    # --- what the user does

    def move(self, step: int) -> None:
        """The cursor up or down, round and round."""
        page = self.page
        count = max(len(page.items), len(page.fields)) if page is not None else 0
        if count:
            self.cursor = (self.cursor + step) % count

    def choose(self, which: int | str) -> str:
        """An item of a menu, by its number from 1 or its text. NothingThere."""
        page = self._the_page()
        for index, item in enumerate(page.items):
            if which in (index + 1, item.prompt):
                self.cursor = index
                return f"Dial:{item.dial}" if item.dial and not item.uri else item.uri
        raise NothingThere(f"there is no item {which}; there are {', '.join(item.prompt for item in page.items)}")

    def type_in(self, text: str, prompt: str = "") -> None:
        """Into the field at the cursor, or that of a prompt; the cursor goes on to the next one. NothingThere."""
        page = self._the_page()
        for index, entry in enumerate(page.fields):
            if (prompt and prompt == entry.prompt) or (not prompt and index == self.cursor):
                if entry.kind == "number" and not (text.isascii() and all(c in "0123456789*#+." for c in text)):
                    raise NothingThere(f"{entry.prompt} takes digits only")
                self.typed[entry.parameter] = text
                self.cursor = min(index + 1, len(page.fields) - 1)
                return
        raise NothingThere("there is no such field")

    def press(self, label: str) -> str:
        """A softkey of the page, by what stands on it. NothingThere."""
        page = self._the_page()
        for key in page.keys or self.default_keys(page):
            if key.label.lower() == label.lower():
                return self._press(page, key.uri)
        raise NothingThere(f"there is no softkey {label}")

    @staticmethod
    def default_keys(page: Page) -> tuple[SoftKey, ...]:
        """Those of a page that brings none of its own."""
        if page.kind == "InputScreen":
            return (SoftKey(1, "Submit", "SoftKey:Submit"), SoftKey(2, "Exit", "SoftKey:Exit"))
        if page.items:
            return (SoftKey(1, "Select", "SoftKey:Select"), SoftKey(2, "Exit", "SoftKey:Exit"))
        return (SoftKey(1, "Exit", "SoftKey:Exit"),)

    def value(self, entry: Field) -> str:
        return self.typed.get(entry.parameter, entry.default)

    def _press(self, page: Page, uri: str) -> str:
        order = uri.removeprefix("SoftKey:") if uri.startswith("SoftKey:") else ""
        if order == "Exit":
            return self.leave()
        if order == "Submit":
            return self._submitted(page)
        item = page.items[self.cursor] if page.items else None
        if order == "Select" and item is not None:
            return self.choose(self.cursor + 1)
        if order.startswith("Dial") and item is not None:
            return f"Dial:{item.dial or item.uri}"
        return "" if order else _selected(uri, item)

    def _submitted(self, page: Page) -> str:
        if page.url == LOGIN:
            return LOGIN
        query = "&".join(
            f"{quote(entry.parameter, safe='')}={quote(self.value(entry), safe='')}"
            for entry in page.fields
            if entry.parameter
        )
        return _joined(page.url, query)

    def _the_page(self) -> Page:
        if self.page is None:
            raise NothingThere("the screen is idle")
        return self.page

    def _begin(self) -> None:
        self.cursor = 0
        self.typed = {}


def _selected(uri: str, item: Item | None) -> str:
    """A softkey's own URI with what the item at the cursor stands for."""
    if item is None or not item.selection or not uri.startswith(("http:", "https:")):
        return uri
    return _joined(uri, f"selection={quote(item.selection, safe='')}")


def _joined(uri: str, query: str) -> str:
    return f"{uri}{'&' if '?' in uri else '?'}{query}" if query else uri

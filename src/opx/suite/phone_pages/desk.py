"""What pages work with, and what they get of a request."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from opx.suite.handsets.book import Book
from opx.suite.handsets.profiles import PhoneView
from opx.suite.handsets.records import PhoneRecord, Side
from opx.suite.handsets.repository import PhoneRepository
from opx.suite.sites.records import ExtensionRecord
from opx.suite.timeline import Kind

XML = "xml/"
"""What the paths of all pages begin with."""
LOGO = "images/logo.png"
DIRECTORY_FILE = "directory.csv"


@dataclass(frozen=True)
class PageDesk:
    """What pages read is in `book`; what they write goes by `phones`, and is told by `published`.

    `check_pin` says whether a hot desk extension's PIN, typed at the phone of a MAC, is right; PinError when nobody can
    say. `on_gateway` tells whether phones outside may use an extension. `note` writes to a phone's timeline.
    """

    book: Book
    phones: PhoneRepository
    hot_desking: Callable[[PhoneView], bool]
    check_pin: Callable[[ExtensionRecord, str, str], Awaitable[bool]]
    on_gateway: Callable[[int], Awaitable[bool]]
    published: Callable[[str], None]
    note: Callable[[str, Kind, str], None]
    clock: Callable[[], float] = time.time

    def view(self, request: "PageRequest") -> PhoneView:
        return PhoneView(request.phone, self.extension(request.phone), request.model, request.side, request.base)

    def extension(self, phone: PhoneRecord) -> ExtensionRecord | None:
        """What the phone is now."""
        key = phone.used_extension_id
        return self.book.extensions.get(key) if key is not None else None


class PinError(Exception):
    """Nobody can say now whether a PIN is right; the text is for administrators."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page that an approved phone asks for. `base` is what its addresses of pages begin with, such as
    `https://203.0.113.1:8202/`."""

    phone: PhoneRecord
    model: str
    side: Side
    base: str
    query: Mapping[str, str] = field(default_factory=dict)

    def link(self, page: str) -> str:
        return f"{self.base}{XML}{page}"

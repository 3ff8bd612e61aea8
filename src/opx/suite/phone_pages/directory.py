"""The Phone System directory: the extensions, as a file that phones load and as a page to search."""

import csv
import hashlib
import io
from urllib.parse import quote

from opx.suite.handsets.book import Book
from opx.suite.handsets.http import Access, HandsetRequest, HandsetResponse
from opx.suite.phone_pages.desk import PageRequest
from opx.suite.phone_pages.pages import message
from opx.suite.sites.records import ExtensionRecord
from opx.suite.xml_objects.parts import DIAL, EXIT, Contact, SoftKey
from opx.suite.xml_objects.screens import Directory, InputScreen, XmlObject

MAX_CONTACTS = 5000
"""Of one phone: more slow it down."""
PAGE_SIZE = 15
FILE_AGE = 3600
"""Seconds for which a phone's copy holds; it loads the file at the start and once a day."""
CSV = "text/csv; charset=utf-8"


class Contacts:
    """The extensions that can be called, by name, kept until the book changes."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._sorted: list[tuple[str, str]] | None = None
        self._file: tuple[bytes, str] | None = None
        book.on_change.append(self._forget)

    def _forget(self, macs: frozenset[str] | None) -> None:
        self._sorted = self._file = None

    def all(self) -> list[tuple[str, str]]:
        """Pairs of name and number, at most MAX_CONTACTS."""
        if self._sorted is None:
            present = (extension for extension in self._book.extensions.values() if extension.present)
            pairs = {(_name(extension), extension.number) for extension in present}
            self._sorted = sorted(pairs, key=lambda pair: (pair[0].casefold(), pair[1]))[:MAX_CONTACTS]
        return self._sorted

    def search(self, text: str) -> list[tuple[str, str]]:
        """Those whose name or number holds the words."""
        words = text.casefold().split()
        return [pair for pair in self.all() if all(word in f"{pair[0]} {pair[1]}".casefold() for word in words)]

    def file(self) -> tuple[bytes, str]:
        """Lines of `name,number`, and their ETag."""
        if self._file is None:
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(self.all())
            body = text.getvalue().encode()
            self._file = body, hashlib.blake2b(body, digest_size=12).hexdigest()
        return self._file


class DirectoryFile:
    """What `directory 1` names; a `handsets.http.Route`."""

    access = Access.PHONE

    def __init__(self, contacts: Contacts) -> None:
        self._contacts = contacts

    async def answer(self, request: HandsetRequest) -> HandsetResponse | None:
        body, version = self._contacts.file()
        return HandsetResponse(body, CSV, etag=version, max_age=FILE_AGE)


class DirectoryPages:
    def __init__(self, contacts: Contacts) -> None:
        self._contacts = contacts

    async def search(self, request: PageRequest) -> XmlObject:
        """Without a search the form; with one a page of what was found."""
        if "search" not in request.query:
            return InputScreen("Directory", "Name or number:", request.link("directory"), "search")
        wanted = request.query["search"]
        found = self._contacts.search(wanted)
        if not found:
            return message("Directory", f"Nobody is found for {wanted}.", request.link("directory"))
        last = (len(found) - 1) // PAGE_SIZE
        text = request.query.get("page", "0")
        page = min(int(text), last) if text.isascii() and text.isdigit() and len(text) < 5 else 0
        shown = found[page * PAGE_SIZE : (page + 1) * PAGE_SIZE]
        link = f"{request.link('directory')}?search={quote(wanted)}&page="
        title = f"Directory ({page + 1}/{last + 1})" if last else "Directory"
        keys = [SoftKey(1, "Dial", DIAL)]
        if page > 0:
            keys.append(SoftKey(3, "Previous", f"{link}{page - 1}"))
        if page < last:
            keys.append(SoftKey(4, "Next", f"{link}{page + 1}"))
        keys.append(SoftKey(6, "Exit", EXIT))
        return Directory(
            title,
            tuple(Contact(f"{name} {number}" if name != number else name, number) for name, number in shown),
            tuple(keys),
            f"{link}{page - 1}" if page > 0 else "",
            f"{link}{page + 1}" if page < last else "",
        )


def _name(extension: ExtensionRecord) -> str:
    """On one line whatever the PBX has."""
    return " ".join(extension.name.split()) or extension.number

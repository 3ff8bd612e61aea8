"""Extensions from a CSV file, for every SIP PBX that has no connector of its own.

The first line names the columns: `number`, and as there are any of `name`, `authorization name`, `password`,
`hot desk` and `node`, in any order. Cells are separated by commas or semicolons, as spreadsheets write them.
"""

import asyncio
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from opx.suite.connectors.connector import ConnectorError, Event, NotPossible, PbxReading
from opx.suite.sites.records import (
    MAX_NAME,
    Authorization,
    Credentials,
    ReadExtension,
    SiteError,
    check_host,
    check_number,
)

COLUMNS = ("number", "name", "authorization name", "password", "hot desk", "node")
MAX_BYTES = 4 * 1024 * 1024
MAX_EXTENSIONS = 20_000
MAX_MISTAKES = 50
"""Mistakes that are told at once; whoever mended those tries again."""
_YES, _NO = frozenset({"yes", "y", "true", "1", "x"}), frozenset({"", "no", "n", "false", "0"})


@dataclass(frozen=True, slots=True)
class Mistake:
    """`line` as an editor counts, `column` as a spreadsheet does from 1; 0 when it is none of the columns."""

    line: int
    column: int
    text: str

    def __str__(self) -> str:
        column = f", column {self.column}" if self.column else ""
        return f"line {self.line}{column}: {self.text}"


class CsvError(ConnectorError):
    """The file holds mistakes; `mistakes` are all that were found, up to MAX_MISTAKES."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("; ".join(str(mistake) for mistake in mistakes))
        self.mistakes = list(mistakes)


class CsvFile:
    """A file on the suite's machine, read anew each time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> PbxReading:
        return parse(await asyncio.to_thread(self._bytes))

    async def notify(self, number: str, event: Event, body: str = "") -> int:
        raise NotPossible("the PBX is known from a file only, so phones in the office cannot be notified through it")

    async def registered(self) -> frozenset[str]:
        raise NotPossible("the PBX is known from a file only, so it does not tell which phones are registered")

    async def check_pin(self, number: str, pin: str, phone: str) -> bool:
        raise NotPossible("the PBX is known from a file only, so PINs of hot desk extensions cannot be checked")

    async def close(self) -> None:
        """Nothing is open."""

    def _bytes(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                return file.read(MAX_BYTES + 1)
        except OSError as error:
            raise ConnectorError(f"{self._path} cannot be read: {error.strerror}") from None


def parse(data: bytes) -> PbxReading:
    """What a file holds. CsvError with every mistake; no text of it repeats a password."""
    if len(data) > MAX_BYTES:
        raise CsvError([Mistake(1, 0, f"the file is too long; expected at most {MAX_BYTES // 1024} kB")])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise CsvError([Mistake(line, 0, "is no UTF-8 text; save the file as CSV UTF-8")]) from None
    rows = _rows(text)
    line, head = next(rows, (1, []))
    names = _columns(line, head)
    mistakes: list[Mistake] = []
    found: dict[str, tuple[int, ReadExtension]] = {}
    for line, cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        reader = _Row(line, cells, names)
        extension = reader.extension()
        if extension is not None and extension.number in found:
            reader.wrong("number", f"extension {extension.number} stands in line {found[extension.number][0]} already")
        elif extension is not None:
            found[extension.number] = (line, extension)
        mistakes += sorted(reader.mistakes, key=lambda mistake: mistake.column)
        if len(mistakes) >= MAX_MISTAKES or len(found) > MAX_EXTENSIONS:
            break
    if len(found) > MAX_EXTENSIONS:
        mistakes.append(Mistake(line, 0, f"expected at most {MAX_EXTENSIONS} extensions"))
    if mistakes:
        raise CsvError(mistakes[:MAX_MISTAKES])
    return PbxReading(tuple(extension for _, extension in found.values()))


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line that it begins in. CsvError."""
    first = text.partition("\n")[0]
    separator = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise CsvError([Mistake(line, 0, "is no CSV from here on; its quotation marks are not in order")]) from None
        yield line, cells
        line = reader.line_num + 1


def _columns(line: int, head: Sequence[str]) -> list[str]:
    """The name of each column. CsvError."""
    names = [" ".join(cell.replace("_", " ").split()).lower() for cell in head]
    expected = f"expected a first line with some of: {', '.join(COLUMNS)}"
    if "number" not in names:
        raise CsvError([Mistake(line, 0, f"there is no column number; {expected}")])
    mistakes = [
        Mistake(line, at, f"column {at} has a name that is not known; {expected}")
        for at, name in enumerate(names, 1)
        if name not in COLUMNS
    ]
    mistakes += [
        Mistake(line, at, f"there are two columns {name}")
        for at, name in enumerate(names, 1)
        if name in COLUMNS and name in names[: at - 1]
    ]
    if mistakes:
        raise CsvError(mistakes[:MAX_MISTAKES])
    return names


class _Row:
    """One line's cells, and what is wrong with them."""

    def __init__(self, line: int, cells: Sequence[str], names: Sequence[str]) -> None:
        self.mistakes: list[Mistake] = []
        self._line = line
        self._names = names
        self._cells = dict(zip(names, cells, strict=False))
        if len(cells) > len(names):
            # What stands there may be half of a password that holds the separator.
            text = (
                f"there are {len(cells)} cells for {len(names)} columns; a cell with a comma stands in quotation marks"
            )
            self.mistakes.append(Mistake(line, 0, text))

    def wrong(self, column: str, text: str) -> None:
        at = self._names.index(column) + 1 if column in self._names else 0
        self.mistakes.append(Mistake(self._line, at, text))

    def extension(self) -> ReadExtension | None:
        """None when it cannot be one."""
        number, name, node = self._text("number"), self._text("name"), self._text("node")
        try:
            check_number(number)
        except SiteError:
            self.wrong("number", "is no extension number; expected at most 16 digits, * and #")
        if len(name) > MAX_NAME:
            self.wrong("name", f"is too long; expected at most {MAX_NAME} characters")
        if node:
            try:
                check_host(node, "node")
            except SiteError:
                self.wrong("node", "is no host name or IPv4 address of a node")
        credentials = self._credentials(number)
        hot_desk = self._text("hot desk").lower()
        if hot_desk not in _YES | _NO:
            self.wrong("hot desk", "expected yes or no")
        return None if self.mistakes else ReadExtension(number, name, hot_desk in _YES, credentials, node)

    def _credentials(self, number: str) -> Credentials | None:
        """An authorization name that is not there is the number."""
        name, password = self._text("authorization name"), self._cells.get("password", "")
        if not password:
            if name:
                self.wrong("password", "expected a password to go with the authorization name")
            return None
        try:
            Authorization(False, internal_name=name or number, internal_password=password).check()
        except SiteError as error:
            self.wrong("authorization name" if error.field == "internal_name" else "password", str(error))
        return Credentials(name or number, password)

    def _text(self, column: str) -> str:
        return self._cells.get(column, "").strip()

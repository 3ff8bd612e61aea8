"""Where the keys of a TOML text stand. The standard library's parser keeps no places, and a mistake or a change needs
one."""

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

Key = tuple[str | int, ...]
"""A path into the parsed document: names of keys, and positions in arrays from 0."""

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_NAME = re.compile(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*'""")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_BARE = re.compile(r"[^,\]}\n#]+")


@dataclass(frozen=True, slots=True)
class Span:
    """Where a pair begins, and where its value does and ends: offsets into the text."""

    pair: int
    start: int
    stop: int


class TomlLines:
    """The lines, from 1, of the keys, tables and array elements of a text that is valid TOML."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self.spans: dict[Key, Span] = {}
        """Of the values of all pairs, by their whole keys."""
        self.ends: dict[Key, int] = {}
        """Where each table's own part of the text ends: behind its header, or its last pair."""
        self._lines: dict[Key, int] = {(): 1}
        self._tables: dict[Key, int] = {}
        self._document()

    def of(self, key: Key) -> int:
        """The line of `key`, or of the nearest table around it when it is not there."""
        while key not in self._lines:
            key = key[:-1]
        return self._lines[key]

    def _document(self) -> None:
        table: Key = ()
        at = self._skip(_BLANK, 0)
        while at < len(self._text):
            if self._text[at] == "[":
                brackets = 2 if self._text.startswith("[[", at) else 1
                names, end = self._names(at + brackets)
                table = self._table(names, at, of_array=brackets == 2)
                at = end + brackets
            else:
                at = self._pair(at, table)
            self.ends[table] = at
            at = self._skip(_BLANK, at)

    def _table(self, names: list[str], at: int, *, of_array: bool) -> Key:
        """The path of a table by its header; arrays of tables on the way mean their last element."""
        key: Key = ()
        for depth, name in enumerate(names, 1):
            key = (*key, name)
            self._note(key, at)
            if of_array and depth == len(names):
                self._tables[key] = self._tables.get(key, -1) + 1
            if key in self._tables:
                key = (*key, self._tables[key])
                self._note(key, at)
        # A table that an earlier header only passed through stands where its own header is.
        self._lines[key] = self._line(at)
        return key

    def _pair(self, at: int, table: Key) -> int:
        names, end = self._names(at)
        for depth in range(1, len(names) + 1):
            self._note((*table, *names[:depth]), at)
        key = (*table, *names)
        start = self._skip(_SPACE, end + 1)
        stop = self._value(start, key)
        self.spans[key] = Span(at, start, start + len(self._text[start:stop].rstrip()))
        return stop

    def _names(self, at: int) -> tuple[list[str], int]:
        """The parts of a dotted key, and where the sign after it stands."""
        names = []
        while True:
            match = _NAME.match(self._text, self._skip(_SPACE, at))
            assert match is not None
            name = match.group()
            names.append(name[1:-1] if name[0] in "\"'" else name)
            at = self._skip(_SPACE, match.end())
            if self._text[at] != ".":
                return names, at
            at += 1

    def _value(self, at: int, key: Key) -> int:
        """Notes what is inside a value; returns where it ends."""
        opening = self._text[at]
        if opening == "[":
            return self._items(at, "]", lambda item, index: self._element(item, (*key, index)))
        if opening == "{":
            return self._items(at, "}", lambda item, index: self._pair(item, key))
        match = (_STRING if opening in "\"'" else _BARE).match(self._text, at)
        assert match is not None
        return match.end()

    def _element(self, at: int, key: Key) -> int:
        self._note(key, at)
        return self._value(at, key)

    def _items(self, at: int, closing: str, item: Callable[[int, int], int]) -> int:
        index = 0
        at = self._skip(_BLANK, at + 1)
        while self._text[at] != closing:
            at = self._skip(_BLANK, item(at, index))
            index += 1
            if self._text[at] == ",":
                at = self._skip(_BLANK, at + 1)
        return at + 1

    def _note(self, key: Key, at: int) -> None:
        self._lines.setdefault(key, self._line(at))

    def _line(self, at: int) -> int:
        return bisect_right(self._newlines, at) + 1

    def _skip(self, pattern: re.Pattern[str], at: int) -> int:
        match = pattern.match(self._text, at)
        assert match is not None
        return match.end()

"""Well-formed markup out of any text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

MAX_BYTES = 10_000
"""Of one object: what the phone maker's own scripts keep to."""

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_QUOTES = {'"': "&quot;", "'": "&apos;"}


class ObjectTooLarge(ValueError):
    """A phone would not take it."""


@dataclass(frozen=True, slots=True)
class Element:
    """`content` is text or further elements; an attribute that is None is left out."""

    name: str
    content: "str | tuple[Element, ...]" = ()
    attributes: tuple[tuple[str, str | int | None], ...] = ()

    def __str__(self) -> str:
        return "".join(self._pieces())

    def _pieces(self) -> Iterator[str]:
        yield f"<{self.name}"
        for name, value in self.attributes:
            if value is not None:
                yield f' {name}="{escape(_line(str(value)), _QUOTES)}"'
        if not self.content:
            yield "/>"
            return
        yield ">"
        if isinstance(self.content, str):
            yield escape(clean(self.content), _QUOTES)
        else:
            for element in self.content:
                yield from element._pieces()
        yield f"</{self.name}>"


def document(root: Element) -> bytes:
    """ObjectTooLarge."""
    data = f'<?xml version="1.0" encoding="UTF-8"?>\n{root}\n'.encode()
    if len(data) > MAX_BYTES:
        raise ObjectTooLarge(f"{root.name} of {len(data)} bytes; a phone takes {MAX_BYTES}")
    return data


def clean(text: str) -> str:
    """Without the characters that XML cannot hold (XML 1.0 section 2.2)."""
    return _NOT_XML.sub("", text)


def clip(text: str, limit: int) -> str:
    """At most `limit` characters, the last one an ellipsis when something is missing."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _line(text: str) -> str:
    # A parser would make blanks of them in an attribute (XML 1.0 section 3.3.3).
    return re.sub(r"[\t\r\n]", " ", clean(text))

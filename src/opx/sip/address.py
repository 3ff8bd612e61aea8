"""Addresses as From, To, Contact and Route carry them: a URI with a name and parameters (RFC 3261 section 20.10)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from opx.sip.errors import RemoteProtocolError
from opx.sip.grammar import Params, format_params, has_control, param_of, parse_params, quote, split_commas, unquote
from opx.sip.remembering import remembered
from opx.sip.uri import Uri


@dataclass(frozen=True, slots=True)
class NameAddr:
    """`display` is without quotes. Written, the URI is always in angle brackets, so that parameters are never its."""

    display: str
    uri: Uri
    params: Params = ()

    @classmethod
    def parse(cls, text: str) -> "NameAddr":
        """RemoteProtocolError when it is no address. Without angle brackets parameters belong to the header."""
        return _recall(text)

    @classmethod
    def parse_many(cls, values: Iterable[str]) -> "list[NameAddr]":
        return [cls.parse(part) for value in values for part in split_commas(value)]

    def __str__(self) -> str:
        name = f"{quote(_printable(self.display))} " if self.display else ""
        return f"{name}<{self.uri}>{format_params(self.params)}"

    @property
    def tag(self) -> str:
        return param_of(self.params, "tag") or ""

    def param(self, name: str) -> str | None:
        """A parameter's value; "" when it has none, None when it is absent."""
        return param_of(self.params, name)

    def with_tag(self, tag: str) -> "NameAddr":
        others = tuple(pair for pair in self.params if pair[0] != "tag")
        return replace(self, params=(*others, ("tag", tag)))


def _parse(text: str) -> NameAddr:
    text = text.strip()
    start = _angle(text)
    if start < 0:
        uri, semicolon, params = text.partition(";")
        if "?" in uri or "," in uri:
            # Whose they are cannot be told without the brackets (RFC 3261 section 20.10).
            raise RemoteProtocolError("an address with a question mark or a comma needs angle brackets")
        return NameAddr("", Uri.parse(uri.strip()), parse_params(params) if semicolon else ())
    end = text.find(">", start)
    if end < 0:
        raise RemoteProtocolError("an address has < without >")
    display = text[:start].strip()
    if display.startswith('"'):
        if len(display) < 2 or not display.endswith('"'):
            raise RemoteProtocolError("a display name has an open quote")
        display = unquote(display)
    elif "," in display or ";" in display:
        raise RemoteProtocolError("a display name with a comma or semicolon needs quotes")
    rest = text[end + 1 :].strip()
    if rest and not rest.startswith(";"):
        raise RemoteProtocolError("an address has something behind its >")
    return NameAddr(display, Uri.parse(text[start + 1 : end].strip()), parse_params(rest[1:]) if rest else ())


_recall = remembered(_parse)


def _angle(text: str) -> int:
    """Where the < of the URI stands; one in a quoted display name does not count."""
    if not text.startswith('"'):
        return text.find("<")
    index = 1
    while index < len(text):
        if text[index] == "\\":
            index += 2
            continue
        if text[index] == '"':
            return text.find("<", index)
        index += 1
    raise RemoteProtocolError("a display name has an open quote")


def _printable(display: str) -> str:
    return "".join(" " if has_control(char) else char for char in display) if has_control(display) else display

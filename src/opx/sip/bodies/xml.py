"""A small XML tree that a stranger may have written: no document type, no entities, and bounds on everything."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

MAX_BYTES = 32 * 1024
"""A busy hunt group's dialog state is some thousand bytes."""
MAX_DEPTH = 16
MAX_ELEMENTS = 2000
MAX_ATTRIBUTES = 32
"""Of one element."""

_SEPARATOR = " "


class XmlError(ValueError):
    """The text is not XML, or more of it than is read."""


@dataclass(slots=True)
class Element:
    """`name` is the local name; `namespace` is "" for none. `content` holds texts and elements in order."""

    name: str
    namespace: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    content: "list[str | Element]" = field(default_factory=list)

    def children(self, name: str) -> "Iterator[Element]":
        """Its child elements of that local name and its own namespace."""
        for part in self.content:
            if isinstance(part, Element) and part.name == name and part.namespace == self.namespace:
                yield part

    def child(self, name: str) -> "Element | None":
        return next(self.children(name), None)

    @property
    def text(self) -> str:
        """Its own text without that of its children, stripped."""
        return "".join(part for part in self.content if isinstance(part, str)).strip()

    def walk(self) -> "Iterator[Element]":
        """Itself and all elements below."""
        yield self
        for part in self.content:
            if isinstance(part, Element):
                yield from part.walk()


def parse(data: bytes) -> Element:
    """The root element; comments and processing instructions are left out. XmlError.

    A document type is refused as such, so that nothing can be expanded or fetched.
    """
    if len(data) > MAX_BYTES:
        raise XmlError("the document is too large")
    reader = _Reader()
    try:
        reader.parser.Parse(data, True)
    except expat.ExpatError as error:
        raise XmlError(f"not well-formed: {expat.ErrorString(error.code)}") from None
    except (LookupError, UnicodeError, ValueError) as error:
        raise XmlError(str(error)) from None
    if reader.root is None:
        raise XmlError("no element")
    return reader.root


class _Reader:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._elements = 0
        self.parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text

    def _refuse(self, *_: object) -> None:
        raise XmlError("a document type is not read")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS or len(self._open) >= MAX_DEPTH or len(attributes) > MAX_ATTRIBUTES:
            raise XmlError("the document has too many parts")
        namespace, _, local = name.rpartition(_SEPARATOR)
        # An attribute of another namespace is none that the models know.
        own = {key: value for key, value in attributes.items() if _SEPARATOR not in key}
        element = Element(local, namespace, own)
        if self._open:
            self._open[-1].content.append(element)
        else:
            self.root = element
        self._open.append(element)

    def _end(self, _: str) -> None:
        self._open.pop()

    def _text(self, text: str) -> None:
        self._open[-1].content.append(text)


DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'


def write(root: Element) -> bytes:
    """The document as UTF-8. Elements without a namespace of their own stand in their parent's."""
    parts: list[str] = []
    _write(root, "", parts)
    return DECLARATION + "".join(parts).encode("utf-8", "replace") + b"\n"


def _write(element: Element, outer: str, parts: list[str]) -> None:
    namespace = element.namespace or outer
    parts.append(f"<{element.name}")
    if namespace != outer:
        parts.append(f" xmlns={quoteattr(_clean(namespace))}")
    parts.extend(f" {name}={quoteattr(_clean(value))}" for name, value in element.attributes.items())
    if not element.content:
        parts.append("/>")
        return
    parts.append(">")
    for part in element.content:
        if isinstance(part, str):
            parts.append(escape(_clean(part)))
        else:
            _write(part, namespace, parts)
    parts.append(f"</{element.name}>")


def leaf(name: str, text: str, attributes: Mapping[str, str] | None = None) -> Element:
    """An element that holds a text."""
    return Element(name, "", dict(attributes or {}), [text] if text else [])


def _clean(text: str) -> str:
    """Without what no XML document may hold."""
    return text if text.isprintable() else _FORBIDDEN.sub("", text)


_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

"""XML objects as the server sends them: pages for the screen, and orders that show nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from opx.sip.bodies.xml import Element, XmlError, parse

PREFIX = "AastraIPPhone"
MAX_ITEMS = 30
"""Of a menu or of orders in one object, as the vendor's own scripts keep to."""
MAX_OBJECT = 10_000
"""Bytes of an object, likewise."""


class ObjectError(ValueError):
    """It is no object that a handset understands; it shows an error instead."""


@dataclass(frozen=True, slots=True)
class SoftKey:
    """`index` counts from 1. `uri` may be SoftKey:Exit, Select, Submit or Dial, or something to fetch or do."""

    index: int
    label: str
    uri: str


@dataclass(frozen=True, slots=True)
class Item:
    """A line of a menu; `selection` goes along to the URI of a softkey that is pressed on it."""

    prompt: str
    uri: str = ""
    selection: str = ""
    dial: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A place to type into; its value goes to the page's URL as `parameter`."""

    prompt: str
    parameter: str
    kind: str = "string"
    default: str = ""
    password: bool = False
    selection: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Something on the screen. `kind` is the object's name without the prefix, `text` its lines."""

    kind: str
    title: str
    text: str = ""
    items: tuple[Item, ...] = ()
    fields: tuple[Field, ...] = ()
    keys: tuple[SoftKey, ...] = ()
    url: str = ""
    cancel: str = ""
    """Fetched when the page is left with the goodbye key."""
    destroy: bool = False
    """It is forgotten when it is left, so that the next one does not lead back to it."""
    timeout: float = 0.0
    """Seconds until it goes by itself; 0: never."""
    locks_in: bool = False


@dataclass(frozen=True, slots=True)
class Execute:
    """URIs to fetch or orders to carry out, one after the other."""

    uris: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """Messages of a session on the idle screen, by index; an empty one takes its predecessor away."""

    session: str
    messages: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Configured:
    name: str
    value: str
    set_type: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """Parameters to set, each with its setType."""

    items: tuple[Configured, ...] = field(repr=False)


XmlObject = Page | Execute | Status | Configuration
_PAGES = ("TextMenu", "TextScreen", "FormattedTextScreen", "InputScreen", "Directory", "ImageMenu", "ImageScreen")


def read(data: bytes) -> XmlObject:
    """ObjectError says what is wrong with it."""
    if len(data) > MAX_OBJECT:
        raise ObjectError(f"the object has more than {MAX_OBJECT} bytes")
    try:
        root = parse(data)
    except XmlError as error:
        raise ObjectError(str(error)) from None
    kind = root.name.removeprefix(PREFIX)
    if not root.name.startswith(PREFIX):
        raise ObjectError(f"{root.name} is no object of a phone")
    if kind in _PAGES:
        return _page(kind, root)
    if kind == "Execute":
        uris = tuple(_attribute(item, "URI") for item in root.children("ExecuteItem"))
        _bounded(uris)
        return Execute(uris)
    if kind == "Status":
        return _status(root)
    if kind == "Configuration":
        return _configuration(root)
    raise ObjectError(f"{root.name} is no object of a phone")


def _page(kind: str, root: Element) -> Page:
    items = tuple(
        Item(_text(item, "Prompt"), _text(item, "URI"), _text(item, "Selection"), _text(item, "Dial"))
        for item in root.children("MenuItem")
    )
    _bounded(items)
    if kind == "TextMenu" and not items:
        raise ObjectError("a menu without items")
    texts = [child.text for child in (root.child("Text"), root.child("TopTitle")) if child is not None]
    texts += [line.text for line in root.children("Line")]
    scroll = root.child("Scroll")
    if scroll is not None:
        texts += [line.text for line in scroll.children("Line")]
    fields = _fields(root) if kind == "InputScreen" else ()
    url = _text(root, "URL")
    if kind == "InputScreen" and not url:
        raise ObjectError("an input screen without URL")
    return Page(
        kind,
        _text(root, "Title"),
        "\n".join(texts),
        items,
        fields,
        tuple(_soft_key(key) for key in root.children("SoftKey")),
        url,
        root.attributes.get("cancelAction", ""),
        root.attributes.get("destroyOnExit", "no").lower() in ("yes", "true"),
        _seconds(root.attributes.get("Timeout", "0")),
        root.attributes.get("LockIn", "no").lower() in ("yes", "true", "1"),
    )


def _fields(root: Element) -> tuple[Field, ...]:
    """One field of the page itself, or as many as it lists."""
    inputs = tuple(root.children("InputField"))
    page = root.attributes
    if not inputs:
        return (
            Field(
                _text(root, "Prompt"),
                _text(root, "Parameter"),
                page.get("type", "string"),
                _text(root, "Default"),
                page.get("password", "no").lower() in ("yes", "true"),
            ),
        )
    return tuple(
        Field(
            _text(each, "Prompt"),
            _text(each, "Parameter"),
            each.attributes.get("type", page.get("type", "string")),
            _text(each, "Default"),
            each.attributes.get("password", page.get("password", "no")).lower() in ("yes", "true"),
            _text(each, "Selection"),
        )
        for each in inputs
    )


def _soft_key(key: Element) -> SoftKey:
    index = key.attributes.get("index", "")
    if not index.isdecimal() or not 1 <= int(index) <= 10:
        raise ObjectError(f"a softkey with index {index!r}")
    return SoftKey(int(index), _text(key, "Label"), _text(key, "URI"))


def _status(root: Element) -> Status:
    messages: dict[int, str] = {}
    for message in root.children("Message"):
        index = message.attributes.get("index", "")
        if not index.isdecimal():
            raise ObjectError(f"a status message with index {index!r}")
        messages[int(index)] = message.text
    return Status(_text(root, "Session"), messages)


def _configuration(root: Element) -> Configuration:
    general = root.attributes.get("setType", "remote")
    items: list[Configured] = []
    for item in root.children("ConfigurationItem"):
        name, value = _text(item, "Parameter"), _text(item, "Value")
        set_type = item.attributes.get("setType", general)
        if not name:
            raise ObjectError("a configuration item without parameter")
        if "#" not in name:
            items.append(Configured(name, value, set_type))
            continue
        first, last = (item.attributes.get(end, "") for end in ("firstItem", "lastItem"))
        if not (first.isdecimal() and last.isdecimal() and int(last) - int(first) < 100):
            raise ObjectError(f"{name} without firstItem and lastItem")
        items += [
            Configured(name.replace("#", str(number)), value, set_type) for number in range(int(first), int(last) + 1)
        ]
    _bounded(tuple(root.children("ConfigurationItem")))
    return Configuration(tuple(items))


def _bounded(items: tuple[object, ...]) -> None:
    if len(items) > MAX_ITEMS:
        raise ObjectError(f"more than {MAX_ITEMS} items")


def _text(parent: Element, name: str) -> str:
    child = parent.child(name)
    return child.text if child is not None else ""


def _attribute(element: Element, name: str) -> str:
    value = element.attributes.get(name)
    if value is None:
        raise ObjectError(f"{element.name} without {name}")
    return value


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() else 0.0

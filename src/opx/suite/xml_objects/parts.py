"""What objects are made of: softkeys, menu items, fields, contacts, and how a screen behaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from opx.suite.xml_objects.markup import Element, clip

MAX_ITEMS = 30
"""Of a menu or directory; further ones belong on a further page."""
MAX_FIELDS = 10
"""Of an input screen."""
MAX_SOFT_KEYS = 6
MAX_LABEL = 64
MAX_TEXT = 1000
MAX_URI = 512

Style = Literal["numbered", "none", "radio"]
InputType = Literal["string", "number", "IP", "timeUS", "timeInt", "dateUS", "dateInt"]
Alignment = Literal["left", "center", "right"]

EXIT, SELECT, SUBMIT, DIAL = "SoftKey:Exit", "SoftKey:Select", "SoftKey:Submit", "SoftKey:Dial"
"""What a softkey does on the phone itself, in the place of a URI."""


def take(items: Sequence[object], limit: int, what: str) -> None:
    """ValueError when there are more than a phone takes."""
    if len(items) > limit:
        raise ValueError(f"{len(items)} {what}; a phone takes {limit}")


def text_element(name: str, text: str, limit: int = MAX_LABEL, **attributes: str | int | None) -> Element:
    return Element(name, clip(text, limit), tuple(attributes.items()))


def uri_element(name: str, uri: str) -> Element:
    """ValueError when it is too long: a URI cannot be cut short."""
    if len(uri) > MAX_URI:
        raise ValueError(f"a URI of {len(uri)} characters; a phone takes {MAX_URI}")
    return Element(name, uri)


@dataclass(frozen=True, slots=True)
class SoftKey:
    """A key below the screen; `index` counts from 1. `uri` is also one of EXIT, SELECT and the like."""

    index: int
    label: str
    uri: str

    def element(self) -> Element:
        if not 1 <= self.index <= MAX_SOFT_KEYS:
            raise ValueError(f"softkey {self.index}; a phone has {MAX_SOFT_KEYS}")
        content = (text_element("Label", self.label), uri_element("URI", self.uri))
        return Element("SoftKey", content, (("index", self.index),))


@dataclass(frozen=True, slots=True)
class MenuItem:
    """A line to choose. `selection` is sent along by a softkey, `dial` is called by SoftKey:Dial."""

    prompt: str
    uri: str = ""
    selection: str = ""
    dial: str = ""

    def element(self) -> Element:
        content = [text_element("Prompt", self.prompt), uri_element("URI", self.uri)]
        if self.selection:
            content.append(text_element("Selection", self.selection))
        if self.dial:
            content.append(text_element("Dial", self.dial))
        return Element("MenuItem", tuple(content))


@dataclass(frozen=True, slots=True)
class Contact:
    """A line of a directory: picking it calls `number`."""

    name: str
    number: str

    def element(self) -> Element:
        return Element("MenuItem", (text_element("Prompt", self.name), text_element("URI", self.number)))


@dataclass(frozen=True, slots=True)
class InputField:
    """One of several fields; what is typed comes back as the query parameter `parameter`."""

    prompt: str
    parameter: str
    type: InputType = "string"
    password: bool = False
    default: str = ""

    def element(self) -> Element:
        content = (
            text_element("Prompt", self.prompt),
            text_element("Parameter", self.parameter),
            Element("Selection"),
            text_element("Default", self.default),
        )
        hidden = "yes" if self.password else None
        return Element("InputField", content, (("type", self.type), ("password", hidden)))


@dataclass(frozen=True, slots=True)
class Manner:
    """How a screen behaves: its life in seconds (0 for ever), where Cancel leads, and whether it beeps or locks."""

    timeout: int | None = None
    cancel: str = ""
    beep: bool = False
    lock_in: bool = False
    destroy_on_exit: bool = True

    def attributes(self) -> tuple[tuple[str, str | int | None], ...]:
        return (
            ("destroyOnExit", "yes" if self.destroy_on_exit else None),
            ("Timeout", self.timeout),
            ("cancelAction", self.cancel or None),
            ("Beep", "yes" if self.beep else None),
            ("LockIn", "yes" if self.lock_in else None),
        )


PLAIN = Manner()


def soft_keys(keys: Sequence[SoftKey]) -> tuple[Element, ...]:
    """ValueError for too many, and for two at one place."""
    take(keys, MAX_SOFT_KEYS, "softkeys")
    if len({key.index for key in keys}) < len(keys):
        raise ValueError("two softkeys at one place")
    return tuple(key.element() for key in keys)

"""Objects that a phone shows. Each `render`s to bytes; ValueError (ObjectTooLarge) for more than a phone takes."""

from dataclasses import dataclass
from typing import Literal, Protocol

from opx.suite.xml_objects.markup import Element, document
from opx.suite.xml_objects.parts import (
    MAX_FIELDS,
    MAX_ITEMS,
    MAX_TEXT,
    PLAIN,
    Alignment,
    Contact,
    InputField,
    InputType,
    Manner,
    MenuItem,
    SoftKey,
    Style,
    soft_keys,
    take,
    text_element,
    uri_element,
)


class XmlObject(Protocol):
    """Whatever can be sent to a phone."""

    def render(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class TextMenu:
    """A list to choose from. `default` is the item that is marked first, counted from 1."""

    title: str
    items: tuple[MenuItem, ...]
    keys: tuple[SoftKey, ...] = ()
    style: Style = "numbered"
    default: int | None = None
    wrap: bool = False
    manner: Manner = PLAIN

    def render(self) -> bytes:
        take(self.items, MAX_ITEMS, "items")
        if not self.items:
            raise ValueError("a menu without items; a phone shows an error for it")
        attributes = (("defaultIndex", self.default), ("style", self.style), ("wrapList", "yes" if self.wrap else None))
        content = (text_element("Title", self.title), *(item.element() for item in self.items), *soft_keys(self.keys))
        return document(Element("AastraIPPhoneTextMenu", content, (*self.manner.attributes(), *attributes)))


@dataclass(frozen=True, slots=True)
class TextScreen:
    """A title and a text. Cancel and the exit key lead to `done`, when there is one."""

    title: str
    text: str
    keys: tuple[SoftKey, ...] = ()
    done: str = ""
    manner: Manner = PLAIN

    def render(self) -> bytes:
        content = (text_element("Title", self.title), text_element("Text", self.text, MAX_TEXT), *soft_keys(self.keys))
        attributes = (*self.manner.attributes(), ("doneAction", self.done or None))
        return document(Element("AastraIPPhoneTextScreen", content, attributes))


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a formatted screen."""

    text: str
    size: Literal["small", "normal", "double", "large"] = "normal"
    align: Alignment = "left"
    color: str = ""

    def element(self) -> Element:
        attributes = {"Size": self.size, "Align": self.align, "Color": self.color or None}
        return text_element("Line", self.text, MAX_TEXT, **attributes)


@dataclass(frozen=True, slots=True)
class FormattedTextScreen:
    """Lines with sizes and alignments; `scroll` is the middle that moves, between what stays."""

    top: tuple[Line, ...] = ()
    scroll: tuple[Line, ...] = ()
    bottom: tuple[Line, ...] = ()
    keys: tuple[SoftKey, ...] = ()
    manner: Manner = PLAIN

    def render(self) -> bytes:
        take((*self.top, *self.scroll, *self.bottom), MAX_ITEMS, "lines")
        middle = (Element("Scroll", tuple(line.element() for line in self.scroll)),) if self.scroll else ()
        content = (
            *(line.element() for line in self.top),
            *middle,
            *(line.element() for line in self.bottom),
            *soft_keys(self.keys),
        )
        return document(Element("AastraIPPhoneFormattedTextScreen", content, self.manner.attributes()))


@dataclass(frozen=True, slots=True)
class InputScreen:
    """Asks for one thing, which comes back to `url` as the query parameter `parameter`."""

    title: str
    prompt: str
    url: str
    parameter: str
    type: InputType = "string"
    password: bool = False
    default: str = ""
    keys: tuple[SoftKey, ...] = ()
    manner: Manner = PLAIN

    def render(self) -> bytes:
        content = (
            text_element("Title", self.title),
            text_element("Prompt", self.prompt),
            uri_element("URL", self.url),
            text_element("Parameter", self.parameter),
            text_element("Default", self.default),
            *soft_keys(self.keys),
        )
        attributes = (("type", self.type), ("password", "yes" if self.password else None), *self.manner.attributes())
        return document(Element("AastraIPPhoneInputScreen", content, attributes))


@dataclass(frozen=True, slots=True)
class InputForm:
    """An InputScreen of several fields."""

    title: str
    url: str
    fields: tuple[InputField, ...]
    keys: tuple[SoftKey, ...] = ()
    manner: Manner = PLAIN

    def render(self) -> bytes:
        take(self.fields, MAX_FIELDS, "fields")
        if not self.fields:
            raise ValueError("a form without fields")
        content = (
            text_element("Title", self.title),
            uri_element("URL", self.url),
            *(item.element() for item in self.fields),
            *soft_keys(self.keys),
        )
        attributes = (("type", "string"), ("displayMode", "condensed"), *self.manner.attributes())
        return document(Element("AastraIPPhoneInputScreen", content, attributes))


@dataclass(frozen=True, slots=True)
class Directory:
    """Names to call. `previous` and `next` are the URIs of the neighbouring pages."""

    title: str
    contacts: tuple[Contact, ...]
    keys: tuple[SoftKey, ...] = ()
    previous: str = ""
    next: str = ""
    manner: Manner = PLAIN

    def render(self) -> bytes:
        take(self.contacts, MAX_ITEMS, "contacts")
        if not self.contacts:
            raise ValueError("a directory without contacts; a phone shows an error for it")
        content = (
            text_element("Title", self.title),
            *(contact.element() for contact in self.contacts),
            *soft_keys(self.keys),
        )
        attributes = (*self.manner.attributes(), ("previous", self.previous or None), ("next", self.next or None))
        return document(Element("AastraIPPhoneDirectory", content, attributes))


@dataclass(frozen=True, slots=True)
class Picture:
    """Where a colour phone fetches a PNG or JPEG."""

    url: str
    width: int | None = None
    height: int | None = None

    def element(self) -> Element:
        attributes = (("verticalAlign", "middle"), ("horizontalAlign", "middle"))
        size = (("height", self.height), ("width", self.width))
        return Element("Image", uri_element("Image", self.url).content, (*attributes, *size))


@dataclass(frozen=True, slots=True)
class ImageScreen:
    picture: Picture
    keys: tuple[SoftKey, ...] = ()
    manner: Manner = PLAIN

    def render(self) -> bytes:
        content = (self.picture.element(), *soft_keys(self.keys))
        return document(Element("AastraIPPhoneImageScreen", content, self.manner.attributes()))


@dataclass(frozen=True, slots=True)
class ImageMenu:
    """A picture of which digits choose: `choices` are pairs of a digit and the URI that it leads to."""

    picture: Picture
    choices: tuple[tuple[str, str], ...]
    keys: tuple[SoftKey, ...] = ()
    manner: Manner = PLAIN

    def render(self) -> bytes:
        take(self.choices, MAX_ITEMS, "choices")
        uris = tuple(Element("URI", uri, (("key", key),)) for key, uri in self.choices)
        content = (self.picture.element(), Element("URIList", uris), *soft_keys(self.keys))
        return document(Element("AastraIPPhoneImageMenu", content, self.manner.attributes()))

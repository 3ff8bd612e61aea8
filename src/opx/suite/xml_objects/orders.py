"""Objects that a phone carries out without showing a screen."""

from dataclasses import dataclass
from typing import Literal

from opx.suite.xml_objects.markup import Element, clean, document
from opx.suite.xml_objects.parts import MAX_ITEMS, MAX_LABEL, MAX_TEXT, MAX_URI, take, text_element

RESET, FAST_REBOOT = "Command: Reset", "Command: FastReboot"
LOCK, UNLOCK = "Command: Lock", "Command: Unlock"
NOTHING = ""
"""The URI of an Execute that does nothing: the answer to an action URI, which must be a valid object."""

SetType = Literal["remote", "local", "oneBoot", "override"]


@dataclass(frozen=True, slots=True)
class Execute:
    """URIs to carry out one after the other: pages, `Command: `, `Led: `, `Key:`, `Dial:`, or NOTHING."""

    uris: tuple[str, ...]
    interrupt_call: bool = True
    """Whether a call under way may be disturbed."""
    beep: bool = False

    def render(self) -> bytes:
        take(self.uris, MAX_ITEMS, "orders")
        interrupt = None if self.interrupt_call else "no"
        if too_long := [uri for uri in self.uris if len(uri) > MAX_URI]:
            raise ValueError(f"an order of {len(too_long[0])} characters; a phone takes {MAX_URI}")
        items = tuple(Element("ExecuteItem", (), (("URI", uri), ("interruptCall", interrupt))) for uri in self.uris)
        return document(Element("AastraIPPhoneExecute", items, (("Beep", "yes" if self.beep else None),)))


@dataclass(frozen=True, slots=True)
class Status:
    """A message on the idle screen, in the slot `index` of `session`; an empty text takes it away."""

    session: str
    text: str
    index: int = 0
    kind: Literal["", "alert", "icon"] = ""
    timeout: int | None = None
    beep: bool = False

    def render(self) -> bytes:
        message = text_element(
            "Message", self.text, MAX_LABEL, index=self.index, type=self.kind or None, Timeout=self.timeout
        )
        content = (text_element("Session", self.session), message)
        return document(Element("AastraIPPhoneStatus", content, (("Beep", "yes" if self.beep else None),)))


@dataclass(frozen=True, slots=True)
class Configuration:
    """Parameters to set at once; "remote" ones are lost at the next start, as those of the files are read again."""

    items: tuple[tuple[str, str], ...]
    set_type: SetType = "remote"

    def render(self) -> bytes:
        take(self.items, MAX_ITEMS, "parameters")
        for name, value in self.items:
            if "\n" in name + value or "\r" in name + value:
                raise ValueError(f"{clean(name)!r} has a line break")
        rows = tuple(
            Element("ConfigurationItem", (text_element("Parameter", name), text_element("Value", value, MAX_TEXT)))
            for name, value in self.items
        )
        return document(Element("AastraIPPhoneConfiguration", rows, (("setType", self.set_type),)))


def acknowledgement() -> bytes:
    """What an action URI is answered with where nothing is to happen on the phone."""
    return Execute((NOTHING,)).render()

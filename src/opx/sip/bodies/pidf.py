"""Presence: application/pidf+xml (RFC 3863), as far as a telephone shows it."""

from dataclasses import dataclass

from opx.sip.bodies.xml import Element, XmlError, leaf, parse, write

CONTENT_TYPE = "application/pidf+xml"
NAMESPACE = "urn:ietf:params:xml:ns:pidf"

MAX_TUPLES = 32
MAX_NOTES = 8


@dataclass(frozen=True, slots=True)
class PresenceTuple:
    """`open` None: it does not say. `contact` is a URI, "" when absent."""

    id: str
    open: bool | None
    contact: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Presence:
    """What is known of `entity`, a URI."""

    entity: str
    tuples: tuple[PresenceTuple, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, body: bytes) -> "Presence":
        """ValueError when it is none. What the model does not name, extensions among it, is left out."""
        root = parse(body)
        if root.name != "presence" or root.namespace != NAMESPACE:
            raise XmlError("not a presence document")
        tuples = tuple(_tuple(element) for element in root.children("tuple"))
        if len(tuples) > MAX_TUPLES:
            raise XmlError("too many tuples")
        return cls(root.attributes.get("entity", ""), tuples, _notes(root))

    def encode(self) -> bytes:
        root = Element("presence", NAMESPACE, {"entity": self.entity})
        for item in self.tuples:
            status = Element("status")
            if item.open is not None:
                status.content.append(leaf("basic", "open" if item.open else "closed"))
            element = Element("tuple", "", {"id": item.id}, [status])
            if item.contact:
                element.content.append(leaf("contact", item.contact))
            element.content += [leaf("note", note) for note in item.notes]
            root.content += ["\n", element]
        root.content += [leaf("note", note) for note in self.notes]
        root.content.append("\n")
        return write(root)


def _tuple(element: Element) -> PresenceTuple:
    status, contact = element.child("status"), element.child("contact")
    basic = status.child("basic") if status is not None else None
    is_open = {"open": True, "closed": False}.get(basic.text.lower()) if basic is not None else None
    uri = contact.text if contact is not None else ""
    return PresenceTuple(element.attributes.get("id", ""), is_open, uri, _notes(element))


def _notes(element: Element) -> tuple[str, ...]:
    return tuple(note.text for note in element.children("note") if note.text)[:MAX_NOTES]

"""Dialog state, which busy lamps show: application/dialog-info+xml (RFC 4235)."""

from dataclasses import dataclass, field

from opx.sip.bodies.xml import Element, XmlError, leaf, parse, write
from opx.sip.replaces import DialogName

CONTENT_TYPE = "application/dialog-info+xml"
NAMESPACE = "urn:ietf:params:xml:ns:dialog-info"

STATES = ("trying", "proceeding", "early", "confirmed", "terminated")
EVENTS = ("cancelled", "rejected", "replaced", "local-bye", "remote-bye", "error", "timeout")
DIRECTIONS = ("initiator", "recipient")
RENDERING = "+sip.rendering"
"""The target parameter that tells a held call (section 4.1.6.2)."""

MAX_DIALOGS = 256
MAX_NUMBER = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Participant:
    """One end of a dialog; each is "" when it is not told. `identity` and `target` are URIs."""

    identity: str = ""
    display: str = ""
    target: str = ""
    rendering: str = ""
    """Whether it renders the media: "yes", "no" (on hold) or "unknown"."""


@dataclass(frozen=True, slots=True)
class WatchedDialog:
    """A dialog of whoever is watched. `name` is None unless Call-ID and both tags are told."""

    id: str
    state: str
    name: DialogName | None = None
    """As Replaces would name it: its to_tag is the local-tag."""
    direction: str = ""
    event: str = ""
    code: int | None = None
    duration: int | None = None
    """Seconds."""
    local: Participant = field(default_factory=Participant)
    remote: Participant = field(default_factory=Participant)


@dataclass(frozen=True, slots=True)
class DialogInfo:
    """One document. With `full` it tells all dialogs of `entity`, else what has changed since the version before."""

    entity: str
    version: int
    full: bool = True
    dialogs: tuple[WatchedDialog, ...] = ()

    @classmethod
    def parse(cls, body: bytes) -> "DialogInfo":
        """ValueError when it is none. What the model does not name is left out."""
        root = parse(body)
        if root.name != "dialog-info" or root.namespace != NAMESPACE:
            raise XmlError("not a dialog-info document")
        version = _number(root.attributes.get("version"))
        state = root.attributes.get("state")
        if version is None or state not in ("full", "partial"):
            raise XmlError("a dialog-info document has a version and a state")
        dialogs = tuple(_dialog(element) for element in root.children("dialog"))
        if len(dialogs) > MAX_DIALOGS:
            raise XmlError("too many dialogs")
        return cls(root.attributes.get("entity", ""), version, state == "full", dialogs)

    def encode(self) -> bytes:
        state = "full" if self.full else "partial"
        root = Element("dialog-info", NAMESPACE, {"version": str(self.version), "state": state, "entity": self.entity})
        for dialog in self.dialogs:
            root.content += ["\n", _written(dialog)]
        root.content.append("\n")
        return write(root)


class DialogTable:
    """What is known of an entity's dialogs from the documents that came, so that full ones can be written."""

    def __init__(self) -> None:
        self.entity = ""
        self._version: int | None = None
        self._dialogs: dict[str, WatchedDialog] = {}

    @property
    def dialogs(self) -> tuple[WatchedDialog, ...]:
        """Those that are alive, and those that ended with the newest document."""
        return tuple(self._dialogs.values())

    def take(self, info: DialogInfo) -> bool:
        """Take a document in; False when one before it was missed, so that the full state has to be asked for."""
        gap = not info.full and (self._version is None or info.version != self._version + 1)
        self._version = info.version
        self.entity = info.entity or self.entity
        if info.full:
            self._dialogs = {}
        else:
            self._dialogs = {key: d for key, d in self._dialogs.items() if d.state != "terminated"}
        for dialog in info.dialogs:
            self._dialogs[dialog.id] = dialog
        while len(self._dialogs) > MAX_DIALOGS:
            del self._dialogs[next(iter(self._dialogs))]
        return not gap


def _dialog(element: Element) -> WatchedDialog:
    attributes = element.attributes
    state = element.child("state")
    if state is None or state.text not in STATES:
        raise XmlError("a dialog has a state")
    tags = tuple(attributes.get(key, "") for key in ("call-id", "local-tag", "remote-tag"))
    duration = element.child("duration")
    return WatchedDialog(
        attributes.get("id", ""),
        state.text,
        DialogName(*tags) if all(tags) else None,
        _one_of(attributes.get("direction"), DIRECTIONS),
        _one_of(state.attributes.get("event"), EVENTS),
        _number(state.attributes.get("code")),
        _number(duration.text) if duration is not None else None,
        _participant(element.child("local")),
        _participant(element.child("remote")),
    )


def _participant(element: Element | None) -> Participant:
    if element is None:
        return Participant()
    identity, target = element.child("identity"), element.child("target")
    rendering = ""
    if target is not None:
        for param in target.children("param"):
            if param.attributes.get("pname", "").lower() == RENDERING:
                rendering = _one_of(param.attributes.get("pval"), ("yes", "no", "unknown"))
    return Participant(
        identity.text if identity is not None else "",
        identity.attributes.get("display", "") if identity is not None else "",
        target.attributes.get("uri", "") if target is not None else "",
        rendering,
    )


def _written(dialog: WatchedDialog) -> Element:
    attributes = {"id": dialog.id}
    if dialog.name is not None:
        attributes["call-id"] = dialog.name.call_id
        attributes["local-tag"] = dialog.name.to_tag
        attributes["remote-tag"] = dialog.name.from_tag
    if dialog.direction:
        attributes["direction"] = dialog.direction
    how = {"event": dialog.event} if dialog.event else {}
    if dialog.code is not None:
        how["code"] = str(dialog.code)
    element = Element("dialog", "", attributes, [leaf("state", dialog.state, how)])
    if dialog.duration is not None:
        element.content.append(leaf("duration", str(dialog.duration)))
    for name, participant in (("local", dialog.local), ("remote", dialog.remote)):
        if participant != Participant():
            element.content.append(_end(name, participant))
    return element


def _end(name: str, participant: Participant) -> Element:
    element = Element(name)
    if participant.identity:
        display = {"display": participant.display} if participant.display else {}
        element.content.append(leaf("identity", participant.identity, display))
    if participant.target:
        target = Element("target", "", {"uri": participant.target})
        if participant.rendering:
            target.content.append(Element("param", "", {"pname": RENDERING, "pval": participant.rendering}))
        element.content.append(target)
    return element


def _one_of(value: str | None, known: tuple[str, ...]) -> str:
    return value if value in known else ""


def _number(value: str | None) -> int | None:
    if value is None or not (value.isascii() and value.isdigit()) or len(value) > 10:
        return None
    return min(int(value), MAX_NUMBER)

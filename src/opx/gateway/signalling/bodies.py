"""Bodies on their way to a set: read into their models and written anew, so that nothing of the inside is left."""

import re
from dataclasses import dataclass
from typing import Protocol

from opx.gateway.repository import DeviceRecord
from opx.gateway.signalling.aliases import DialogAliases
from opx.gateway.signalling.identity import MAX_NUMBER
from opx.gateway.signalling.inside import InsideNames
from opx.sip.bodies import dialog_info, message_summary, pidf
from opx.sip.bodies.dialog_info import DialogInfo, DialogTable, Participant, WatchedDialog
from opx.sip.bodies.message_summary import MessageSummary
from opx.sip.bodies.pidf import Presence, PresenceTuple
from opx.sip.errors import RemoteProtocolError
from opx.sip.grammar import has_control
from opx.sip.subscription import Content
from opx.sip.uri import Uri

_TEL = re.compile(r"\+?[0-9*#().\-]{1,40}\Z")


class BodyRefused(ValueError):
    """A body that does not go to a set; says why."""


@dataclass(frozen=True, slots=True)
class OutsideNames:
    """How the names of one device's office stand on the set side. `domain` is the gateway's outside host or host:port.

    The device's own ICP-side user name becomes its set-side one.
    """

    domain: str
    device: DeviceRecord
    inside: InsideNames

    def uri(self, text: str) -> str:
        """A URI of the inside with the gateway's outside address, "" for one that has no meaning outside."""
        if not text:
            return ""
        try:
            uri = Uri.parse(text)
        except RemoteProtocolError:
            return ""
        if uri.scheme == "tel":
            number = uri.opaque.partition(";")[0]
            return f"tel:{number}" if _TEL.match(number) else ""
        if uri.scheme not in ("sip", "sips"):
            return ""
        return self.of_user(uri.user or "")

    def of_user(self, user: str) -> str:
        """The URI of a number or name at the gateway."""
        if user == self.device.icp_username:
            user = self.device.set_username
        if not user or len(user) > MAX_NUMBER or has_control(user) or self.inside.found_in(user):
            return f"sip:{self.domain}"
        return f"sip:{user}@{self.domain}"

    def text(self, text: str) -> str:
        """A display name or note, "" when it names something of the inside."""
        return "" if self.inside.found_in(text) else text


class BodyTranslator(Protocol):
    """Translates the bodies of one subscription."""

    content_type: str

    def take(self, content: Content) -> bool:
        """Take a body in; False when the full state has to be asked for. BodyRefused."""

    def state(self) -> Content:
        """The whole state for the set, as a body of its own."""


class SummaryTranslator:
    """message-summary (RFC 3842)."""

    content_type = message_summary.CONTENT_TYPE

    def __init__(self, names: OutsideNames) -> None:
        self._names = names
        self._summary: MessageSummary | None = None

    def take(self, content: Content) -> bool:
        self._summary = MessageSummary.parse(content.body)
        return True

    def state(self) -> Content:
        summary = self._summary
        if summary is None:
            return Content()
        account = self._names.uri(summary.account)
        return Content(self.content_type, MessageSummary(summary.waiting, account, summary.counts).encode())


class DialogTranslator:
    """dialog (RFC 4235). The set always gets the full state, with versions of its own."""

    content_type = dialog_info.CONTENT_TYPE

    def __init__(self, names: OutsideNames, aliases: DialogAliases, watched: str) -> None:
        self._names = names
        self._aliases = aliases
        self._entity = names.of_user(watched)
        self._table: DialogTable | None = None
        self._ids: dict[str, str] = {}
        self._count = 0
        self._version = -1

    def take(self, content: Content) -> bool:
        info = DialogInfo.parse(content.body)
        if self._table is None:
            self._table = DialogTable()
        complete = self._table.take(info)
        alive = {dialog.id for dialog in self._table.dialogs}
        self._ids = {real: alias for real, alias in self._ids.items() if real in alive}
        return complete

    def state(self) -> Content:
        if self._table is None:
            return Content()
        self._version += 1
        dialogs = tuple(map(self._dialog, self._table.dialogs))
        return Content(self.content_type, DialogInfo(self._entity, self._version, True, dialogs).encode())

    def _dialog(self, dialog: WatchedDialog) -> WatchedDialog:
        return WatchedDialog(
            self._id(dialog.id),
            dialog.state,
            self._aliases.alias(dialog.name) if dialog.name is not None else None,
            dialog.direction,
            dialog.event,
            dialog.code,
            dialog.duration,
            self._participant(dialog.local),
            self._participant(dialog.remote),
        )

    def _id(self, real: str) -> str:
        """PBXs make ids of Call-IDs, which name hosts."""
        if real not in self._ids:
            self._count += 1
            self._ids[real] = f"d{self._count}"
        return self._ids[real]

    def _participant(self, participant: Participant) -> Participant:
        names = self._names
        return Participant(
            names.uri(participant.identity),
            names.text(participant.display),
            names.uri(participant.target),
            participant.rendering,
        )


class PresenceTranslator:
    """presence (RFC 3863)."""

    content_type = pidf.CONTENT_TYPE

    def __init__(self, names: OutsideNames, watched: str) -> None:
        self._names = names
        self._entity = names.of_user(watched)
        self._presence: Presence | None = None

    def take(self, content: Content) -> bool:
        self._presence = Presence.parse(content.body)
        return True

    def state(self) -> Content:
        if self._presence is None:
            return Content()
        tuples = tuple(self._tuple(number, item) for number, item in enumerate(self._presence.tuples, 1))
        notes = self._notes(self._presence.notes)
        return Content(self.content_type, Presence(self._entity, tuples, notes).encode())

    def _tuple(self, number: int, item: PresenceTuple) -> PresenceTuple:
        return PresenceTuple(f"t{number}", item.open, self._names.uri(item.contact), self._notes(item.notes))

    def _notes(self, notes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(filter(None, map(self._names.text, notes)))


def translator(package: str, names: OutsideNames, aliases: DialogAliases, watched: str) -> BodyTranslator:
    """The translator of an event package; `watched` is whom the subscription is about. KeyError for another one."""
    match package:
        case "message-summary":
            return SummaryTranslator(names)
        case "dialog":
            return DialogTranslator(names, aliases, watched)
        case "presence":
            return PresenceTranslator(names, watched)
    raise KeyError(package)


CONTENT_TYPES = (message_summary.CONTENT_TYPE, dialog_info.CONTENT_TYPE, pidf.CONTENT_TYPE)

PACKAGES = ("message-summary", "dialog", "presence")
"""Event packages whose bodies can be written anew. Others speak of the inside (reg, ua-profile) or are not open."""


def take(body: BodyTranslator, content: Content) -> bool:
    """Give a body to its translator. BodyRefused with what is wrong."""
    if content.media_type != body.content_type:
        raise BodyRefused(f"{content.media_type or 'no type'} is not {body.content_type}")
    try:
        return body.take(content)
    except ValueError as error:
        raise BodyRefused(str(error)) from None

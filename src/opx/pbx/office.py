"""What the node's rooms share: who is who, where an extension is reached, and how its address is written."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from opx.pbx.features.states import FeatureStates
from opx.pbx.registrar import Contact, PbxRegistrar
from opx.pbx.repository import ExtensionRecord
from opx.sip.address import NameAddr
from opx.sip.agent import UserAgent
from opx.sip.errors import RemoteProtocolError
from opx.sip.flow import host_port
from opx.sip.message import Request
from opx.sip.uri import Uri

MAX_DIALLED = 64
"""Characters; a code with a number and a PIN has some forty."""


@dataclass(frozen=True, slots=True)
class Party:
    """Who somebody at a phone is: the hot desk extension that is logged in there, else the phone's own."""

    number: str
    name: str
    phone: str
    """The extension that the phone registers as."""


@dataclass(frozen=True, slots=True)
class Office:
    """`say` hears in words what happens; nothing secret may be among them."""

    agent: UserAgent
    extensions: dict[str, ExtensionRecord]
    registrar: PbxRegistrar
    states: FeatureStates
    say: Callable[[str], None]

    @property
    def domain(self) -> Uri:
        return Uri.parse(f"sip:{host_port(self.agent.local)}")

    @property
    def contact(self) -> str:
        return f"sip:{host_port(self.agent.local)}"

    def party(self, record: ExtensionRecord) -> Party:
        """Who calls when the phone of `record` does."""
        guest = self.extensions.get(self.states.guest_at(record.number), record)
        return Party(guest.number, guest.name or guest.number, record.number)

    def contact_of(self, number: str) -> Contact | None:
        """Where calls for an extension ring; None when it has no phone, or has lent it to a hot desk extension."""
        host = self.states.of(number).phone
        if not host and self.states.guest_at(number):
            return None
        contacts = self.registrar.contacts(host or number)
        return contacts[-1] if contacts else None

    def name_of(self, number: str) -> str:
        record = self.extensions.get(number)
        return record.name if record is not None else ""

    def uri_of(self, number: str) -> Uri:
        """An extension's address of record."""
        domain = self.domain
        return Uri("sip", number, None, domain.host, domain.port)

    def address_of(self, number: str) -> str:
        """The same as From and To carry it."""
        return str(NameAddr(self.name_of(number), self.uri_of(number)))

    @staticmethod
    def number_of(uri: str) -> str:
        """The number in a URI that a phone gave, "" when it holds none."""
        try:
            return unquote(Uri.parse(uri).user or "")
        except RemoteProtocolError:
            return ""

    @staticmethod
    def dialled(request: Request) -> str:
        """The number that a request is for; # is written as %23 in a URI.

        RemoteProtocolError(404) for what nobody could dial.
        """
        number = unquote(request.target.user or "")
        if len(number) > MAX_DIALLED or not number.isprintable():
            raise RemoteProtocolError("that is no number", status=404)
        return number


def said(number: str) -> str:
    """A number that leads nowhere, for people: what stands behind a * or # may be a PIN that was dialled wrongly."""
    end = min((at for mark in "*#" if (at := number.find(mark, 1)) > 0), default=len(number))
    return number[:end] + ("..." if end < len(number) else "")

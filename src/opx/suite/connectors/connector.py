"""What every connector to a PBX can do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from opx.suite.sites.records import ReadExtension

Event = Literal["check-sync", "reboot", "aastra-xml"]


class ConnectorError(Exception):
    """The PBX could not be read or asked; the text says why, for people, and holds no password."""


class NotPossible(ConnectorError):
    """This kind of PBX, or the way it is connected, cannot do it."""


class OtherCertificate(ConnectorError):
    """The PBX shows another certificate than the trusted one; `fingerprint` is its SHA-256 in hex."""

    def __init__(self, fingerprint: str) -> None:
        super().__init__(
            "the PBX shows another certificate than the trusted one; compare its fingerprint, and trust it on the "
            "page of the PBX"
        )
        self.fingerprint = fingerprint


@dataclass(frozen=True, slots=True)
class PbxReading:
    """All that a PBX has. `software` is the release of each node that tells its own, by the node's address;
    `ct_gateway` is the CT Gateway's, "" when there is none."""

    extensions: tuple[ReadExtension, ...]
    software: Mapping[str, str] = field(default_factory=dict)
    ct_gateway: str = ""


class Connector(Protocol):
    """One PBX. Every method raises ConnectorError; `close` in the end."""

    async def read(self) -> PbxReading: ...

    async def notify(self, number: str, event: Event, body: str = "") -> int:
        """Notify the phone that is registered at the PBX as `number`; its answer, or 480 when there is none."""
        ...

    async def registered(self) -> frozenset[str]:
        """The numbers of extensions that a phone is registered as now."""
        ...

    async def check_pin(self, number: str, pin: str, phone: str) -> bool:
        """Whether a PIN is the hot desk extension's; a wrong one counts. `phone` is where it was typed, for the log."""
        ...

    async def close(self) -> None: ...

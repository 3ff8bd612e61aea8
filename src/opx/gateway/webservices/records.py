"""Consumers and tokens as the rest of the gateway sees them, and what they may do."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

MAX_NAME = 128
_CONSUMER_ID = re.compile(r"[A-Za-z0-9._~\-]{1,64}\Z")


class Permission(StrEnum):
    NONE = "none"
    READ = "read"
    READ_WRITE = "read-write"

    def allows(self, needed: "Permission") -> bool:
        order = (Permission.NONE, Permission.READ, Permission.READ_WRITE)
        return order.index(self) >= order.index(needed)


MANAGE_TOKEN = "Base/managetoken"
ICPS = "MBG/v1/icps"
DEVICES = "MBG/v1/devices"
NOTIFY = "OPX/v1/devices/notify"
REGISTRATIONS = "OPX/v1/devices/registrations"
FORWARDS = "OPX/v1/forwards"
ORIGIN = "OPX/v1/forwards/origin"

RESOURCES: Mapping[str, str] = {
    MANAGE_TOKEN: "Look at the own token; renew or drop it",
    ICPS: "The PBX nodes behind the gateway",
    DEVICES: "The SIP devices of the set side",
    NOTIFY: "Tell a device's phone to fetch its configuration, to restart, or to show a screen",
    REGISTRATIONS: "Where a device's phones are registered from",
    FORWARDS: "The port forwarding rules",
    ORIGIN: "Who is behind a forwarded connection",
}
"""What permissions are given for; the first three are the guide's."""


GUIDE_PERMISSIONS: Mapping[str, Permission] = {
    MANAGE_TOKEN: Permission.READ_WRITE,
    ICPS: Permission.READ,
    DEVICES: Permission.READ_WRITE,
}
"""What the guide gives to the MiVoice Office Application Suite (stage 4, step 1)."""


class WebServicesError(Exception):
    """What was asked cannot be done; the text says why. `field` is that of the spec at fault, "" when it is none."""

    def __init__(self, text: str, field: str = "") -> None:
        super().__init__(text)
        self.field = field


class Unknown(WebServicesError):
    """There is no such consumer or token, or not any more."""


class Outdated(WebServicesError):
    """Somebody else changed it meanwhile."""


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """A consumer as it is asked for. Resources that `permissions` leaves out are not allowed at all."""

    name: str
    consumer_id: str
    permissions: Mapping[str, Permission] = field(default_factory=dict)
    active: bool = True

    def check(self) -> None:
        """WebServicesError."""
        if not self.name.strip() or len(self.name) > MAX_NAME or not self.name.isprintable():
            text = f"is no name; expected 1 to {MAX_NAME} characters and no control characters"
            raise WebServicesError(f"{self.name!r} {text}", "name")
        if not _CONSUMER_ID.match(self.consumer_id):
            text = "is no ConsumerID; expected 1 to 64 letters, digits and ._~-"
            raise WebServicesError(f"{self.consumer_id!r} {text}", "consumer_id")
        for resource in self.permissions:
            if resource not in RESOURCES:
                text = f"there is no resource {resource!r}; expected one of {', '.join(RESOURCES)}"
                raise WebServicesError(text, "permissions")

    @property
    def grants(self) -> dict[str, Permission]:
        return {name: value for name, value in self.permissions.items() if value is not Permission.NONE}


@dataclass(frozen=True, slots=True)
class ConsumerRecord:
    """`permissions` names every resource there is."""

    id: int
    active: bool
    name: str
    consumer_id: str
    permissions: Mapping[str, Permission]
    created_at: float
    version: int

    def may(self, resource: str, needed: Permission) -> bool:
        return self.permissions.get(resource, Permission.NONE).allows(needed)


@dataclass(frozen=True, slots=True)
class TemporaryRecord:
    """A request for access that waits: `verifier` None as long as nobody has approved it."""

    id: int
    consumer: ConsumerRecord
    token: str
    source: str
    created_at: float
    expires_at: float
    verifier: str | None = field(repr=False)
    used: bool


@dataclass(frozen=True, slots=True)
class FinalRecord:
    """An access token. `last_used_at` None: never used."""

    id: int
    consumer: ConsumerRecord
    token: str
    created_at: float
    expires_at: float
    last_used_at: float | None
    last_source: str
    revoked: bool


@dataclass(frozen=True, slots=True)
class NewToken:
    """Handed out once."""

    token: str
    secret: str = field(repr=False)
    expires_at: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that was turned away, for the administrator. `consumer` is what it said that it was, true or not."""

    at: float
    source: str
    consumer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something: a console's user, `console` of the machine, a consumer. `source` is where from."""

    name: str
    source: str = ""

"""Phones as the rest of the suite sees them, and what may be stored of them."""

import re
import secrets
from dataclasses import dataclass, field
from enum import StrEnum

from opx.suite.sites.records import Credentials, SiteError

REALM = "OPX handsets"
"""What phones authenticate for (RFC 7616); it is part of the hashes in the database."""
DIGEST_USER_MAX = 40
DIGEST_PASSWORD_MAX = 20
"""What the handset takes (its administrator guide, appendix A, HTTP/HTTPS Authentication)."""
FACTORY_CREDENTIALS = Credentials("aastra", "aastra")
"""What a handset answers a challenge with while nothing else is set (the same place)."""
FACTORY_ADMIN_PASSWORD = "22222"
ADMIN_PASSWORD_DIGITS = 10
USER_PASSWORD_DIGITS = 6
"""The handset takes digits only, and falls back to its default for anything else."""
CODE_DIGITS = 10
"""Of a one-time code: 33 bits, against a handful of tries."""

_MAC = re.compile(r"[0-9A-F]{12}\Z")
_PLAIN = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


class State(StrEnum):
    """`NEW`: nobody has vouched for it. `APPROVED`: it may have secrets. `REVOKED`: never again, until approved."""

    NEW = "new"
    APPROVED = "approved"
    REVOKED = "revoked"


class Side(StrEnum):
    """Where a phone is: in the LAN, or outside behind the gateway."""

    LOCAL = "local"
    TELEWORKER = "teleworker"


@dataclass(frozen=True, slots=True)
class PhoneRecord:
    """A phone. Times in seconds since 1970. `side` is "" of one that was never seen; `digest` None before approval."""

    mac: str
    model: str = ""
    firmware: str = ""
    user_agent: str = ""
    state: State = State.NEW
    side: str = ""
    extension_id: int | None = None
    hot_desk_id: int | None = None
    digest: Credentials | None = field(default=None, repr=False)
    admin_password: str = field(default="", repr=False)
    user_password: str = field(default="", repr=False)
    bound_at: float | None = None
    bound_source: str = ""
    window_until: float | None = None
    window_source: str = ""
    source: str = ""
    first_seen: float | None = None
    last_seen: float | None = None
    delivered: str = ""
    delivered_at: float | None = None
    configuration_profile_id: int | None = None
    keymap_profile_id: int | None = None
    certificate_subject: str = ""
    version: int = field(default=1, compare=False)

    @property
    def used_extension_id(self) -> int | None:
        """The extension that the phone is now: the hot desk one that is logged in, or its own."""
        return self.hot_desk_id if self.hot_desk_id is not None else self.extension_id

    @property
    def approved(self) -> bool:
        return self.state is State.APPROVED

    def window_open(self, now: float) -> bool:
        """Whether the first delivery without the phone's digest may still take place."""
        return self.approved and self.bound_at is None and self.window_until is not None and now < self.window_until


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one request told of a phone; `delivered` is the version of the configuration that was given, "" if none."""

    mac: str
    at: float
    model: str
    firmware: str
    user_agent: str
    side: Side
    source: str = ""
    delivered: str = ""


@dataclass(frozen=True, slots=True)
class CodeRecord:
    """A one-time code as it stands, without itself."""

    extension_id: int
    created_at: float
    expires_at: float
    tries: int
    redeemed_by: str


def normal_mac(text: str) -> str:
    """12 upper-case hexadecimal digits of a MAC address in any usual form. SiteError."""
    mac = re.sub(r"[\s:.\-]", "", text).upper()
    if not _MAC.match(mac):
        raise SiteError(f"{text[:40]!r} is no MAC address; expected 12 hexadecimal digits", "mac")
    return mac


def pretty_mac(mac: str) -> str:
    """For people: in pairs, with colons."""
    return ":".join(mac[index : index + 2] for index in range(0, len(mac), 2))


def random_digest(mac: str) -> Credentials:
    """A phone's own user name and password, which nobody types."""
    return Credentials(f"opx-{mac.lower()}", "".join(secrets.choice(_PLAIN) for _ in range(DIGEST_PASSWORD_MAX)))


def random_digits(count: int) -> str:
    return "".join(secrets.choice("0123456789") for _ in range(count))

"""End users as the rest of the suite sees them, and what may be stored."""

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum

from opx.suite.sites.records import SiteError

MAX_NAME = 64
MAX_FURTHER = 20
"""Extensions of one user beside the primary one."""
MIN_PASSWORD = 8
"""NIST SP 800-63B section 5.1.1.1."""
MAX_PASSWORD = 256

_NAME = re.compile(r"[^\s\\/\"<>|:*?,;\x00-\x1f\x7f]{1,64}\Z")


class Role(StrEnum):
    """What a user may do; the names are the guide's product's."""

    ADMIN = "Admin"
    SUPERVISOR = "Supervisor"
    USER = "User"
    PHONE_MANAGER = "Phone Manager Only"
    PLAYBACK = "Phone Manager with Playback"
    RECORDING = "Recording Only"
    REPORTING = "Reporting Only"
    WALLBOARD = "Wallboard Only"
    DASHBOARD = "Dashboard Only"


@dataclass(frozen=True, slots=True)
class UserSpec:
    """A user as asked for. `extensions` are ids, the primary one first; `password_hash` None leaves the stored one."""

    name: str
    role: Role = Role.USER
    full_name: str = ""
    business_unit: str = ""
    client_profile: str = ""
    extensions: tuple[int, ...] = ()
    password_hash: str | None = field(default=None, repr=False)

    def check(self) -> None:
        """SiteError."""
        if not _NAME.match(self.name):
            raise SiteError(
                f'is no user name; expected 1 to {MAX_NAME} characters, no blanks and none of \\/"<>|:*?,;', "name"
            )
        for what in ("full_name", "business_unit", "client_profile"):
            if len(getattr(self, what)) > MAX_NAME:
                raise SiteError(f"expected at most {MAX_NAME} characters", what)
        if len(set(self.extensions)) < len(self.extensions):
            raise SiteError("an extension stands there twice", "extensions")
        if len(self.extensions) > MAX_FURTHER + 1:
            raise SiteError(f"expected at most {MAX_FURTHER} further ones", "extensions")

    def with_password(self, password_hash: str | None) -> "UserSpec":
        return replace(self, password_hash=password_hash)


@dataclass(frozen=True, slots=True)
class Owned:
    """An extension of a user's."""

    id: int
    pbx_id: int
    number: str


@dataclass(frozen=True, slots=True)
class UserRecord:
    """`extensions`: the primary one first. `has_password` False: the user cannot sign in anywhere."""

    id: int
    name: str
    role: Role
    full_name: str
    business_unit: str
    client_profile: str
    has_password: bool
    extensions: tuple[Owned, ...]
    version: int = field(default=1, compare=False)

    @property
    def primary(self) -> Owned | None:
        return self.extensions[0] if self.extensions else None


def weakness_of(password: str, name: str) -> str:
    """Why a user's password is not allowed, "" when it is."""
    if len(password) < MIN_PASSWORD:
        return f"it is too short; expected at least {MIN_PASSWORD} characters"
    if len(password) > MAX_PASSWORD:
        return f"it is too long; expected at most {MAX_PASSWORD} characters"
    if name and name.lower() in password.lower():
        return "it holds the user name"
    return ""

"""Profiles as the rest of the suite sees them, and what they may hold."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import get_args

from opx.suite.handsets.keys import STATES, Key, KeyType, Location
from opx.suite.handsets.parameters import Parameter, ParameterError
from opx.suite.sites.records import MAX_NAME, SiteError

MAX_KEYS = 400
"""Of one profile: all locations of the largest handset."""
MAX_PARAMETERS = 500
MAX_LABEL = 32
MAX_KEY_VALUE = 255
MAX_KEY_NUMBER = 84
MAX_DESCRIPTION = 255
LOCATIONS: tuple[Location, ...] = get_args(Location)
KEY_TYPES: tuple[KeyType, ...] = get_args(KeyType)

_LINE_TOP_ONLY = frozenset({"line"})
_NEED_VALUE = frozenset({"speeddial", "speeddialxfer", "speeddialconf", "blf", "blfxfer", "xml"})
_FORBIDDEN: tuple[tuple[str, str], ...] = (
    (
        r"(sip (line\d+ )?(proxy|outbound proxy|registrar|backup \w+( \w+)?|user name|auth name|password|mode)\b.*)",
        "the account comes from the SIP extension",
    ),
    (r"(admin password|user password)", "each phone has a random one of its own"),
    (r"http digest .*", "it is what the phone is known by"),
    (
        r"(download protocol|(tftp|ftp|http|https) (server|path|port|username|password)|firmware server|upgrade uri)",
        "where phones fetch their configuration comes from the Client Locations",
    ),
    (r"https (validate .*|user certificates)", "what phones trust comes from the suite's certificates"),
    (r"(xml application post list|sip xml notify event|contact rcs|inactive minet present)", "the suite sets it"),
    (r"(topsoftkey|softkey|prgkey|expmod)\d.*", "keys stand in keymap profiles"),
)
_FORBIDDEN_NAMES = [(re.compile(pattern + r"\Z"), reason) for pattern, reason in _FORBIDDEN]


class ProfileKind(StrEnum):
    KEYMAP = "keymap"
    CONFIGURATION = "configuration"


class Scope(StrEnum):
    """Whom a profile is for, the weakest first; single handsets have theirs on the Phones page."""

    DEFAULT = "default"
    MODEL = "model"
    EXTENSION = "extension"


@dataclass(frozen=True, slots=True)
class ProfileSpec:
    """A profile as it is asked for. `keys` are for a keymap, `parameters` and `hot_desking` for a configuration.

    `hot_desking` None leaves it to weaker levels; so does a key or parameter that is not there.
    """

    kind: ProfileKind
    name: str
    description: str = ""
    keys: tuple[Key, ...] = ()
    compress: bool = True
    parameters: tuple[Parameter, ...] = ()
    hot_desking: bool | None = None

    def check(self) -> None:
        """SiteError."""
        if not self.name.strip() or len(self.name) > MAX_NAME or not self.name.isprintable():
            raise SiteError(f"expected a name of at most {MAX_NAME} characters", "name")
        if len(self.description) > MAX_DESCRIPTION:
            raise SiteError(f"expected at most {MAX_DESCRIPTION} characters", "description")
        check_keys(self.keys)
        check_parameters(self.parameters)


@dataclass(frozen=True, slots=True)
class ProfileRecord:
    id: int
    kind: ProfileKind
    name: str
    description: str
    keys: tuple[Key, ...]
    compress: bool
    parameters: tuple[Parameter, ...]
    hot_desking: bool | None
    version: int = field(default=1, compare=False)

    @property
    def spec(self) -> ProfileSpec:
        return ProfileSpec(
            self.kind, self.name, self.description, self.keys, self.compress, self.parameters, self.hot_desking
        )


@dataclass(frozen=True, slots=True)
class Use:
    """`target` is "" of the default, a model's name, or an extension's id."""

    kind: ProfileKind
    scope: Scope
    target: str
    profile_id: int


def check_keys(keys: Sequence[Key]) -> None:
    """SiteError; its field is `key-LOCATION-NUMBER`."""
    if len(keys) > MAX_KEYS:
        raise SiteError(f"expected at most {MAX_KEYS} keys")
    for key in keys:
        problem = key_problem(key)
        if problem:
            raise SiteError(problem, f"key-{key.location}-{key.number}")
    if len({key.place for key in keys}) < len(keys):
        raise SiteError("a key stands there twice")


def key_problem(key: Key) -> str:
    """Why a key cannot be, "" when it can."""
    if key.location not in LOCATIONS or not 1 <= key.number <= MAX_KEY_NUMBER:
        return "there is no such key"
    if key.type not in KEY_TYPES:
        return f"{str(key.type)[:20]!r} is no type of key"
    if key.type in _LINE_TOP_ONLY and key.location == "bottom":
        return "a Line key cannot be a softkey below the display"
    if key.type in _NEED_VALUE and not key.value:
        return f"a {key.type} key needs a value"
    for name, text, most in (("value", key.value, MAX_KEY_VALUE), ("label", key.label, MAX_LABEL)):
        if len(text) > most or not (text.isprintable() or not text) or '"' in text:
            return f"expected a {name} of at most {most} printable characters without double quotes"
    if not 0 <= key.line <= 24:
        return "expected a line from 1 to 24"
    if set(key.states) - set(STATES):
        return f"expected states out of {', '.join(STATES)}"
    return ""


def check_parameters(parameters: Sequence[Parameter]) -> None:
    """SiteError at the field `parameters`."""
    if len(parameters) > MAX_PARAMETERS:
        raise SiteError(f"expected at most {MAX_PARAMETERS} parameters", "parameters")
    for parameter in parameters:
        try:
            parameter.check()
        except ParameterError as error:
            raise SiteError(str(error), "parameters") from None
        if reason := forbidden(parameter.name):
            raise SiteError(f"{parameter.name} cannot be set in a profile: {reason}", "parameters")
    names = [parameter.key for parameter in parameters]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise SiteError(f"{twice} stands there twice", "parameters")


def forbidden(name: str) -> str:
    """Why a parameter is not an administrator's to set; "" when it is."""
    plain = " ".join(name.lower().split())
    return next((reason for pattern, reason in _FORBIDDEN_NAMES if pattern.match(plain)), "")


def read_parameters(text: str) -> tuple[Parameter, ...]:
    """Lines of `name: value`, as in a handset's own file; `#` begins a comment line. SiteError at `parameters`."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, colon, value = line.lstrip("!^").partition(":")
        if not colon:
            raise SiteError(f"line {number} is no parameter; expected name: value", "parameters")
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = value[1:-1]
        found.append(Parameter(name.strip().lower(), value))
    return tuple(found)


def written(parameters: Iterable[Parameter]) -> str:
    """The same as lines."""
    return "\n".join(f"{parameter.name}: {parameter.value}" for parameter in parameters)

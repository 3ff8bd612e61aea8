"""SIP and SIPS URIs (RFC 3261 section 19.1); other schemes are carried as they are."""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from opx.sip.errors import LocalProtocolError, RemoteProtocolError
from opx.sip.grammar import Params, format_host, format_params, has_control, parse_params, split_host_port, unquote
from opx.sip.remembering import remembered

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*\Z")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f<>\"]")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_USER = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/#\x80-\U0010ffff]|%[0-9A-Fa-f]{2})*\Z")


def is_user(text: str) -> bool:
    """Whether `text` may stand before the @ of a SIP URI as it is."""
    return _USER.match(text) is not None


@dataclass(frozen=True, slots=True)
class Uri:
    """`user` is as it stands in the message, escapes included; `host` is without brackets.

    For a scheme other than sip and sips `opaque` holds all behind the colon, and the rest is empty. `headers` is the
    raw part behind "?".
    """

    scheme: str
    user: str | None = None
    password: str | None = None
    host: str = ""
    port: int | None = None
    params: Params = ()
    headers: str = ""
    opaque: str = ""

    def __post_init__(self) -> None:
        if _FORBIDDEN.search(self.host) or _FORBIDDEN.search(self.opaque) or _FORBIDDEN.search(self.user or ""):
            raise LocalProtocolError("a URI holds no white space, quotes or angle brackets")

    @classmethod
    def parse(cls, text: str) -> "Uri":
        """RemoteProtocolError when it is no URI."""
        return _recall(text)

    def __str__(self) -> str:
        if self.scheme not in ("sip", "sips"):
            return f"{self.scheme}:{self.opaque}"
        user = ""
        if self.user is not None:
            user = self.user + (f":{self.password}" if self.password is not None else "") + "@"
        port = f":{self.port}" if self.port is not None else ""
        headers = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{user}{format_host(self.host)}{port}{format_params(self.params)}{headers}"

    def param(self, name: str) -> str | None:
        """A parameter's value; "" when it has none, None when it is absent. Escapes in either are resolved."""
        for key, value in self.params:
            if key == name or ("%" in key and unescape(key).lower() == name):
                return "" if value is None else unescape(unquote(value))
        return None

    def has_param(self, name: str) -> bool:
        return self.param(name) is not None

    @property
    def transport(self) -> str | None:
        """The transport parameter in upper case, None when absent."""
        value = self.param("transport")
        return value.upper() if value else None


def unescape(text: str) -> str:
    """`text` with its %-escapes resolved (RFC 3261 section 19.1.2), unless control characters would come of it."""
    if "%" not in text:
        return text
    plain = unquote_to_bytes(text).decode("utf-8", "replace")
    return text if has_control(plain) else plain


def _parse(text: str) -> Uri:
    if _FORBIDDEN.search(text):
        raise RemoteProtocolError("a URI holds white space, quotes or angle brackets")
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if not colon or not _SCHEME.match(scheme):
        raise RemoteProtocolError(f"{text[:60]!r} is no URI")
    if scheme not in ("sip", "sips"):
        return Uri(scheme, opaque=rest)
    user: str | None = None
    password: str | None = None
    at = rest.rfind("@", 0, _end_of_hostport(rest))
    if at >= 0:
        user, separator, secret = rest[:at].partition(":")
        password = secret if separator else None
        rest = rest[at + 1 :]
        if not _USER.match(user):
            raise RemoteProtocolError("malformed user part in a URI")
    rest, _, headers = rest.partition("?")
    hostport, semicolon, params = rest.partition(";")
    host, port = split_host_port(hostport)
    return Uri(scheme, user, password, host, port, parse_params(params) if semicolon else (), headers)


_recall = remembered(_parse)


def _end_of_hostport(rest: str) -> int:
    # A user part may hold ";" and "?", so that the last "@" before a header part decides.
    question = rest.find("?")
    at = rest.rfind("@")
    if question >= 0 and at > question and rest.find("@", 0, question) >= 0:
        return question
    return len(rest)

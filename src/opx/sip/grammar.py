"""The pieces of RFC 3261 section 25 that several headers share."""

import re
import sys
from collections.abc import Iterable

from opx.sip.errors import RemoteProtocolError

Params = tuple[tuple[str, str | None], ...]
"""Parameters in order; a value is None for one without "=" and has its quotes still on."""

_COMPACT = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}

_SPELLINGS = {
    "call-id": "Call-ID",
    "cseq": "CSeq",
    "mime-version": "MIME-Version",
    "min-se": "Min-SE",
    "rack": "RAck",
    "rseq": "RSeq",
    "sip-etag": "SIP-ETag",
    "sip-if-match": "SIP-If-Match",
    "www-authenticate": "WWW-Authenticate",
}

MAX_KNOWN_NAMES = 1024
"""Header names remembered; strangers may invent any number of them."""

_canonical: dict[str, str] = {}
_display: dict[str, str] = {}
_starts: dict[str, str] = {}

lookup = _canonical.get
"""A spelling that was met before and is a token; the parser asks this first, for every line of every message."""

_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def canonical(name: str) -> str:
    """A header's name as programs use it: long form, lower case. `v` and `VIA` are both "via"."""
    known = _canonical.get(name)
    if known is None:
        lower = name.strip().lower()
        known = sys.intern(_COMPACT.get(lower, lower))
        if len(_canonical) < MAX_KNOWN_NAMES and is_token(known):
            _canonical[name] = known
    return known


def display_name(name: str) -> str:
    """A canonical name as it is written: "call-id" is "Call-ID"."""
    known = _display.get(name)
    if known is None:
        known = _SPELLINGS.get(name) or "-".join(part.capitalize() for part in name.split("-"))
        if len(_display) < MAX_KNOWN_NAMES:
            _display[name] = known
    return known


def line_start(name: str) -> str | None:
    """What a line of a canonical name begins with, such as "Call-ID: "; None for a name that is none."""
    start = _starts.get(name)
    if start is None and canonical(name) == name and is_token(name):
        start = f"{display_name(name)}: "
        if len(_starts) < MAX_KNOWN_NAMES:
            _starts[name] = start
    return start


def is_token(text: str) -> bool:
    return _TOKEN.match(text) is not None


def has_control(text: str) -> bool:
    """Whether a character is in `text` that no header value may hold; TAB may stand."""
    return _CONTROL.search(text) is not None


def quote(text: str) -> str:
    """`text` as a quoted-string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote(text: str) -> str:
    """What a quoted-string says; anything else as it is."""
    if len(text) >= 2 and text[0] == '"' and text[-1] == '"':
        return _ESCAPED.sub(r"\1", text[1:-1]) if "\\" in text else text[1:-1]
    return text


def split_outside(text: str, separator: str) -> list[str]:
    """Split at a separator that stands neither in a quoted string nor in angle brackets."""
    if separator not in text:
        return [text]
    if '"' not in text and "<" not in text:
        return text.split(separator)
    parts = []
    start = index = 0
    angle = False
    length = len(text)
    while index < length:
        char = text[index]
        if char == '"':
            quoted = _QUOTED.match(text, index)
            if quoted is None:
                break
            index = quoted.end()
            continue
        if char == "<":
            angle = True
        elif char == ">":
            angle = False
        elif char == separator and not angle:
            parts.append(text[start:index])
            start = index + 1
        index += 1
    parts.append(text[start:])
    return parts


def split_commas(value: str) -> list[str]:
    """The elements of a header that may hold several, stripped, empty ones left out."""
    return [part for part in (raw.strip() for raw in split_outside(value, ",")) if part]


def holds_token(values: Iterable[str], token: str) -> bool:
    """Whether a token stands in one of the lines of a header that lists tokens, such as Supported or Allow."""
    return any(token == item.strip() for value in values for item in value.split(","))


def parse_params(text: str) -> Params:
    """Parameters such as `;a;b=c`; `text` begins behind what they belong to. RemoteProtocolError when malformed."""
    params: list[tuple[str, str | None]] = []
    for part in split_outside(text, ";"):
        part = part.strip()
        if not part:
            continue
        name, equals, value = part.partition("=")
        name = name.strip().lower()
        if not is_token(name) and not name.startswith("["):
            raise RemoteProtocolError(f"malformed parameter {part[:40]!r}")
        params.append((name, value.strip() if equals else None))
    return tuple(params)


def format_params(params: Params) -> str:
    return "".join(f";{name}" if value is None else f";{name}={value}" for name, value in params)


def param_of(params: Params, name: str) -> str | None:
    """A parameter's value without quotes; "" when it has none, None when it is absent."""
    for key, value in params:
        if key == name:
            return "" if value is None else unquote(value)
    return None


def split_host_port(text: str) -> tuple[str, int | None]:
    """`host`, `host:port` or `[v6]:port`; the host without brackets. RemoteProtocolError when malformed."""
    text = text.strip()
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not _IPV6.match(host):
            raise RemoteProtocolError(f"malformed address {text[:60]!r}")
        # The grammar of RFC 3261 lets a third colon stand before an embedded IPv4 address (RFC 5118 section 4.10).
        host = host.replace(":::", "::")
        rest = rest.strip()
    else:
        host, colon, digits = text.partition(":")
        host = host.strip()
        rest = colon + digits
        if not _HOST.match(host):
            raise RemoteProtocolError(f"malformed host {text[:60]!r}")
    if not rest:
        return host, None
    digits = rest[1:].strip()
    if rest[0] != ":" or not (digits.isascii() and digits.isdigit()) or not 0 < len(digits) <= 5 or int(digits) > 65535:
        raise RemoteProtocolError(f"malformed port in {text[:60]!r}")
    return host, int(digits)


_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.\-]*)\Z")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]{2,45}\Z")


def format_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


_USUAL_NAMES = (
    *("Via", "From", "To", "Call-ID", "CSeq", "Contact", "Max-Forwards", "Content-Length", "Content-Type"),
    *("Authorization", "Proxy-Authorization", "WWW-Authenticate", "Proxy-Authenticate", "User-Agent", "Server"),
    *("Allow", "Supported", "Require", "Expires", "Route", "Record-Route", "Accept", "Subject", "Event", "Date"),
    *("Organization", "Priority", "Warning", "Retry-After", "Min-Expires", "P-Asserted-Identity", "Session-Expires"),
    *("Min-SE", "Reason"),
)
# Known from the start, so that no flood of invented names keeps the usual ones out.
for _name in _USUAL_NAMES:
    for _spelling in (_name, _name.lower()):
        line_start(canonical(_spelling))

"""Reading messages: tolerant of how things are written, strict about what could be used against us."""

import re

from opx.sip.address import NameAddr
from opx.sip.errors import RemoteProtocolError
from opx.sip.grammar import canonical, display_name, is_token, lookup
from opx.sip.headers import METHODS
from opx.sip.message import Request, Response
from opx.sip.remembering import remembered

MAX_HEAD_BYTES = 16 * 1024
"""Start line and headers."""
MAX_HEADERS = 256
MAX_BODY_BYTES = 64 * 1024

_PLAIN = bytes(code for code in range(256) if code >= 0x20 and code != 0x7F) + b"\t"
_FOLD = re.compile(r"\r?\n[ \t]+")
_NEWLINE = re.compile(r"\r?\n")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?')
_ESCAPED_CONTROL = re.compile(r"\\[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

MANDATORY = ("via", "from", "to", "call-id", "cseq")
SINGLE = ("from", "to", "call-id", "cseq", "max-forwards", "content-length", "expires")
"""Headers that may stand once only; a second one would let two readers see two messages."""


def parse(data: bytes | memoryview) -> Request | Response:
    """Read one datagram. RemoteProtocolError when it holds no message that can be used.

    What lies beyond Content-Length is left out (RFC 3261 section 18.3).
    """
    raw = bytes(data)
    if raw[:1] in (b"\r", b"\n"):
        raw = raw.lstrip(b"\r\n")
    end = raw.find(b"\r\n\r\n")
    if end >= 0:
        head, body = raw[:end], raw[end + 4 :]
    else:
        match = _HEAD_END.search(raw)
        if match is None:
            raise RemoteProtocolError("the headers do not end")
        head, body = raw[: match.start()], raw[match.end() :]
    message = parse_head(head)
    length = content_length(message)
    if length is not None:
        if length > len(body):
            answerable = message if isinstance(message, Request) else None
            raise RemoteProtocolError("the body is shorter than Content-Length says", request=answerable)
        body = body[:length]
    if len(body) > MAX_BODY_BYTES:
        raise RemoteProtocolError("the body is too large", status=513)
    message.body = body
    return message


def parse_head(head: bytes) -> Request | Response:
    """Read start line and headers, without the empty line that ends them."""
    if len(head) > MAX_HEAD_BYTES:
        raise RemoteProtocolError("the headers are too long", status=513)
    breaks = head.count(b"\r\n")
    if head.translate(None, _PLAIN) != b"\r\n" * breaks:
        return _parse_lines(_untangle(head))
    text = head.decode("utf-8", "surrogateescape")
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    return _parse_lines(text.split("\r\n"))


def _untangle(head: bytes) -> list[str]:
    """Lines that end in LF alone are read; any other control byte is not.

    Escaped in a quoted string it is lawful (RFC 3261 section 25.1) and becomes a space: we repeat headers to others.
    """
    text = _FOLD.sub(" ", head.decode("utf-8", "surrogateescape"))
    lines = _NEWLINE.split(text)
    for index, line in enumerate(lines):
        if "\\" in line:
            line = lines[index] = _STRING.sub(lambda string: _ESCAPED_CONTROL.sub(r"\\ ", string[0]), line)
        if "\r" in line or any((ord(char) < 0x20 and char != "\t") or char == "\x7f" for char in line):
            raise RemoteProtocolError("a control character stands in the headers")
    return lines


def _parse_lines(lines: list[str]) -> Request | Response:
    start = lines[0]
    del lines[0]
    if len(lines) > MAX_HEADERS:
        raise RemoteProtocolError("there are too many headers", status=513)
    names: list[str] = []
    first: dict[str, str] = {}
    broken = False
    for line in lines:
        name, colon, value = line.partition(":")
        known = lookup(name)
        if known is None:
            known = canonical(name)
            if not is_token(known):
                colon = ""
        if not colon:
            broken = True
            known = _UNREADABLE
        names.append(known)
        if known not in first:
            first[known] = value.strip()
    if broken:
        lines[:] = [line for line, name in zip(lines, names, strict=True) if name != _UNREADABLE]
        names = [name for name in names if name != _UNREADABLE]
        del first[_UNREADABLE]
    if start.startswith("SIP/"):
        if broken:
            raise RemoteProtocolError("a header line cannot be read")
        return _response(start, lines, names, first)
    request = _request(start, lines, names, first)
    if broken:
        raise RemoteProtocolError("a header line cannot be read", request=request)
    return request


def _request(start: str, lines: list[str], names: list[str], first: dict[str, str]) -> Request:
    parts = start.split(" ")
    if len(parts) != 3 or not parts[1]:
        # Answerable where the method can be told, so that an honest sender learns what is wrong.
        words = start.split()
        if len(words) > 2 and is_token(words[0]) and words[-1].upper().startswith("SIP/"):
            request = Request(words[0], "sip:invalid", lines, names, b"", first)
            raise RemoteProtocolError("malformed request line", request=request)
        raise RemoteProtocolError("malformed request line")
    method, uri, version = parts
    if not is_token(method):
        raise RemoteProtocolError("malformed request line")
    request = Request(method, uri, lines, names, b"", first)
    if version != "SIP/2.0" and version.upper() != "SIP/2.0":
        if version.upper().startswith("SIP/"):
            raise RemoteProtocolError("only SIP/2.0 is spoken here", status=505, request=request)
        raise RemoteProtocolError("malformed request line")
    return request


def _response(start: str, lines: list[str], names: list[str], first: dict[str, str]) -> Response:
    version, _, rest = start.partition(" ")
    code, _, reason = rest.partition(" ")
    if version.upper() != "SIP/2.0":
        raise RemoteProtocolError("only SIP/2.0 is spoken here", status=505)
    if len(code) != 3 or not (code.isascii() and code.isdigit()) or not "1" <= code[0] <= "6":
        raise RemoteProtocolError("malformed status line")
    return Response(int(code), reason, lines, names, b"", first)


def content_length(message: Request | Response) -> int | None:
    """What Content-Length says, None when it is absent. RemoteProtocolError when it says nothing sensible."""
    value = message.get("content-length")
    if value is None:
        return None
    answerable = message if isinstance(message, Request) else None
    if not (value.isascii() and value.isdigit()) or len(value) > 9:
        raise RemoteProtocolError("malformed Content-Length", request=answerable)
    return int(value)


def validate(message: Request | Response) -> None:
    """Check what every message must have. RemoteProtocolError with the status that a request is answered with."""
    try:
        _check(message)
    except RemoteProtocolError as error:
        if error.request is None and isinstance(message, Request):
            error.request = message
        raise


def _check(message: Request | Response) -> None:
    via, from_, to, call_id, _ = values = [message.get(name) for name in MANDATORY]
    if via is None or from_ is None or to is None or call_id is None or None in values:
        raise RemoteProtocolError(f"{display_name(MANDATORY[values.index(None)])} is missing")
    names = message.names
    if len(set(names)) != len(names):
        for name in SINGLE:
            if names.count(name) > 1:
                raise RemoteProtocolError(f"{display_name(name)} stands twice")
    if not _USUAL_VIA.match(via):
        _ = message.via
    if not is_usual_address(from_):
        NameAddr.parse(from_)
    if not is_usual_address(to):
        scheme = NameAddr.parse(to).uri.scheme
        if scheme not in ("sip", "sips") and message.cseq.method == "REGISTER":
            raise RemoteProtocolError("an address of record is a SIP URI")
    if not call_id or " " in call_id or "\t" in call_id:
        raise RemoteProtocolError("malformed Call-ID")
    cseq = message.cseq
    if isinstance(message, Request):
        if cseq.method != message.method:
            raise RemoteProtocolError("CSeq names another method", 400 if message.method in METHODS else 501)
        _ = message.max_forwards
        if not is_usual_uri(message.uri) and message.target.headers:
            raise RemoteProtocolError("a Request-URI holds no headers")


# What nearly every message looks like, told in one step; anything else is taken apart.
_HOST_PORT = (
    r"(?:[A-Za-z0-9_][A-Za-z0-9_.\-]*|\[[0-9A-Fa-f:.]{2,45}\])(?::(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}))?"
)
_WORD = r"[A-Za-z0-9\-_.!~*'%+]+"
_SIP_URI = rf"sips?:(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/]+@)?{_HOST_PORT}(?:;{_WORD}(?:={_WORD})?)*"
_USUAL_URI = re.compile(rf"{_SIP_URI}\Z")
_USUAL_ADDRESS = re.compile(rf'(?:"[^"\\]*"|[A-Za-z0-9\-. ]*+)\s*<{_SIP_URI}>(?:;{_WORD}(?:={_WORD})?)*\Z')
_USUAL_VIA = re.compile(rf"SIP/2\.0/(?:UDP|TCP|TLS) {_HOST_PORT}(?:;{_WORD}(?:={_WORD})?)*\Z")


@remembered
def is_usual_uri(text: str) -> bool:
    """Whether this is a SIP URI as nearly every one is: without headers, and nothing in it needs a closer look."""
    return _USUAL_URI.match(text) is not None


@remembered
def is_usual_address(text: str) -> bool:
    """The same for what stands in a From or To."""
    return _USUAL_ADDRESS.match(text) is not None


_UNREADABLE = ""
"""Stands for the name of a line that has none, which no canonical name is."""

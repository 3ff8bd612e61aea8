"""Session descriptions as text: tolerant in reading, exact in writing (RFC 8866 sections 5 and 9)."""

import ipaddress
import re
from dataclasses import dataclass, field
from functools import lru_cache

from opx.sdp.model import DIRECTIONS, Attribute, Connection, Direction, Media, Origin, SdpError, SessionDescription

MAX_BYTES = 16 * 1024
MAX_LINES = 512
MAX_MEDIA = 16
MAX_REMEMBERED = 2048
"""Attribute lines and addresses whose reading is remembered: all phones of a make write the same ones."""
MAX_REMEMBERED_LENGTH = 128
"""Characters; strangers may send longer ones, which then cost no memory."""

_TOKEN = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+\Z")
_PROTOCOL = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~/]+\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
"""Line breaks apart, so that a whole text is looked through at once."""
_HOST = re.compile(r"[A-Za-z0-9.\-_:%]{1,255}\Z")


@dataclass
class _Section:
    connection: Connection | None = None
    bandwidths: list[tuple[str, int]] = field(default_factory=list)
    attributes: list[Attribute] = field(default_factory=list)


def parse(data: bytes) -> SessionDescription:
    """Read a description. SdpError when it cannot be understood; unknown lines are left out."""
    if len(data) > MAX_BYTES:
        raise SdpError("the session description is too large")
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").rstrip("\n")
    if _CONTROL.search(text):
        raise SdpError("the session description holds a control character")
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        raise SdpError("the session description has too many lines")
    origin: Origin | None = None
    name = "-"
    version_seen = False
    session = _Section()
    times: list[str] = []
    heads: list[tuple[str, int, int, str, tuple[str, ...]]] = []
    sections: list[_Section] = []
    for line in lines:
        kind, equals, value = line.partition("=")
        kind = kind.strip()
        if equals != "=" or len(kind) != 1:
            raise SdpError(f"line {line[:40]!r} is none of a session description")
        current = sections[-1] if sections else session
        value = value.strip()
        if kind == "v":
            if value != "0":
                raise SdpError(f"version {value[:10]!r} is not understood")
            version_seen = True
        elif kind == "o":
            origin = _origin(value)
        elif kind == "s":
            name = value or "-"
        elif kind == "c":
            current.connection = _connection(value)
        elif kind == "b":
            _bandwidth(value, current)
        elif kind == "t" and not sections:
            times.append(" ".join(str(_number(part, "time")) for part in value.split()[:2]))
        elif kind == "a":
            current.attributes.append(_attribute(value) if len(value) <= MAX_REMEMBERED_LENGTH else _read(value))
        elif kind == "m":
            if len(heads) >= MAX_MEDIA:
                raise SdpError("the session description has too many media lines")
            heads.append(_media(value))
            sections.append(_Section())
    if not version_seen or origin is None:
        raise SdpError("the session description lacks its v= or o= line")
    direction = next(
        (DIRECTIONS[attribute.name] for attribute in session.attributes if attribute.name in DIRECTIONS),
        Direction.SENDRECV,
    )
    media = tuple(
        Media(
            kind,
            port,
            protocol,
            formats,
            count,
            section.connection,
            tuple(section.bandwidths),
            tuple(section.attributes),
            session.connection,
            direction,
        )
        for (kind, port, count, protocol, formats), section in zip(heads, sections, strict=True)
    )
    return SessionDescription(
        origin,
        name,
        session.connection,
        tuple(session.bandwidths),
        tuple(times) or ("0 0",),
        tuple(session.attributes),
        media,
    )


def encode(description: SessionDescription) -> bytes:
    """Write a description, its lines in the order of RFC 8866. SdpError for a value that would break a line."""
    origin = description.origin
    lines = [
        "v=0",
        f"o={origin.username} {origin.session_id} {origin.version} {_net(origin.connection)}",
        f"s={description.name}",
    ]
    if description.connection:
        lines.append(f"c={_net(description.connection)}")
    lines.extend(f"b={kind}:{value}" for kind, value in description.bandwidths)
    lines.extend(f"t={time}" for time in description.times)
    lines.extend(_attribute_line(attribute) for attribute in description.attributes)
    for media in description.media:
        count = f"/{media.port_count}" if media.port_count != 1 else ""
        lines.append(f"m={media.kind} {media.port}{count} {media.protocol} {' '.join(media.formats)}")
        if media.connection:
            lines.append(f"c={_net(media.connection)}")
        lines.extend(f"b={kind}:{value}" for kind, value in media.bandwidths)
        lines.extend(_attribute_line(attribute) for attribute in media.attributes)
    text = "\n".join(lines)
    if _CONTROL.search(text) or text.count("\n") != len(lines) - 1:
        raise SdpError("a value of a session description holds a control character")
    return (text.replace("\n", "\r\n") + "\r\n").encode("utf-8")


def _net(connection: Connection) -> str:
    return f"IN {connection.family} {connection.address}"


def _attribute_line(attribute: Attribute) -> str:
    return f"a={attribute.name}" if attribute.value is None else f"a={attribute.name}:{attribute.value}"


def _number(text: str, what: str, largest: int = 2**64 - 1) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 20 or int(text) > largest:
        raise SdpError(f"{what} {text[:20]!r} is no number that fits")
    return int(text)


def _origin(value: str) -> Origin:
    parts = value.split()
    if len(parts) != 6:
        raise SdpError("malformed o= line")
    session_id = _number(parts[1], "session id") if parts[1].isdigit() else 0
    version = _number(parts[2], "session version") if parts[2].isdigit() else 0
    return Origin(parts[0], session_id, version, _connection(" ".join(parts[3:])))


def _connection(value: str) -> Connection:
    parts = value.split()
    if len(parts) != 3 or parts[0].upper() != "IN" or parts[1].upper() not in ("IP4", "IP6"):
        raise SdpError("malformed address line")
    # Multicast addresses carry a TTL and a count, which a call has no use for.
    return Connection(parts[1].upper(), _host(parts[2].partition("/")[0]))


@lru_cache(maxsize=MAX_REMEMBERED)
def _host(text: str) -> str:
    # What is too long for a name raises, and is not remembered.
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        if not _HOST.match(text):
            raise SdpError("malformed address") from None
        return text


def _bandwidth(value: str, section: _Section) -> None:
    kind, _, number = value.partition(":")
    if _TOKEN.match(kind) and number.isascii() and number.isdigit() and len(number) < 12:
        section.bandwidths.append((kind, int(number)))


def _read(value: str) -> Attribute:
    name, colon, content = value.partition(":")
    if not _TOKEN.match(name):
        raise SdpError("malformed attribute")
    return Attribute(name, content.strip() if colon else None)


_attribute = lru_cache(maxsize=MAX_REMEMBERED)(_read)


def _media(value: str) -> tuple[str, int, int, str, tuple[str, ...]]:
    parts = value.split()
    if len(parts) < 4 or not _TOKEN.match(parts[0]) or not _PROTOCOL.match(parts[2]):
        raise SdpError("malformed m= line")
    port, slash, count = parts[1].partition("/")
    for item in parts[3:]:
        if not _TOKEN.match(item):
            raise SdpError("malformed format in an m= line")
    return (
        parts[0],
        _number(port, "port", 65535),
        _number(count, "port count", 64) if slash else 1,
        parts[2],
        tuple(parts[3:]),
    )

"""What the gateway makes of one side's description for the other side.

Nothing is passed on unless it is named here: the codecs of the audio streams with their parameters. Addresses, ports,
names, candidates, keys and whatever else a phone may put in stay where they came from.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from opx.sdp.model import Attribute, Connection, Media, Origin, SdpError, SessionDescription

_ENCODING = re.compile(r"[A-Za-z0-9._\-]{1,32}/[0-9]{1,6}(/[0-9]{1,2})?\Z")
_SETTING = r"[A-Za-z0-9_\-]+(=[A-Za-z0-9_\-+,]*)?"
_FMTP = re.compile(rf"{_SETTING}([; ]\s*{_SETTING})*;?\Z")
"""Codec parameters; without dots, slashes and colons no address or host name can stand in one."""
MAX_PARAMETERS = 256
"""Characters of a codec's parameters."""
_EVENTS = re.compile(r"[0-9,\-]{1,64}\Z")
_PAYLOAD = re.compile(r"[0-9]{1,3}\Z")


@dataclass(frozen=True, slots=True)
class AttributePolicy:
    """What may pass, by kind of stream and profile. Streams of any other kind are refused with port 0."""

    kinds: frozenset[str] = frozenset(("audio",))
    protocols: frozenset[str] = frozenset(("RTP/AVP", "RTP/AVPF"))
    bandwidths: frozenset[str] = frozenset(("AS", "CT", "TIAS"))
    numbers: frozenset[str] = frozenset(("ptime", "maxptime"))
    """Attributes that hold one number."""


def rebuild(
    description: SessionDescription, *, address: str, port: int, origin: Origin, policy: AttributePolicy
) -> SessionDescription:
    """A new description with `address` and `port` (RTP; RTCP on the next) for its first stream that is carried.

    SdpError when nothing that it describes is carried. Streams keep their places, refused ones with port 0 (RFC 3264
    section 6).
    """
    if not description.media:
        raise SdpError("it has no media line")
    wanted = [media for media in description.media if media.port]
    if wanted and not any(_is_carried(media, policy) for media in wanted):
        raise SdpError(f"no stream of it is carried ({', '.join(f'{m.kind} {m.protocol}' for m in wanted[:4])})")
    streams = []
    carried = False
    for media in description.media:
        if not carried and media.port and _is_carried(media, policy):
            carried = True
            streams.append(_carried(media, port, policy))
        else:
            streams.append(_refused(media))
    return SessionDescription(origin, connection=Connection.to(address), media=tuple(streams))


def _is_carried(media: Media, policy: AttributePolicy) -> bool:
    return media.kind in policy.kinds and media.protocol in policy.protocols


def _refused(media: Media) -> Media:
    return Media(media.kind, 0, media.protocol, media.formats[:1] if _PAYLOAD.match(media.formats[0]) else ("0",))


def _carried(media: Media, port: int, policy: AttributePolicy) -> Media:
    formats = tuple(item for item in media.formats if _PAYLOAD.match(item) and int(item) < 128)
    if not formats:
        raise SdpError("its audio stream names no payload type")
    attributes: list[Attribute] = []
    maps = media.rtpmaps()
    parameters = dict(_split(value) for value in media.all("fmtp"))
    for payload in formats:
        content = parameters.get(payload, "")
        attributes.extend(
            _codec(payload, maps.get(payload, "")[:64], content if len(content) <= MAX_PARAMETERS else "")
        )
    for name in sorted(policy.numbers):
        value = media.first(name)
        if value is not None and value.isascii() and value.isdigit() and len(value) <= 4:
            attributes.append(Attribute(name, value))
    direction = media.direction
    if media.address == "0.0.0.0":
        # Hold as RFC 2543 had it: the one who writes it wants to receive nothing.
        direction = type(direction).of(direction.sends, False)
    attributes.append(Attribute(direction.value))
    bandwidths = tuple(pair for pair in media.bandwidths if pair[0] in policy.bandwidths)
    return Media(media.kind, port, media.protocol, formats, bandwidths=bandwidths, attributes=tuple(attributes))


@lru_cache(maxsize=1024)
def _codec(payload: str, encoding: str, content: str) -> tuple[Attribute, ...]:
    """What may pass of a codec; remembered, for all phones of a make write the same ones."""
    attributes = []
    if _ENCODING.match(encoding):
        attributes.append(Attribute("rtpmap", f"{payload} {encoding}"))
    if _is_harmless(content):
        attributes.append(Attribute("fmtp", f"{payload} {content}"))
    return tuple(attributes)


def _split(value: str) -> tuple[str, str]:
    payload, _, content = value.partition(" ")
    return payload, content.strip()


def _is_harmless(content: str) -> bool:
    if not content or len(content) > MAX_PARAMETERS:
        return False
    return _EVENTS.match(content) is not None or _FMTP.match(content) is not None

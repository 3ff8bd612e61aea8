"""Offer and answer of a plain user agent with one audio stream (RFC 3264)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from opx.sdp.model import Attribute, Connection, Direction, Media, Origin, SdpError, SessionDescription

STATIC = {"0": "PCMU/8000", "8": "PCMA/8000"}
"""Payload types that need no rtpmap (RFC 3551 section 6), of those we speak."""

PLAIN = frozenset(("RTP/AVP", "RTP/AVPF"))
"""Profiles without keys, of which each leg has its own (RFC 3551, RFC 4585)."""

TELEPHONE_EVENT = "telephone-event/8000"


@dataclass(frozen=True, slots=True)
class Agreement:
    """What both ends have settled on. `direction` is ours.

    `events` is the payload type that the other end wants for telephone events, `own_events` the one that we gave.
    """

    payload: int
    encoding: str
    remote: tuple[str, int]
    direction: Direction
    events: int | None = None
    own_events: int | None = None


def offer(
    address: str,
    port: int,
    *,
    origin: Origin,
    encodings: Sequence[str] = ("PCMU/8000", "PCMA/8000"),
    direction: Direction = Direction.SENDRECV,
) -> SessionDescription:
    """An offer of one audio stream with G.711 and telephone events."""
    payloads = {encoding: payload for payload, encoding in STATIC.items()}
    chosen = [(payloads[encoding], encoding) for encoding in encodings]
    return _describe(address, port, origin, [*chosen, ("101", TELEPHONE_EVENT)], direction)


def answer(
    offered: SessionDescription,
    address: str,
    port: int,
    *,
    origin: Origin,
    encodings: Sequence[str] = ("PCMU/8000", "PCMA/8000"),
    direction: Direction = Direction.SENDRECV,
) -> SessionDescription:
    """The answer to an offer: the offerer's first codec that we speak. SdpError when there is none."""
    streams = []
    taken = False
    for media in offered.media:
        spoken = _spoken(media, encodings) if media.kind == "audio" and media.port and not taken else []
        if not any(encoding != TELEPHONE_EVENT for _, encoding in spoken):
            streams.append(Media(media.kind, 0, media.protocol, media.formats[:1]))
            continue
        taken = True
        first = next(pair for pair in spoken if pair[1] != TELEPHONE_EVENT)
        events = [pair for pair in spoken if pair[1] == TELEPHONE_EVENT][:1]
        theirs = media.direction
        if media.address == "0.0.0.0":
            theirs = Direction.of(theirs.sends, False)
        ours = Direction.of(direction.sends and theirs.receives, direction.receives and theirs.sends)
        described = _describe(address, port, origin, [first, *events], ours).media[0]
        streams.append(described)
    if not taken:
        raise SdpError("no codec in common")
    return SessionDescription(origin, connection=Connection.to(address), media=tuple(streams))


def cross(one: SessionDescription, two: SessionDescription) -> tuple[SessionDescription, SessionDescription]:
    """The answers to two offers whose makers are each other's peers: first the one for the maker of `one`.

    Each gets the other's address, port and payload type for the codec that `one` likes best, without a further round.
    SdpError when they share no codec.
    """
    first, second = one.audio, two.audio
    if first is None or second is None or not first.port or not second.port:
        raise SdpError("the other end takes no audio")
    if first.protocol != second.protocol or first.protocol not in PLAIN:
        raise SdpError("no profile in common that needs no keys")
    spoken = [encoding for _, encoding in _named(second)]
    shared = [encoding for _, encoding in _named(first) if encoding in spoken]
    codec = next((encoding for encoding in shared if encoding != TELEPHONE_EVENT), None)
    if codec is None:
        raise SdpError("no codec in common")
    chosen = [codec, *[encoding for encoding in shared if encoding == TELEPHONE_EVENT][:1]]
    return _crossed(one, two, first, second, chosen), _crossed(two, one, second, first, chosen)


def _crossed(
    offered: SessionDescription, other: SessionDescription, mine: Media, theirs: Media, encodings: Sequence[str]
) -> SessionDescription:
    """The answer to `offered` that leads its stream `mine` to `theirs`; further streams are refused."""
    formats = [next(pair for pair in _named(theirs) if pair[1] == encoding) for encoding in encodings]
    direction = Direction.of(
        theirs.direction.sends and mine.direction.receives, theirs.direction.receives and mine.direction.sends
    )
    described = _describe(theirs.address, theirs.port, other.origin, formats, direction).media[0]
    carried = replace(described, protocol=mine.protocol)
    streams = [
        carried if media is mine else Media(media.kind, 0, media.protocol, media.formats[:1]) for media in offered.media
    ]
    return SessionDescription(other.origin, connection=Connection.to(theirs.address), media=tuple(streams))


def agree(ours: SessionDescription, theirs: SessionDescription) -> Agreement:
    """What an offer and its answer come to, either way round. SdpError when they share no audio."""
    mine, other = ours.audio, theirs.audio
    if mine is None or other is None or not mine.port or not other.port:
        raise SdpError("the other end takes no audio")
    known = [encoding for _, encoding in _named(mine)]
    common = [(payload, encoding) for payload, encoding in _named(other) if encoding in known]
    codecs = [pair for pair in common if pair[1] != TELEPHONE_EVENT]
    if not codecs:
        raise SdpError("no codec in common")
    events = next((int(payload) for payload, encoding in common if encoding == TELEPHONE_EVENT), None)
    receives = other.direction.receives and other.address != "0.0.0.0"
    direction = Direction.of(mine.direction.sends and receives, mine.direction.receives and other.direction.sends)
    own_events = next((int(payload) for payload, encoding in _named(mine) if encoding == TELEPHONE_EVENT), None)
    payload, encoding = codecs[0]
    return Agreement(int(payload), encoding, (other.address, other.port), direction, events, own_events)


def _named(media: Media) -> list[tuple[str, str]]:
    maps = media.rtpmaps()
    named = [(payload, maps.get(payload) or STATIC.get(payload, "")) for payload in media.formats]
    return [(payload, _normal(encoding)) for payload, encoding in named if encoding]


def _normal(encoding: str) -> str:
    name, _, rate = encoding.partition("/")
    if name.lower() == "telephone-event":
        return f"telephone-event/{rate}"
    return f"{name.upper()}/{rate.removesuffix('/1')}"


def _spoken(media: Media, encodings: Sequence[str]) -> list[tuple[str, str]]:
    return [pair for pair in _named(media) if pair[1] in encodings or pair[1] == TELEPHONE_EVENT]


def _describe(
    address: str, port: int, origin: Origin, codecs: Sequence[tuple[str, str]], direction: Direction
) -> SessionDescription:
    attributes = [Attribute("rtpmap", f"{payload} {encoding}") for payload, encoding in codecs]
    attributes += [Attribute("fmtp", f"{payload} 0-16") for payload, name in codecs if name == TELEPHONE_EVENT]
    attributes += [Attribute("ptime", "20"), Attribute(direction.value)]
    media = Media("audio", port, "RTP/AVP", tuple(payload for payload, _ in codecs), attributes=tuple(attributes))
    return SessionDescription(origin, connection=Connection.to(address), media=(media,))

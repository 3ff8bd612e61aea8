"""The parts of a session description."""

from dataclasses import dataclass, field
from enum import Enum


class SdpError(ValueError):
    """A description that cannot be read or used; the text says why."""


class Direction(Enum):
    """Seen by whoever wrote the description (RFC 3264 section 5.1)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        return self in (Direction.SENDRECV, Direction.RECVONLY)

    @classmethod
    def of(cls, sends: bool, receives: bool) -> "Direction":
        if sends:
            return cls.SENDRECV if receives else cls.SENDONLY
        return cls.RECVONLY if receives else cls.INACTIVE

    @property
    def inverse(self) -> "Direction":
        """The same stream seen from the other end."""
        return Direction.of(self.receives, self.sends)


DIRECTIONS = {direction.value: direction for direction in Direction}
"""By the name of the attribute."""


@dataclass(frozen=True, slots=True)
class Attribute:
    name: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """`family` is "IP4" or "IP6"."""

    family: str
    address: str

    @classmethod
    def to(cls, address: str) -> "Connection":
        return cls("IP6" if ":" in address else "IP4", address)


@dataclass(frozen=True, slots=True)
class Origin:
    username: str
    session_id: int
    version: int
    connection: Connection

    @classmethod
    def of(cls, address: str, session_id: int, version: int) -> "Origin":
        """An origin of our own."""
        return cls("-", session_id, version, Connection.to(address))


@dataclass(frozen=True, slots=True)
class Media:
    """An m= line with what belongs to it. `address` and `session_direction` are what counts where it says nothing."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    port_count: int = 1
    connection: Connection | None = None
    bandwidths: tuple[tuple[str, int], ...] = ()
    attributes: tuple[Attribute, ...] = ()
    session_connection: Connection | None = field(default=None, compare=False)
    session_direction: Direction = field(default=Direction.SENDRECV, compare=False)

    @property
    def address(self) -> str:
        """Where its packets are wanted; "" when the description says nothing."""
        connection = self.connection or self.session_connection
        return connection.address if connection else ""

    @property
    def direction(self) -> Direction:
        for attribute in self.attributes:
            if attribute.name in DIRECTIONS:
                return DIRECTIONS[attribute.name]
        return self.session_direction

    @property
    def held(self) -> bool:
        """Not both ways: a=sendonly and its like, or the address 0.0.0.0 of RFC 2543."""
        return self.direction is not Direction.SENDRECV or self.address == "0.0.0.0"

    def all(self, name: str) -> list[str]:
        """The values of all attributes of that name."""
        return [attribute.value or "" for attribute in self.attributes if attribute.name == name]

    def first(self, name: str) -> str | None:
        values = self.all(name)
        return values[0] if values else None

    def rtpmaps(self) -> dict[str, str]:
        """Payload type to encoding, such as {"0": "PCMU/8000"}; static ones only where they are written out."""
        maps = {}
        for value in self.all("rtpmap"):
            payload, _, encoding = value.partition(" ")
            maps[payload] = encoding.strip()
        return maps


@dataclass(frozen=True, slots=True)
class SessionDescription:
    origin: Origin
    name: str = "-"
    connection: Connection | None = None
    bandwidths: tuple[tuple[str, int], ...] = ()
    times: tuple[str, ...] = ("0 0",)
    attributes: tuple[Attribute, ...] = ()
    media: tuple[Media, ...] = ()

    @property
    def audio(self) -> Media | None:
        """The first audio stream that is not refused, else the first audio stream."""
        streams = [media for media in self.media if media.kind == "audio"]
        return next((media for media in streams if media.port), streams[0] if streams else None)

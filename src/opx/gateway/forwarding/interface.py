"""What a forwarding driver does: it puts routes in force and tells of them. Each works on Linux's own terms.

A driver never raises for a single rule: it says of each why it is not in force. The rules stay in force when the
gateway's process dies; an orderly stop takes them away.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol as Interface

from opx.gateway.forwarding.rules import Protocol, Route

Address = tuple[str, int]


class ForwardingError(Exception):
    """The driver as a whole cannot work; the text says why."""


@dataclass(frozen=True, slots=True)
class ForwardingPolicy:
    """What applies to all rules. Times in seconds; addresses are the gateway's."""

    outside: ipaddress.IPv4Address
    inside: ipaddress.IPv4Address
    connections: int
    """TCP connections and UDP flows at the same time; not of the kernel's driver."""
    connections_per_source: int
    """Those of one outside address."""
    idle_limit: float
    """A TCP connection on which nothing moves for so long ends."""
    half_close_limit: float
    """The same once one end has said that it sends no more."""
    connect_limit: float
    """How long the host may take to accept."""
    udp_idle_limit: float


@dataclass(frozen=True, slots=True)
class WantedRoute:
    """`key` is the rule's id, by which a driver answers."""

    key: int
    route: Route


@dataclass(frozen=True, slots=True)
class Traffic:
    """What passed by a rule since it came into force: `up` from outside to the host, `down` back; bytes.

    `refused` counts connections of strangers to `sources` and those over a limit. `open` None: not known.
    """

    connections: int = 0
    open: int | None = None
    bytes_up: int = 0
    bytes_down: int = 0
    refused: int = 0

    def __add__(self, other: "Traffic") -> "Traffic":
        both = None if self.open is None or other.open is None else self.open + other.open
        return Traffic(
            self.connections + other.connections,
            both,
            self.bytes_up + other.bytes_up,
            self.bytes_down + other.bytes_down,
            self.refused + other.refused,
        )


@dataclass(frozen=True, slots=True)
class Origin:
    """Who is behind a forwarded connection: its outside source, the gateway's port that it called, and the rule."""

    address: str
    port: int
    outside_port: int
    key: int | None


AskedOrigin = tuple[Address, Address | None]


def only_one(found: Sequence[Origin]) -> Origin | None:
    """The origin, where it is beyond doubt."""
    return found[0] if len({(one.address, one.port) for one in found}) == 1 else None


class ForwardingDriver(Interface):
    """`start` first, `stop` last; a driver that stops takes its rules away."""

    name: str

    async def start(self) -> None:
        """ForwardingError when it cannot work here at all."""

    async def stop(self) -> None: ...

    async def apply(self, wanted: Sequence[WantedRoute]) -> Mapping[int, str]:
        """Make exactly these be in force; returns why some are not, by key.

        A connection goes on where the route that it came by is unchanged, and ends otherwise. ForwardingError when
        nothing could be done.
        """

    async def in_force(self) -> Mapping[int, Route]:
        """What is in force now, looked up where it has its effect and not remembered. ForwardingError."""

    async def hindrances(self) -> Mapping[int, str]:
        """What outside of OPX keeps packets of a rule from passing, by key."""

    async def traffic(self) -> Mapping[int, Traffic]:
        """By key. ForwardingError."""

    async def origin(self, protocol: Protocol, source: Address, host: Address | None) -> Origin | None:
        """Whom a connection comes from that the LAN sees come from `source`.

        `host` is the address and port that it came to; without it a `source` that several connections share, which
        have not the same origin, is nobody's. ForwardingError.
        """

    async def origins(self, protocol: Protocol, asked: Sequence[AskedOrigin]) -> list[Origin | None]:
        """The same of many connections at once, each by its `source` and `host`, in their order. ForwardingError."""

"""What an operator wants forwarded: ports, their texts, and a rule of them. No driver, no database."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from opx.gateway.records import RepositoryError

MAX_PORT = 65535
MAX_DESCRIPTION = 255
MAX_SOURCES = 64
"""Source networks of one rule."""


class Protocol(StrEnum):
    TCP = "TCP"
    UDP = "UDP"


class ForwardError(RepositoryError):
    """A rule that cannot be; `field` names what is wrong with it, "" for the rule as a whole."""


@dataclass(frozen=True, slots=True, order=True)
class PortRange:
    """Ports from `first` to `last`, both in it."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int) and self.first <= port <= self.last

    def overlaps(self, other: "PortRange") -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class Ports:
    """One port, a list or ranges, in rising order, of which no two overlap."""

    ranges: tuple[PortRange, ...]

    @classmethod
    def of(cls, *ports: int) -> "Ports":
        return cls.joined(PortRange(port, port) for port in ports)

    @classmethod
    def joined(cls, ranges: Iterable[PortRange]) -> "Ports":
        made: list[PortRange] = []
        for part in sorted(ranges):
            # Neighbours stay apart, for that is how they were written; what overlaps is one.
            if made and part.first <= made[-1].last:
                made[-1] = PortRange(made[-1].first, max(made[-1].last, part.last))
            else:
                made.append(part)
        return cls(tuple(made))

    @classmethod
    def parse(cls, text: str) -> "Ports":
        """Read "8185", "8186, 8187" (or with "&", as the guide writes it) and "9000-9010". ForwardError."""
        return cls.joined(_range(part.strip()) for part in text.replace("&", ",").split(","))

    def __str__(self) -> str:
        return ", ".join(map(str, self.ranges))

    def __contains__(self, port: object) -> bool:
        return any(port in part for part in self.ranges)

    def __len__(self) -> int:
        return sum(part.last - part.first + 1 for part in self.ranges)

    def overlap(self, other: "Ports") -> PortRange | None:
        """The first stretch that both have."""
        for mine in self.ranges:
            for theirs in other.ranges:
                if mine.overlaps(theirs):
                    return PortRange(max(mine.first, theirs.first), min(mine.last, theirs.last))
        return None

    def each(self) -> Iterable[int]:
        for part in self.ranges:
            yield from range(part.first, part.last + 1)


def _range(text: str) -> PortRange:
    first, dash, last = (part.strip() for part in text.partition("-"))
    made = PortRange(_port(first, text), _port(last, text) if dash else _port(first, text))
    if made.first > made.last:
        raise ForwardError(f"{text!r} runs backwards; expected the lower port first", "ports")
    return made


def _port(text: str, whole: str) -> int:
    # isdigit alone takes other alphabets' digits, and int() more than that.
    if text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= MAX_PORT:
        return int(text)
    raise ForwardError(f"{whole!r} is no port; expected 1 to {MAX_PORT}, a list of them or FIRST-LAST", "ports")


def parse_address(text: str) -> ipaddress.IPv4Address:
    """The host that a rule leads to. ForwardError."""
    try:
        return ipaddress.IPv4Address(text.strip())
    except ValueError:
        raise ForwardError(f"{text!r} is no address; expected the destination host's IPv4 address", "host") from None


def parse_sources(text: str) -> tuple[ipaddress.IPv4Network, ...]:
    """Networks or addresses, with commas or spaces between them; none at all lets everyone in. ForwardError."""
    networks = []
    for part in text.replace(",", " ").split():
        try:
            networks.append(ipaddress.IPv4Network(part))
        except ValueError:
            raise ForwardError(
                f"{part!r} is no network; expected an IPv4 network such as 203.0.113.0/24, or an address", "sources"
            ) from None
    if len(networks) > MAX_SOURCES:
        raise ForwardError(f"{len(networks)} networks are too many; expected at most {MAX_SOURCES}", "sources")
    return tuple(ipaddress.collapse_addresses(networks))


@dataclass(frozen=True, slots=True)
class ForwardSpec:
    """A rule as it is wanted. `host` is the guide's Destination Host IP Address.

    `host_port` None: each port leads to the same one there; otherwise all lead to that one. `sources` empty: everyone.
    `forced` lets ports through that the guide wants closed.
    """

    protocol: Protocol
    ports: Ports
    host: ipaddress.IPv4Address
    host_port: int | None = None
    snat: bool = True
    sources: tuple[ipaddress.IPv4Network, ...] = ()
    description: str = ""
    enabled: bool = True
    forced: bool = False

    def __post_init__(self) -> None:
        if self.host_port is not None and not 1 <= self.host_port <= MAX_PORT:
            raise ForwardError(f"{self.host_port} is no port; expected 1 to {MAX_PORT}, or nothing", "host_port")
        if len(self.description) > MAX_DESCRIPTION or any(not char.isprintable() for char in self.description):
            raise ForwardError(f"expected one line of at most {MAX_DESCRIPTION} characters", "description")

    @property
    def sources_text(self) -> str:
        return ", ".join(map(str, self.sources))

    @property
    def target(self) -> str:
        return f"{self.host}:{self.host_port}" if self.host_port is not None else str(self.host)

    @property
    def label(self) -> str:
        return f"{self.protocol} {self.ports} to {self.target}"

    @property
    def route(self) -> "Route":
        """What decides on packets; the rest is for people."""
        return Route(self.protocol, self.ports, self.host, self.host_port, self.snat, self.sources)


@dataclass(frozen=True, slots=True)
class Route:
    """The part of a rule that a driver puts in force."""

    protocol: Protocol
    ports: Ports
    host: ipaddress.IPv4Address
    host_port: int | None
    snat: bool
    sources: tuple[ipaddress.IPv4Network, ...]

    def port_at_host(self, port: int) -> int:
        return self.host_port if self.host_port is not None else port

    def lets_in(self, source: str) -> bool:
        address = ipaddress.IPv4Address(source)
        return not self.sources or any(address in network for network in self.sources)


@dataclass(frozen=True, slots=True)
class Forward:
    """A rule that is kept. `version` rises with every change, so that a writer notices another one's."""

    id: int
    version: int
    spec: ForwardSpec

    def enabled(self, on: bool) -> ForwardSpec:
        """What it would be, switched on or off."""
        return replace(self.spec, enabled=on)

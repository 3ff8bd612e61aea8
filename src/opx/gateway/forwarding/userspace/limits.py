"""Who may have a connection: counts per source and in all, and the networks of a rule. No socket."""

import ipaddress
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

REMEMBERED = 10_000
"""Sources whose answer from a rule's networks is kept."""


@dataclass(slots=True)
class Tally:
    """What passed by a route."""

    connections: int = 0
    open: int = 0
    up: int = 0
    down: int = 0
    refused: int = 0


class ConnectionLimits:
    """`take` before a connection, `give_back` after it."""

    def __init__(self, total: int, per_source: int) -> None:
        self.total = total
        self.per_source = per_source
        self.used = 0
        self._by_source: dict[str, int] = {}

    def take(self, source: str) -> bool:
        mine = self._by_source.get(source, 0)
        if mine >= self.per_source or self.used >= self.total:
            return False
        self._by_source[source] = mine + 1
        self.used += 1
        return True

    def give_back(self, source: str) -> None:
        left = self._by_source[source] - 1
        if left:
            self._by_source[source] = left
        else:
            del self._by_source[source]
        self.used -= 1


class SourceFilter:
    """The networks that a rule lets in; none lets everyone in."""

    def __init__(self, networks: Sequence[ipaddress.IPv4Network]) -> None:
        self._masked = [(int(network.netmask), int(network.network_address)) for network in networks]
        self._known: dict[str, bool] = {}

    def allows(self, source: str) -> bool:
        if not self._masked:
            return True
        known = self._known.get(source)
        if known is None:
            (number,) = struct.unpack("!I", socket.inet_aton(source))
            known = any(number & mask == address for mask, address in self._masked)
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[source] = known
        return known

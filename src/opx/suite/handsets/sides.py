"""Where a request comes from: a teleworker's phone, one in the LAN, or neither (guide stage 1).

Port forwarding with SNAT lets every phone outside come from the gateway's inside address, and only those.
"""

import ipaddress
from collections.abc import Iterable

from opx.suite.handsets.records import Side

OWN_PREFIX = 16
"""Bits of the suite's own network, which belongs to the LAN whatever the setting says."""
MAX_REMEMBERED = 20_000


class Sides:
    """`gateway` is the gateway's inside address, "" as long as none is set."""

    def __init__(self, own: str, lan: Iterable[str], gateway: str = "") -> None:
        networks = [ipaddress.IPv4Network(network) for network in lan]
        self._networks = [*networks, ipaddress.IPv4Network(f"{own}/{OWN_PREFIX}", strict=False)]
        self.gateway = gateway
        self._known: dict[str, bool] = {}

    def side_of(self, address: str) -> Side | None:
        """None: it is not served."""
        if self.gateway and address == self.gateway:
            return Side.TELEWORKER
        inside = self._known.get(address)
        if inside is None:
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            inside = self._known[address] = self._inside(address)
        return Side.LOCAL if inside else None

    def _inside(self, address: str) -> bool:
        try:
            host = ipaddress.IPv4Address(address)
        except ValueError:
            return False
        return any(host in network for network in self._networks)

"""Flows: the ways by which messages reach a peer (RFC 5626 section 1)."""

from typing import NamedTuple

Address = tuple[str, int]
"""Host (an address, IPv6 without brackets) and port."""


class Flow(NamedTuple):
    """One way to one peer. For a connection, `serial` tells it from an earlier one between the same addresses.

    `local` is the address the owner listens on, also for a connection it opened itself: it is what Via and Contact
    name, so that the peer can come back when the connection is gone.
    """

    transport: str
    local: Address
    remote: Address
    serial: int = 0

    @property
    def reliable(self) -> bool:
        return self.transport != "UDP"

    def __str__(self) -> str:
        return f"{self.transport} {host_port(self.remote)}"


class Destination(NamedTuple):
    """Where a request goes when it belongs to no flow yet: a registrar or an ICP."""

    transport: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.transport} {host_port((self.host, self.port))}"


def host_port(address: Address) -> str:
    """`address` as it stands in a Via or URI, IPv6 in brackets."""
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

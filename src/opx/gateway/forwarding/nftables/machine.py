"""What there is to ask of this machine: which interface bears an address, and whether it routes."""

import array
import fcntl
import ipaddress
import socket
import struct
from pathlib import Path

from opx.gateway.forwarding.interface import ForwardingError

IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
SIOCGIFCONF = 0x8912
_ENTRY = struct.Struct("16s2xH4s16x")
"""struct ifreq of a 64-bit Linux: name; family, port, address."""
_ENTRIES = 4096
"""Addresses of this machine that are looked at."""


def interfaces() -> dict[ipaddress.IPv4Address, str]:
    """The interface of each IPv4 address of this network namespace."""
    room = array.array("B", bytes(_ENTRIES * _ENTRY.size))
    start, _ = room.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        answer = fcntl.ioctl(sock, SIOCGIFCONF, struct.pack("iP", len(room), start))
    (used,) = struct.unpack_from("i", answer)
    found = {}
    for at in range(0, used, _ENTRY.size):
        name, _, address = _ENTRY.unpack_from(room, at)
        # An alias has its label in the place of the interface's name.
        found[ipaddress.IPv4Address(address)] = name.rstrip(b"\0").decode().partition(":")[0]
    return found


def interface_of(address: ipaddress.IPv4Address, which: str) -> str:
    """ForwardingError when this machine has not that address."""
    found = interfaces().get(address)
    if found is None:
        raise ForwardingError(f"the gateway's {which} address {address} is not an address of this machine")
    return found


def interface_toward(host: ipaddress.IPv4Address) -> str | None:
    """The one by which this machine reaches a host, by its own routes. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((str(host), 9))
        except OSError:
            return None
        return interfaces().get(ipaddress.IPv4Address(sock.getsockname()[0]))


def routes() -> bool:
    """Whether this machine passes packets on at all."""
    return IP_FORWARD.read_text(encoding="ascii").strip() != "0"


def set_routing(on: bool) -> None:
    """ForwardingError."""
    try:
        IP_FORWARD.write_text("1" if on else "0", encoding="ascii")
    except OSError as error:
        raise ForwardingError(
            f"{IP_FORWARD} cannot be set: {error.strerror}; expected the right to, or net.ipv4.ip_forward = 1"
        ) from None

"""The kernel's table of connections, by netlink (linux/netfilter/nfnetlink_conntrack.h). IPv4, TCP and UDP.

`Entry` and the messages are plain values; `Conntrack` is the socket. A look-up by a whole tuple costs the kernel one
step; a dump reads everything.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from opx.gateway.forwarding.interface import Address, ForwardingError
from opx.gateway.forwarding.rules import Protocol

NETLINK_NETFILTER = 12
_GET, _DELETE = (1 << 8) | 1, (1 << 8) | 2
"""NFNL_SUBSYS_CTNETLINK with IPCTNL_MSG_CT_GET and _DELETE."""
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 0x2, 0x3
_NESTED = 0x8000
_TUPLE_ORIGINAL, _TUPLE_REPLY, _STATUS, _STATUS_MASK = 1, 2, 3, 26
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_IP_SOURCE, _IP_DESTINATION = 1, 2
_PROTO_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
_DST_NAT = 1 << 5
_HEADER = struct.Struct("=IHHII")
_GENERIC = struct.Struct("!BBH")
_ATTRIBUTE = struct.Struct("=HH")
RECEIVE = 256 * 1024
PROTOCOLS = {Protocol.TCP: socket.IPPROTO_TCP, Protocol.UDP: socket.IPPROTO_UDP}
_BY_NUMBER = {number: protocol for protocol, number in PROTOCOLS.items()}


@dataclass(frozen=True, slots=True)
class Tuple:
    """One direction of a connection."""

    protocol: Protocol
    source: Address
    destination: Address

    def reversed(self) -> "Tuple":
        return Tuple(self.protocol, self.destination, self.source)


@dataclass(frozen=True, slots=True)
class Entry:
    """A connection: as it arrived, and as the answers to it look."""

    original: Tuple
    reply: Tuple

    @property
    def target(self) -> Address:
        """Where it was sent on to."""
        return self.reply.source

    @property
    def seen_from(self) -> Address:
        """Where its target sees it come from."""
        return self.reply.destination


class Conntrack:
    """A netlink socket. ForwardingError when the kernel refuses."""

    def __init__(self) -> None:
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        except OSError as error:
            raise ForwardingError(f"conntrack cannot be asked: {error.strerror}") from None
        self._socket.settimeout(10.0)
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()

    def by_reply(self, reply: Tuple) -> Entry | None:
        """The connection whose answers look so."""
        return self._find(_TUPLE_REPLY, reply)

    def all(self, *, only_dnat: bool = False) -> Iterator[Entry]:
        """TCP and UDP connections. `only_dnat` is heeded by newer kernels; others tell of all."""
        mask = b""
        if only_dnat:
            mask = _attribute(_STATUS, struct.pack("!I", _DST_NAT)) + _attribute(
                _STATUS_MASK, struct.pack("!I", _DST_NAT)
            )
        self._send(_GET, _REQUEST | _DUMP, mask)
        for kind, body in self._messages(dump=True):
            if kind == (_GET & ~0xFF) and (entry := decode(body)) is not None:
                yield entry

    def delete(self, entry: Entry) -> bool:
        """Whether it was there."""
        self._send(_DELETE, _REQUEST | _ACK, encode_tuple(_TUPLE_ORIGINAL, entry.original))
        try:
            for _ in self._messages(dump=False):
                pass
        except FileNotFoundError:
            return False
        return True

    def _find(self, which: int, key: Tuple) -> Entry | None:
        self._send(_GET, _REQUEST | _ACK, encode_tuple(which, key))
        found = None
        try:
            for _, body in self._messages(dump=False):
                found = decode(body) or found
        except FileNotFoundError:
            return None
        return found

    def _send(self, kind: int, flags: int, attributes: bytes) -> None:
        self._number += 1
        body = _GENERIC.pack(socket.AF_INET, 0, 0) + attributes
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, self._number, 0) + body)

    def _messages(self, *, dump: bool) -> Iterator[tuple[int, bytes]]:
        """Kind and body, up to the acknowledgement or the end of the dump. FileNotFoundError, ForwardingError."""
        while True:
            try:
                data = self._socket.recv(RECEIVE)
            except OSError as error:
                raise ForwardingError(f"conntrack does not answer: {error}") from None
            at = 0
            while at + _HEADER.size <= len(data):
                length, kind, _, number, _ = _HEADER.unpack_from(data, at)
                body = data[at + _HEADER.size : at + length]
                at += (length + 3) & ~3
                if number != self._number:
                    continue
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    _raise(-struct.unpack_from("=i", body)[0])
                    if not dump:
                        return
                else:
                    yield kind, body


def _raise(number: int) -> None:
    if number == errno.ENOENT:
        raise FileNotFoundError
    if number == errno.EPERM:
        raise ForwardingError("this process has not the right to ask conntrack (CAP_NET_ADMIN)")
    if number:
        raise ForwardingError(f"conntrack refuses: {os.strerror(number)}")


# --- messages


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def encode_tuple(kind: int, value: Tuple) -> bytes:
    """As the attribute `kind`."""
    addresses = _attribute(_IP_SOURCE, socket.inet_aton(value.source[0])) + _attribute(
        _IP_DESTINATION, socket.inet_aton(value.destination[0])
    )
    ports = (
        _attribute(_PROTO_NUMBER, bytes([PROTOCOLS[value.protocol]]))
        + _attribute(_SOURCE_PORT, struct.pack("!H", value.source[1]))
        + _attribute(_DESTINATION_PORT, struct.pack("!H", value.destination[1]))
    )
    parts = _attribute(_TUPLE_IP | _NESTED, addresses) + _attribute(_TUPLE_PROTO | _NESTED, ports)
    return _attribute(kind | _NESTED, parts)


def attributes(data: bytes) -> dict[int, bytes]:
    """By kind. What is cut short ends them."""
    found = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            break
        found[kind & 0x3FFF] = data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    return found


def decode(body: bytes) -> Entry | None:
    """None for what is neither TCP nor UDP over IPv4."""
    if len(body) < _GENERIC.size or body[0] != socket.AF_INET:
        return None
    parts = attributes(body[_GENERIC.size :])
    original, reply = (_decode_tuple(parts.get(kind, b"")) for kind in (_TUPLE_ORIGINAL, _TUPLE_REPLY))
    return Entry(original, reply) if original is not None and reply is not None else None


def _decode_tuple(data: bytes) -> Tuple | None:
    parts = attributes(data)
    addresses, ports = attributes(parts.get(_TUPLE_IP, b"")), attributes(parts.get(_TUPLE_PROTO, b""))
    protocol = _BY_NUMBER.get((ports.get(_PROTO_NUMBER) or b"\0")[0])
    try:
        if protocol is None:
            return None
        return Tuple(
            protocol,
            (socket.inet_ntoa(addresses[_IP_SOURCE]), struct.unpack("!H", ports[_SOURCE_PORT])[0]),
            (socket.inet_ntoa(addresses[_IP_DESTINATION]), struct.unpack("!H", ports[_DESTINATION_PORT])[0]),
        )
    except (KeyError, OSError, struct.error):
        return None

"""Reading a file by TFTP (RFC 1350, with the options of RFC 2347 to 2349), without a socket but for `fetch`."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field

from opx.phone.handset.http import HttpError

BLOCK = 1428
"""Bytes of a block that fit into an Ethernet frame."""
DEFAULT_BLOCK = 512
MAX_FILE = 64 * 1024 * 1024
RETRY = 1.0
"""Seconds until the last packet is sent again."""
TRIES = 5
_READ, _DATA, _ACK, _ERROR, _OPTIONS = 1, 3, 4, 5, 6
NOT_FOUND = 1


class TftpError(HttpError):
    """`code` is the server's (RFC 1350 section 5); 0 for what it did not say itself."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


@dataclass(slots=True)
class Reading:
    """One transfer. `first` is what opens it; every packet of the server gives the next one to send, b"" for none."""

    name: str
    block: int = BLOCK
    done: bool = False
    _size: int = DEFAULT_BLOCK
    _expected: int = 1
    _length: int = 0
    _parts: list[bytes] = field(default_factory=list)

    @property
    def first(self) -> bytes:
        options = b"blksize\0" + str(self.block).encode() + b"\0"
        return struct.pack("!H", _READ) + self.name.encode() + b"\0octet\0" + options

    @property
    def content(self) -> bytes:
        return b"".join(self._parts)

    def receive(self, packet: bytes) -> bytes:
        """TftpError when the server refuses, or sends what is no TFTP."""
        if len(packet) < 4:
            raise TftpError("a packet is too short")
        kind, number = struct.unpack_from("!HH", packet)
        if kind == _ERROR:
            raise TftpError(packet[4:].split(b"\0")[0].decode("ascii", "replace") or f"error {number}", number)
        if kind == _OPTIONS:
            return self._take_options(packet[2:])
        if kind != _DATA:
            raise TftpError(f"a packet of kind {kind}")
        if number != self._expected & 0xFFFF:
            # A repeated block: its acknowledgement was lost.
            return _acknowledge(number) if self._expected > 1 else b""
        data = packet[4:]
        if len(data) > self._size:
            raise TftpError("a block is too long")
        self._parts.append(data)
        self._length += len(data)
        if self._length > MAX_FILE:
            raise TftpError("the file is too long")
        self._expected += 1
        self.done = len(data) < self._size
        return _acknowledge(number)

    def _take_options(self, data: bytes) -> bytes:
        if self._expected > 1:
            return b""
        texts = data.split(b"\0")
        options = {name.lower(): value for name, value in zip(texts[::2], texts[1::2], strict=False)}
        size = options.get(b"blksize", b"")
        if not size.isdigit() or not 8 <= int(size) <= self.block:
            raise TftpError("a block size that was not asked for")
        self._size = int(size)
        return _acknowledge(0)


def _acknowledge(number: int) -> bytes:
    return struct.pack("!HH", _ACK, number)


async def fetch(local: str, host: str, name: str, port: int = 69) -> bytes:
    """The file's content, asked for from an address of ours. TftpError; OSError when there is no way."""
    loop = asyncio.get_running_loop()
    reading = Reading(name)
    answered: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()

    class _Socket(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            answered.put_nowait((data, addr))

    transport, _ = await loop.create_datagram_endpoint(_Socket, local_addr=(local, 0))
    try:
        packet, to, server = reading.first, (host, port), None
        transport.sendto(packet, to)
        tries = 1
        while not reading.done:
            try:
                async with asyncio.timeout(RETRY):
                    data, sender = await answered.get()
            except TimeoutError:
                if tries == TRIES:
                    raise TftpError(f"{host} does not answer TFTP") from None
                tries += 1
                transport.sendto(packet, to)
                continue
            if sender[0] != host or server not in (None, sender):
                continue
            # The server goes on from a port of its own (RFC 1350 section 4).
            server = to = sender
            answer = reading.receive(data)
            if answer:
                packet, tries = answer, 1
                transport.sendto(packet, to)
        return reading.content
    finally:
        transport.close()

"""A call's SIP messages as a capture file that Wireshark and sngrep open (libpcap format, raw IP packets).

Every message is one UDP datagram with the addresses and the time that it really had, also one that came over TCP.
"""

import ipaddress
import struct
from collections.abc import Iterable

from opx.gateway.faults.messages import SipMessage

MEDIA_TYPE = "application/vnd.tcpdump.pcap"
_LINKTYPE_RAW = 101
_SNAPLEN = 65535
_UDP = 17
_MAX_DATA = 65507
"""What fits into one datagram; the rest of a larger message, which came over TCP, is left out."""


def encode(messages: Iterable[SipMessage]) -> bytes:
    """The whole file."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, _SNAPLEN, _LINKTYPE_RAW)]
    for message in messages:
        packet = _packet(message)
        seconds, micros = divmod(round(message.at * 1_000_000), 1_000_000)
        parts += (struct.pack("<IIII", seconds, micros, len(packet), len(packet)), packet)
    return b"".join(parts)


def _packet(message: SipMessage) -> bytes:
    source, target = (message.local, message.remote) if message.sent else (message.remote, message.local)
    from_, to = ipaddress.ip_address(source[0]), ipaddress.ip_address(target[0])
    data = message.data[: _MAX_DATA if from_.version == 4 else _MAX_DATA - 20]
    length = 8 + len(data)
    if from_.version == 4:
        pseudo = struct.pack("!4s4sxBH", from_.packed, to.packed, _UDP, length)
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + length, 0, 0x4000, 64, _UDP, 0, from_.packed, to.packed)
        head = head[:10] + struct.pack("!H", _checksum(head)) + head[12:]
    else:
        pseudo = struct.pack("!16s16sI3xB", from_.packed, to.packed, length, _UDP)
        head = struct.pack("!IHBB16s16s", 0x60000000, length, _UDP, 64, from_.packed, to.packed)
    ports = struct.pack("!HHH", source[1], target[1], length)
    # A checksum of zero would say that there is none (RFC 768).
    checksum = _checksum(pseudo + ports + b"\0\0" + data) or 0xFFFF
    return head + ports + struct.pack("!H", checksum) + data


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

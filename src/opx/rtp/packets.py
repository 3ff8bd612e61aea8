"""RTP packets (RFC 3550 section 5.1), and what a receiver counts (section 6.4.1, appendix A)."""

import struct
from dataclasses import dataclass

_HEADER = struct.Struct("!BBHII")
HEADER_BYTES = _HEADER.size


@dataclass(frozen=True, slots=True)
class Packet:
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False

    def encode(self) -> bytes:
        second = self.payload_type | (0x80 if self.marker else 0)
        return _HEADER.pack(0x80, second, self.sequence, self.timestamp, self.ssrc) + self.payload

    @classmethod
    def parse(cls, data: bytes) -> "Packet":
        """ValueError when it is no RTP."""
        if len(data) < HEADER_BYTES or data[0] >> 6 != 2:
            raise ValueError("no RTP packet")
        first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
        start = HEADER_BYTES + 4 * (first & 0x0F)
        if first & 0x10:
            if len(data) < start + 4:
                raise ValueError("an RTP header extension is cut off")
            start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
        end = len(data)
        if first & 0x20:
            end -= data[-1]
        if start > end:
            raise ValueError("an RTP packet is cut off")
        return cls(second & 0x7F, sequence, timestamp, ssrc, data[start:end], bool(second & 0x80))


class Reception:
    """Counts of one incoming stream. `jitter` in samples; `arrival` is given in seconds."""

    def __init__(self, rate: int = 8000) -> None:
        self._rate = rate
        self._ssrc: int | None = None
        self._first = 0
        self._highest = 0
        self._transit: float | None = None
        self.received = 0
        self.jitter = 0.0

    def note(self, packet: Packet, arrival: float) -> None:
        if packet.ssrc != self._ssrc:
            self._ssrc = packet.ssrc
            self._first = self._highest = packet.sequence
            self._transit = None
            self.received = 0
        self.received += 1
        ahead = (packet.sequence - self._highest) & 0xFFFF
        if ahead < 0x8000:
            self._highest += ahead
        transit = arrival * self._rate - packet.timestamp
        if self._transit is not None:
            self.jitter += (abs(transit - self._transit) - self.jitter) / 16
        self._transit = transit

    @property
    def expected(self) -> int:
        return self._highest - self._first + 1 if self._ssrc is not None else 0

    @property
    def lost(self) -> int:
        return max(0, self.expected - self.received)

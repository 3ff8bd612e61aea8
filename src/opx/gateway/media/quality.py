"""How well a stream arrives: loss and jitter from every sixteenth packet, and what the far end reports in RTCP.

A look at each packet would cost the relay a tenth of its speed and tell no more: sequence numbers count what is
missing between two looks, and the spread of transit times (RFC 3550 section 6.4.1) does not depend on how far apart
the packets are that are compared. What is lost behind the last look, sixteen packets at most, is not seen.
"""

from opx.gateway.media.interface import DirectionStats

SAMPLE_MASK = 0x0F
"""A packet is looked at when its number, from 1, has these bits 1: the 1st, the 17th, the 33rd ..."""
MAX_DROPOUT = 3000
"""A larger step in sequence numbers is a sender that began anew, no loss (RFC 3550 appendix A.1)."""
RATES = (8000, 16000, 48000, 32000, 44100, 90000)
"""Clock rates in ticks a second; the one is taken that time stamps go by."""
RATE_TOLERANCE = 0.1
MIN_SPAN = 0.15
"""Seconds between two looks from which a rate can be told."""
STEP = 1.0
"""Seconds: a transit that differs by more is a pause or a new clock, no jitter."""
SMOOTHING = 16
_SR, _RR = 200, 201


class StreamMeter:
    """One side's incoming stream; writes into `stats`."""

    __slots__ = (
        "_at",
        "_base",
        "_before",
        "_looks",
        "_received",
        "_seen",
        "_sequence",
        "_source",
        "_stamp",
        "_type",
        "rate",
        "stats",
    )

    def __init__(self, stats: DirectionStats) -> None:
        self.stats = stats
        self.rate = 0
        """Ticks a second of the time stamps; 0 until it is known."""
        self._source = b""
        self._type = -1
        self._sequence = 0
        self._seen = 0
        self._base = 0
        self._received = 0
        self._before = 0
        self._stamp = 0
        self._at = 0.0
        self._looks = 0

    def look(self, packet: bytearray, size: int, now: float) -> None:
        """Take the RTP header of a packet that was read at `now`, in seconds, and is counted in `stats` already."""
        if size < 12:
            return
        sequence = packet[2] << 8 | packet[3]
        stamp = int.from_bytes(packet[4:8])
        kind = packet[1] & 0x7F
        step = (sequence - self._sequence) & 0xFFFF
        if step >= 0x8000:
            step -= 0x10000
        if packet[8:12] != self._source or not -MAX_DROPOUT < step < MAX_DROPOUT:
            self._begin(bytes(packet[8:12]), sequence)
        elif step > 0:
            self._seen += step
            self._sequence = sequence
            missing = self._seen - self._base - (self.stats.packets - self._received)
            self.stats.lost = self._before + max(0, missing)
            if kind == self._type:
                self._compare(now - self._at, stamp - self._stamp)
        self._type, self._stamp, self._at = kind, stamp, now

    def _begin(self, source: bytes, sequence: int) -> None:
        self._source = source
        self._sequence = self._seen = self._base = sequence
        self._received = self.stats.packets
        self._before = self.stats.lost
        self._type = -1

    def _compare(self, elapsed: float, ticks: int) -> None:
        if ticks <= 0 or elapsed <= 0.0:
            return
        if not self.rate:
            if elapsed < MIN_SPAN:
                return
            measured = ticks / elapsed
            self.rate = next((rate for rate in RATES if abs(measured - rate) < rate * RATE_TOLERANCE), 0)
            if not self.rate:
                return
        difference = abs(elapsed - ticks / self.rate)
        if difference < STEP:
            self._looks = min(self._looks + 1, SMOOTHING)
            self.stats.jitter += (difference * 1000.0 - self.stats.jitter) / self._looks

    def report(self, packet: bytearray, size: int, rate: int) -> None:
        """Take what RTCP of this side says of the stream that it hears, whose time stamps go by `rate`."""
        kind = packet[1]
        start = 28 if kind == _SR else 8
        if kind not in (_SR, _RR) or not packet[0] & 0x1F or size < start + 24:
            return
        block = packet[start : start + 24]
        self.stats.told_lost = int.from_bytes(block[5:8], signed=True)
        self.stats.told_jitter = int.from_bytes(block[12:16]) * 1000.0 / (rate or RATES[0])

"""Keys as RTP carries them beside the audio (RFC 4733): one event per key, repeated and growing while it is held."""

import struct
from collections import deque
from dataclasses import dataclass

from opx.rtp.packets import Packet

KEYS = "0123456789*#ABCD"
"""By event number (section 3.2)."""
FRAME = 160
"""Timestamp units per packet: 20 ms at 8 kHz."""
PRESS_FRAMES = 5
"""A key is held 100 ms; detectors want 40 ms at least."""
END_PACKETS = 3
"""The last packet is sent three times, lest its loss make the key endless (section 2.5.1.4)."""
PAUSE_FRAMES = 4
"""Silence between two keys, 80 ms, by which old detectors tell them apart."""

_BODY = struct.Struct("!BBH")
_VOLUME = 10
"""-10 dBm0, what a telephone's keys have."""


@dataclass(frozen=True, slots=True)
class TelephoneEvent:
    """The body of one packet; `duration` in timestamp units so far."""

    number: int
    end: bool
    duration: int

    def encode(self) -> bytes:
        return _BODY.pack(self.number, (0x80 if self.end else 0) | _VOLUME, self.duration)

    @classmethod
    def parse(cls, body: bytes) -> "TelephoneEvent":
        """ValueError when it is none."""
        if len(body) < _BODY.size:
            raise ValueError("a telephone event is cut off")
        number, second, duration = _BODY.unpack_from(body)
        return cls(number, bool(second & 0x80), duration)


def event_number(key: str) -> int:
    """ValueError when no telephone has such a key."""
    number = KEYS.find(key.upper()) if len(key) == 1 else -1
    if number < 0:
        raise ValueError(f"{key!r} is no key of a telephone")
    return number


@dataclass(frozen=True, slots=True)
class Frame:
    """What to send in one tick. `first` asks for the marker bit; `start` is how many frames ago the key went down."""

    event: TelephoneEvent
    first: bool
    start: int


class KeySender:
    """The packets of keys that wait to be sent, one `next_frame` per 20 ms."""

    def __init__(self) -> None:
        self._keys: deque[int] = deque()
        self._frame = 0

    def press(self, keys: str) -> None:
        """Add keys. ValueError when one of them is none; then none is added."""
        self._keys.extend([event_number(key) for key in keys])

    @property
    def busy(self) -> bool:
        return bool(self._keys)

    def next_frame(self) -> Frame | None:
        """What goes out now; None in the pause behind a key."""
        number = self._keys[0]
        index = self._frame
        self._frame += 1
        if index < PRESS_FRAMES:
            return Frame(TelephoneEvent(number, False, (index + 1) * FRAME), index == 0, index)
        if index < PRESS_FRAMES + END_PACKETS:
            return Frame(TelephoneEvent(number, True, (PRESS_FRAMES + 1) * FRAME), False, index)
        if index + 1 >= PRESS_FRAMES + END_PACKETS + PAUSE_FRAMES:
            self._keys.popleft()
            self._frame = 0
        return None


class KeyReceiver:
    """Tells keys from the packets that repeat them: an event is known by its timestamp (section 2.2.1)."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None

    def note(self, packet: Packet) -> str | None:
        """The key that a packet is the first to tell of; None for repetitions and for events that are no keys."""
        event = TelephoneEvent.parse(packet.payload)
        this = (packet.ssrc, packet.timestamp)
        if self._last == this or (self._last is not None and self._older(this)):
            return None
        self._last = this
        return KEYS[event.number] if event.number < len(KEYS) else None

    def _older(self, this: tuple[int, int]) -> bool:
        """A packet of an earlier key that was late."""
        last = self._last
        return last is not None and last[0] == this[0] and (this[1] - last[1]) & 0xFFFFFFFF >= 0x80000000

"""Key presses in INFO requests: application/dtmf-relay and application/dtmf, as phones and PBXs send them.

No RFC defines them; where both ends know RFC 4733 the keys travel as RTP events instead.
"""

import re
from dataclasses import dataclass

RELAY = "application/dtmf-relay"
PLAIN = "application/dtmf"
DEFAULT_DURATION = 160
"""Milliseconds, where the sender says nothing."""
MAX_DURATION = 10_000
MAX_BODY = 128
"""Bytes; a key press needs some thirty."""

_SIGNAL = re.compile(r"(?:[0-9*#A-D]|1[0-6])\Z", re.IGNORECASE)
_BY_NUMBER = {"10": "*", "11": "#", "12": "A", "13": "B", "14": "C", "15": "D", "16": "!"}
"""Events of RFC 4733 section 3.2, which some phones write by number; 16 is the hook flash."""


@dataclass(frozen=True, slots=True)
class KeyPress:
    """`key` is one of 0-9, *, #, A-D, or ! for a hook flash; `duration` in milliseconds."""

    key: str
    duration: int = DEFAULT_DURATION


def parse_key(content_type: str, body: bytes) -> KeyPress | None:
    """The key press in an INFO, None when it is something else."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in (RELAY, PLAIN) or len(body) > MAX_BODY:
        return None
    text = body.decode("ascii", "replace").strip()
    if kind == PLAIN:
        return _press(text, "")
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            fields[name.strip().lower()] = value.strip()
    return _press(fields.get("signal", ""), fields.get("duration", ""))


def write_key(content_type: str, press: KeyPress) -> bytes:
    """The body of an INFO of that type."""
    if content_type.partition(";")[0].strip().lower() == PLAIN:
        return press.key.encode()
    return f"Signal={press.key}\r\nDuration={press.duration}\r\n".encode()


def _press(signal: str, duration: str) -> KeyPress | None:
    if signal != "!" and not _SIGNAL.match(signal):
        return None
    key = _BY_NUMBER.get(signal, signal.upper())
    plain = duration.isascii() and duration.isdigit() and len(duration) < 7
    return KeyPress(key, min(int(duration), MAX_DURATION) if plain else DEFAULT_DURATION)

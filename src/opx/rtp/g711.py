"""G.711 both laws by table (ITU-T G.711). PCM is 16-bit signed in the machine's order, as `array('h')` holds it."""

from __future__ import annotations

from array import array


def _ulaw_decode(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84) << ((code >> 4) & 7)
    return 0x84 - magnitude if code & 0x80 else magnitude - 0x84


def _alaw_decode(code: int) -> int:
    code ^= 0x55
    segment = (code >> 4) & 7
    value = (code & 0x0F) << 4
    value = value + 8 if segment == 0 else (value + 0x108) << (segment - 1)
    return value if code & 0x80 else -value


def _ulaw_encode(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32635) + 0x84
    segment = max(0, magnitude.bit_length() - 8)
    return ~(sign | (segment << 4) | ((magnitude >> (segment + 3)) & 0x0F)) & 0xFF


def _alaw_encode(sample: int) -> int:
    sign = 0x80 if sample >= 0 else 0
    magnitude = min(sample if sample >= 0 else -sample - 1, 32767)
    segment = max(0, magnitude.bit_length() - 8)
    mantissa = (magnitude >> (segment + 3 if segment else 4)) & 0x0F
    return (sign | (segment << 4) | mantissa) ^ 0x55


ULAW_SILENCE = 0xFF
ALAW_SILENCE = 0xD5

_DECODE_ULAW = [_ulaw_decode(code) for code in range(256)]
_DECODE_ALAW = [_alaw_decode(code) for code in range(256)]
_STEP = 4
"""The encoders' tables hold every fourth sample value: both laws' finest step is coarser."""
_ENCODE_ULAW = bytes(_ulaw_encode(sample) for sample in range(-32768, 32768, _STEP))
_ENCODE_ALAW = bytes(_alaw_encode(sample) for sample in range(-32768, 32768, _STEP))


def decode(payload: bytes, encoding: str) -> array[int]:
    """PCM samples of a payload; `encoding` is "PCMU/8000" or "PCMA/8000"."""
    table = _DECODE_ULAW if encoding == "PCMU/8000" else _DECODE_ALAW
    return array("h", [table[code] for code in payload])


def encode(samples: array[int], encoding: str) -> bytes:
    """The payload of PCM samples."""
    table = _ENCODE_ULAW if encoding == "PCMU/8000" else _ENCODE_ALAW
    return bytes([table[(sample + 32768) >> 2] for sample in samples])


def silence(samples: int, encoding: str) -> bytes:
    return bytes([ULAW_SILENCE if encoding == "PCMU/8000" else ALAW_SILENCE]) * samples

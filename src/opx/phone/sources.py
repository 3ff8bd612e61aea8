"""What phones play in a call."""

from __future__ import annotations

from array import array
from pathlib import Path

from opx.phone.media import Source
from opx.rtp import tones, wav
from opx.rtp.endpoint import FRAME_SAMPLES


def tone_source(hertz: float) -> Source:
    """A tone; with 0 Hz, silence."""
    if hertz:
        return lambda position: tones.sine(hertz, FRAME_SAMPLES, start=position)
    return lambda position: array("h", [0] * FRAME_SAMPLES)


def file_source(path: Path) -> Source:
    """A WAV file (8 kHz, mono, 16 bit), and silence after its end. OSError, ValueError."""
    samples = wav.read(path)

    def from_file(position: int) -> array[int]:
        frame = samples[position : position + FRAME_SAMPLES]
        return frame + array("h", [0] * (FRAME_SAMPLES - len(frame)))

    return from_file

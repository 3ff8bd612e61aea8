"""WAV files of 8 kHz mono 16-bit PCM, the form in which phones play and record."""

from __future__ import annotations

import sys
import wave
from array import array
from pathlib import Path

RATE = 8000


def read(path: Path) -> array[int]:
    """The samples of a file. ValueError when it is not 8 kHz mono 16-bit."""
    try:
        with wave.open(str(path), "rb") as file:
            if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, RATE):
                raise ValueError(f"{path}: must be mono, 16 bit, {RATE} Hz")
            samples = array("h", file.readframes(file.getnframes()))
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path}: no WAV file ({error})") from None
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def write(path: Path, samples: array[int]) -> None:
    copy = array("h", samples)
    if sys.byteorder == "big":
        copy.byteswap()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(copy.tobytes())

"""Sine tones and how strongly one is in a recording (Goertzel's algorithm)."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass

RATE = 8000
"""Samples per second."""
FRAME = 160
"""Samples of 20 ms."""


def sine(hertz: float, samples: int, *, start: int = 0, level: float = 0.5) -> array[int]:
    """`samples` of a tone, as from sample number `start`; `level` 1.0 is full scale."""
    step = 2 * math.pi * hertz / RATE
    peak = 32767 * level
    return array("h", [round(peak * math.sin(step * index)) for index in range(start, start + samples)])


@dataclass(frozen=True, slots=True)
class Tone:
    """Sine waves together, `on` seconds of them and `off` seconds of silence in turn; `level` 1.0 is full scale."""

    hertz: tuple[float, ...]
    on: float = 1.0
    off: float = 0.0
    level: float = 0.3

    def samples(self, position: int) -> array[int]:
        """A frame of 20 ms as from sample number `position`."""
        period = round((self.on + self.off) * RATE)
        if position % period >= round(self.on * RATE):
            return array("h", [0] * FRAME)
        waves = [sine(each, FRAME, start=position, level=self.level / len(self.hertz)) for each in self.hertz]
        return array("h", [sum(values) for values in zip(*waves, strict=True)])


CONFIRMATION = Tone((350.0, 440.0), on=0.1, off=0.1)
"""North America's confirmation and reorder tones, which phones and people tell apart."""
ERROR = Tone((480.0, 620.0), on=0.24, off=0.24)
MILLIWATT = Tone((1004.0,), level=0.7)
"""The telephone trade's test frequency; 0 dBm0 is about 3 dB below G.711's full scale."""


def strength(samples: array[int], hertz: float) -> float:
    """The share of a recording's energy that is in a tone: 1.0 for the pure tone, about 0 for anything else."""
    energy = sum(sample * sample for sample in samples)
    if not energy:
        return 0.0
    coefficient = 2 * math.cos(2 * math.pi * hertz / RATE)
    before = previous = 0.0
    for sample in samples:
        before, previous = previous, sample + coefficient * previous - before
    power = previous * previous + before * before - coefficient * previous * before
    return min(1.0, 2 * power / (len(samples) * energy))


def dominant(samples: array[int], candidates: Iterable[float], *, least: float = 0.5) -> float | None:
    """Which of the tones a recording holds, None when none has at least that share of its energy."""
    best = max(candidates, key=lambda hertz: strength(samples, hertz))
    return best if strength(samples, best) >= least else None

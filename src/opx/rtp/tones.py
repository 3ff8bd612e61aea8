"""Sine tones and how strongly one is in a recording (Goertzel's algorithm)."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable

RATE = 8000
"""Samples per second."""


def sine(hertz: float, samples: int, *, start: int = 0, level: float = 0.5) -> array[int]:
    """`samples` of a tone, as from sample number `start`; `level` 1.0 is full scale."""
    step = 2 * math.pi * hertz / RATE
    peak = 32767 * level
    return array("h", [round(peak * math.sin(step * index)) for index in range(start, start + samples)])


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

"""Bars over time as a picture that pages draw in place (SVG): no script, no colour of its own, and a text beside it."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 460, 170
LEFT, RIGHT, TOP, BOTTOM = 30, 4, 10, 24
"""Margins, in the picture's units."""
GAP = 1.0


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    label: str


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Geometry for the template `chart.html`. `peak` is the highest value, `known` whether there is any at all."""

    title: str
    bars: tuple[Bar, ...]
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    peak: float
    known: bool
    figures: tuple[tuple[str, str], ...]
    """The same by the hour, as text."""

    width, height, left, right, bottom = WIDTH, HEIGHT, LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM


def chart(title: str, samples: Iterable[tuple[float, float]], *, end: float, span: float, bars: int) -> Chart:
    """The highest of the `samples` (time and value) in each of `bars` equal parts of the `span` seconds before `end`.

    A part without any stays empty, which is not the same as a bar of no height.
    """
    start, part = end - span, span / bars
    highest: list[float | None] = [None] * bars
    for at, value in samples:
        index = int((at - start) / part)
        if 0 <= index < bars:
            highest[index] = max(value, highest[index] or 0.0)
    top = _round_up(max((value for value in highest if value is not None), default=0.0))
    wide = (WIDTH - LEFT - RIGHT) / bars
    high = HEIGHT - TOP - BOTTOM
    drawn = []
    for index, known in enumerate(highest):
        if known is not None:
            tall = high * known / top
            label = f"{_clock(start + index * part)}: {known:g}"
            drawn.append(Bar(LEFT + index * wide, TOP + high - tall, wide - GAP, tall, label))
    rows = tuple(Tick(TOP + high - high * value / top, f"{value:g}") for value in (0, top / 2, top))
    return Chart(
        title,
        tuple(drawn),
        rows,
        _hours(start, end),
        max((value for value in highest if value is not None), default=0.0),
        bool(drawn),
        _figures(highest, start, part),
    )


def _round_up(value: float) -> float:
    """The end of the scale: an even number, so that its half is whole, and not more than needed."""
    scale = 2
    while scale < value:
        scale = next(step for step in _steps() if step >= value)
    return float(scale)


def _steps() -> Iterable[int]:
    power = 1
    while True:
        yield from (2 * power, 4 * power, 6 * power, 10 * power)
        power *= 10


def _hours(start: float, end: float) -> tuple[Tick, ...]:
    """Every fourth full hour of this machine's clock."""
    found = []
    hour = start - start % 3600 + 3600
    while hour < end:
        if time.localtime(hour).tm_hour % 4 == 0:
            found.append(Tick(LEFT + (hour - start) / (end - start) * (WIDTH - LEFT - RIGHT), _clock(hour)))
        hour += 3600
    return tuple(found)


def _figures(highest: Sequence[float | None], start: float, part: float) -> tuple[tuple[str, str], ...]:
    by_hour: dict[str, float] = {}
    for index, value in enumerate(highest):
        if value is not None:
            at = start + index * part
            hour = time.strftime("%H:00", time.localtime(at))
            by_hour[hour] = max(value, by_hour.get(hour, 0.0))
    return tuple((hour, f"{value:g}") for hour, value in by_hour.items())


def _clock(at: float) -> str:
    return time.strftime("%H:%M", time.localtime(at))

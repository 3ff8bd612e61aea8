"""Colours can be told apart by everyone, in light and in dark (WCAG 2.2, success criteria 1.4.3 and 1.4.11)."""

import re

import pytest

from opx.web.shell import STATIC

TEXT = 4.5
"""Least contrast of text."""
PART = 3.0
"""Of what shows where a field or a state is."""
PAIRS = [
    *(("text", ground, TEXT) for ground in ("ground", "surface", "raised", "good-soft", "warn-soft", "bad-soft")),
    *(("muted", ground, TEXT) for ground in ("ground", "surface", "raised")),
    *(
        ("accent", ground, TEXT)
        for ground in ("ground", "surface", "accent-soft", "good-soft", "warn-soft", "bad-soft")
    ),
    *((kind, f"{kind}-soft", TEXT) for kind in ("good", "warn", "bad")),
    ("bad", "surface", TEXT),
    ("warn", "surface", TEXT),
    ("surface", "bad", TEXT),
    ("accent-text", "accent", TEXT),
    ("field-line", "surface", PART),
    ("accent", "raised", PART),
]


def palettes() -> dict[str, dict[str, str]]:
    text = (STATIC / "opx.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\n\s*\}", text, re.DOTALL)[:2]
    found = {
        name: dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part)) for name, part in (("light", light), ("dark", dark))
    }
    return {"light": found["light"], "dark": found["light"] | found["dark"]}


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def test_the_measure_is_right() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_every_pair_of_colours_has_contrast_enough(name: str) -> None:
    palette = palettes()[name]
    weak = {
        (upper, lower): round(contrast(palette[upper], palette[lower]), 2)
        for upper, lower, least in PAIRS
        if contrast(palette[upper], palette[lower]) < least
    }
    assert weak == {}

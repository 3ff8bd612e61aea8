"""Parties that do whatever comes to their mind, on a network that mixes, loses and doubles: see `support.shaking`."""

import pytest

from support.shaking import Shaker

SEEDS = 2
"""Of each kind; more were tried while this was written, and any seed is as good as another."""


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("kind", ["polite", "rude", "lossy"])
def test_nothing_breaks_and_nothing_is_left(kind: str, seed: int) -> None:
    shaker = Shaker(seed, rude=kind != "polite", lossy=kind == "lossy")
    shaker.play(60)
    shaker.settle()
    shaker.check()
    if kind != "lossy":
        shaker.check_answers()

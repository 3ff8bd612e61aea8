"""What short texts read as, remembered: the same contacts, targets and addresses come again and again."""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

MAX_REMEMBERED = 16_384
"""Texts of each kind. All kinds full of the worst texts come to 60 MB, of usual ones to a third of that."""
MAX_REMEMBERED_LENGTH = 128
"""Characters; strangers may send longer ones, which then cost no memory."""

T = TypeVar("T")


def remembered(read: Callable[[str], T]) -> Callable[[str], T]:
    """`read` with a memory. What it returns is shared, so it must not change; what it raises is not remembered."""
    known = lru_cache(maxsize=MAX_REMEMBERED)(read)

    def recall(text: str) -> T:
        return known(text) if len(text) <= MAX_REMEMBERED_LENGTH else read(text)

    return recall

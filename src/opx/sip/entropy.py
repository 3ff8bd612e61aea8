"""Random bytes taken from the system in bulk.

Tags, Call-IDs and nonces need a few of them many times a second; a system call for each was a tenth of what a
registration cost. They are as good as `os.urandom`'s and are given once.
"""

import os

BULK = 4096
"""Bytes taken at a time."""


class Entropy:
    """One stock of random bytes."""

    __slots__ = ("_at", "_stock")

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Give none of what is in stock any more, for a child process has the same."""
        self._stock = b""
        self._at = 0

    def take(self, count: int) -> bytes:
        """So many bytes, at most BULK."""
        end = self._at + count
        if end > len(self._stock):
            self._stock = os.urandom(BULK)
            self._at, end = 0, count
        taken = self._stock[self._at : end]
        self._at = end
        return taken


_entropy = Entropy()
os.register_at_fork(after_in_child=_entropy.forget)

random_bytes = _entropy.take


def random_hex(count: int) -> str:
    """So many random bytes in hex, for names that nobody may guess."""
    return random_bytes(count).hex()

"""PINs of hot desk extensions as they are kept: salted and slow to try (scrypt, RFC 7914)."""

import asyncio
import base64
import hashlib
import hmac
import os
from collections.abc import Callable

COST, BLOCK, PARALLEL = 2**14, 8, 1
"""16 MB and some 50 ms per try: a stolen database does not give four digits away in a moment."""
SALT_BYTES = 16
MIN_DIGITS, MAX_DIGITS = 4, 16
MAX_WAITING = 20
"""Tries that wait for one another, a second's work; who comes later is turned away like one with a wrong PIN."""


def hash_pin(pin: str) -> str:
    """ValueError when it is no PIN."""
    if not (pin.isascii() and pin.isdigit() and MIN_DIGITS <= len(pin) <= MAX_DIGITS):
        raise ValueError(f"a PIN is {MIN_DIGITS} to {MAX_DIGITS} digits")
    salt = os.urandom(SALT_BYTES)
    return "$".join(("scrypt", str(COST), str(BLOCK), str(PARALLEL), _text(salt), _text(_derive(pin, salt))))


def verify_pin(kept: str, pin: str) -> bool:
    """Whether `pin` is the one that `kept` was made of; takes as long when there is none."""
    parts = kept.split("$")
    if len(parts) != 6 or parts[0] != "scrypt":
        _derive(pin, bytes(SALT_BYTES))
        return False
    cost, block, parallel = (int(part) for part in parts[1:4])
    derived = _derive(pin, base64.b64decode(parts[4]), cost, block, parallel)
    return hmac.compare_digest(derived, base64.b64decode(parts[5]))


def _derive(pin: str, salt: bytes, cost: int = COST, block: int = BLOCK, parallel: int = PARALLEL) -> bytes:
    return hashlib.scrypt(pin.encode(), salt=salt, n=cost, r=block, p=parallel, maxmem=64 * 2**20, dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


class PinChecks:
    """Compares PINs beside the event loop, one after the other: a try must not hold up calls."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Semaphore(1)
        self._tasks: set[asyncio.Task[None]] = set()

    def check(self, kept: str, pin: str, done: Callable[[bool], None]) -> None:
        """`done` hears in the event loop whether `pin` is the one that was kept."""
        if len(self._tasks) >= MAX_WAITING:
            done(False)
            return

        async def compare() -> None:
            async with self._one_at_a_time:
                matches = await asyncio.to_thread(verify_pin, kept, pin)
            done(matches)

        task = asyncio.get_running_loop().create_task(compare())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

"""Pipes for splice(2). A direction has one only while bytes are on their way, so that few serve many connections."""

import contextlib
import fcntl
import os

F_SETPIPE_SZ = 1031


class PipePool:
    """At most `limit` pipes of about `size` bytes, which are used again and again."""

    def __init__(self, limit: int, size: int) -> None:
        self._left = limit
        self.size = size
        self._free: list[tuple[int, int]] = []

    def take(self) -> tuple[int, int] | None:
        """Reading and writing end of an empty pipe. None when all are in use; bytes are then copied."""
        if self._free:
            return self._free.pop()
        if not self._left:
            return None
        try:
            made = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        # Without the right to more it stays as large as the system lets it be.
        with contextlib.suppress(OSError):
            fcntl.fcntl(made[1], F_SETPIPE_SZ, self.size)
        self._left -= 1
        return made

    def give_back(self, pipe: tuple[int, int], empty: bool) -> None:
        """One with bytes in it is closed: they belong to nobody any more."""
        if empty:
            self._free.append(pipe)
        else:
            os.close(pipe[0])
            os.close(pipe[1])
            self._left += 1

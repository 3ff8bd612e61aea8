"""Which ports of the range are free."""

from collections import deque

from opx.gateway.media.interface import NoPorts


class PortPool:
    """Even ports of a range, each standing for itself and the next. A freed one rests before it is given again."""

    def __init__(self, first: int, last: int, reuse_delay: float) -> None:
        start = first + first % 2
        self._free: deque[int] = deque(range(start, last, 2))
        self._resting: deque[tuple[float, int]] = deque()
        self._reuse_delay = reuse_delay
        self.size = len(self._free)

    @property
    def used(self) -> int:
        """Ports that are not free, the resting ones included."""
        return self.size - len(self._free)

    def take(self, now: float) -> int:
        """The port that has been free for longest. NoPorts when there is none."""
        while self._resting and self._resting[0][0] <= now:
            self._free.append(self._resting.popleft()[1])
        if not self._free:
            raise NoPorts(f"all {self.size} pairs of media ports are in use")
        return self._free.popleft()

    def give_back(self, port: int, now: float) -> None:
        self._resting.append((now + self._reuse_delay, port))

    def set_aside(self, port: int, now: float) -> None:
        """A port that another program holds: to be tried again later."""
        self._resting.append((now + max(self._reuse_delay, 30.0), port))


def slices(first: int, last: int, workers: int) -> list[tuple[int, int]]:
    """The range cut into one part per worker, each beginning with an even port."""
    start = first + first % 2
    pairs = (last - start + 1) // 2
    parts = []
    for index in range(workers):
        begin = start + 2 * (pairs * index // workers)
        end = start + 2 * (pairs * (index + 1) // workers) - 1
        parts.append((begin, end))
    return parts

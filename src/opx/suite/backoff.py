"""How long to wait before the next try."""

import random
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BackOff:
    """Twice as long after each failure, from `least` to `most` seconds, and up to a quarter shorter by chance, so that
    many who failed together do not come back together."""

    least: float
    most: float
    chance: random.Random = field(default_factory=random.Random, repr=False)

    def seconds(self, failures: int) -> float:
        """After so many failures, 1 or more."""
        longest = min(self.least * 2.0 ** min(failures - 1, 30), self.most)
        return longest * self.chance.uniform(0.75, 1.0)

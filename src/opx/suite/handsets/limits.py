"""Who has been refused too often: by the true source, so that a guesser locks nobody else out. Sans I/O.

A source that is not known cannot be held apart from others behind the same gateway, and is not counted.
"""

from collections import OrderedDict

MAX_TRACKED = 20_000
"""Sources and phones remembered; those that were quiet for longest are forgotten."""


class Refusals:
    """Counts within a sliding `window` of seconds. `now` in seconds of any clock that does not go back."""

    def __init__(self, most: int, window: float) -> None:
        self._most = most
        self._window = window
        self._counted: OrderedDict[str, list[float]] = OrderedDict()

    def note(self, key: str, now: float) -> int:
        """One more; how many there are within the window. Nothing is counted for ""."""
        if not key:
            return 0
        recent = self._recent(key, now)
        recent.append(now)
        self._counted[key] = recent[-self._most - 1 :]
        self._counted.move_to_end(key)
        while len(self._counted) > MAX_TRACKED:
            self._counted.popitem(last=False)
        return len(self._counted[key])

    def too_many(self, key: str, now: float) -> bool:
        """Whether `most` is reached."""
        return bool(key) and len(self._recent(key, now)) >= self._most

    def forget(self, key: str) -> None:
        self._counted.pop(key, None)

    def _recent(self, key: str, now: float) -> list[float]:
        return [at for at in self._counted.get(key, ()) if at > now - self._window]


class Distinct:
    """How many different things one source has named within a window, such as unknown MACs."""

    def __init__(self, most: int, window: float) -> None:
        self._most = most
        self._window = window
        self._named: OrderedDict[str, dict[str, float]] = OrderedDict()

    def note(self, key: str, name: str, now: float) -> tuple[int, bool]:
        """How many there are with this one, and whether it is new and there was room for it. "" is never full."""
        if not key:
            return 0, True
        named = {other: at for other, at in self._named.get(key, {}).items() if at > now - self._window}
        fits = name in named or len(named) < self._most
        if fits:
            named[name] = now
        self._named[key] = named
        self._named.move_to_end(key)
        while len(self._named) > MAX_TRACKED:
            self._named.popitem(last=False)
        return len(named), fits

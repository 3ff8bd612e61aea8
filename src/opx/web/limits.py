"""Limits on signing in, per user and per source, so that nobody guesses and nobody is locked out by a guesser."""

import time
from collections.abc import Callable

MAX_TRACKED = 10_000
"""Users and sources remembered; the oldest are forgotten."""


class SignInLimits:
    """Failures within a `window` of seconds. Beyond `per_user` or `per_source` of them sign-ins are refused until the
    window has moved on. A source from which a user has signed in before is not held up by others' guessing at that
    user's name."""

    def __init__(
        self, per_user: int, per_source: int, window: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_user = per_user
        self._per_source = per_source
        self._window = window
        self._clock = clock
        self._failures: dict[tuple[str, str], list[float]] = {}
        self._known: dict[tuple[str, str], None] = {}

    def wait(self, user: str, source: str) -> float:
        """Seconds until a sign-in may be tried, 0 when at once."""
        of_source, own = self._keys(user, source)
        return max(self._wait(of_source, self._per_source), self._wait(own, self._per_user))

    def tried(self, user: str, source: str) -> None:
        """Counts as a failure at once, so that many tries at the same time count as many."""
        now = self._clock()
        for key in self._keys(user, source):
            recent = self._failures.pop(key, [])
            _make_room(self._failures)
            self._failures[key] = [at for at in recent if at > now - self._window] + [now]

    def succeeded(self, user: str, source: str) -> None:
        """The try just counted was none. What the source failed at before stays, for it may try other users."""
        for key in self._keys(user, source):
            if recent := self._failures.get(key):
                recent.pop()
        self._failures.pop(("pair", f"{user} {source}"), None)
        self._known.pop((user, source), None)
        _make_room(self._known)
        self._known[user, source] = None

    def _keys(self, user: str, source: str) -> list[tuple[str, str]]:
        own = ("pair", f"{user} {source}") if (user, source) in self._known else ("user", user)
        return [("source", source), own]

    def _wait(self, key: tuple[str, str], limit: int) -> float:
        now = self._clock()
        recent = [at for at in self._failures.get(key, ()) if at > now - self._window]
        return 0.0 if len(recent) < limit else recent[-limit] + self._window - now


def _make_room(held: dict[tuple[str, str], list[float]] | dict[tuple[str, str], None]) -> None:
    while len(held) >= MAX_TRACKED:
        del held[next(iter(held))]

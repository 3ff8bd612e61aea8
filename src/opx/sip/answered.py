"""Answers that went out without a transaction, kept to be repeated (RFC 3261 section 17.2.2)."""

from collections import OrderedDict

from opx.sip.flow import Flow

MAX_ANSWERS = 150_000
"""Whoever finds no room makes a transaction."""

Key = tuple[str, ...]


class Answered:
    """By transaction key the answer and where it went, for `lifetime` seconds: one look-up, and no timer for each."""

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        # The oldest first, for all live equally long.
        self._answers: OrderedDict[Key, tuple[float, Flow, bytes]] = OrderedDict()

    def has_room(self, now: float) -> bool:
        self._forget(now)
        return len(self._answers) < MAX_ANSWERS

    def keep(self, key: Key, flow: Flow, data: bytes, now: float) -> None:
        self._forget(now)
        self._answers[key] = (now + self._lifetime, flow, data)

    def find(self, key: Key, now: float) -> tuple[Flow, bytes] | None:
        known = self._answers.get(key)
        return (known[1], known[2]) if known is not None and known[0] > now else None

    def _forget(self, now: float) -> None:
        answers = self._answers
        while answers and next(iter(answers.values()))[0] <= now:
            answers.popitem(last=False)

"""Answers that went out without a transaction, kept to be repeated (RFC 3261 section 17.2.2)."""

from opx.sip.flow import Flow

PARTS = 2
"""Answers are forgotten part by part, each when all of it is too old."""
MAX_ANSWERS = 50_000
"""Answers in one part; whoever finds it full makes a transaction."""

Key = tuple[str, ...]


class Answered:
    """By transaction key the answer and where it went, for `lifetime` seconds: one look-up, and no timer for each."""

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        self._turned = 0.0
        # The newest first; the last one holds what is half forgotten.
        self._parts: list[dict[Key, tuple[float, Flow, bytes]]] = [{} for _ in range(PARTS + 1)]

    @property
    def full(self) -> bool:
        return len(self._parts[0]) >= MAX_ANSWERS

    def keep(self, key: Key, flow: Flow, data: bytes, now: float) -> None:
        self._turn(now)
        self._parts[0][key] = (now + self._lifetime, flow, data)

    def find(self, key: Key, now: float) -> tuple[Flow, bytes] | None:
        self._turn(now)
        for part in self._parts:
            known = part.get(key)
            if known is not None and known[0] > now:
                return known[1], known[2]
        return None

    def _turn(self, now: float) -> None:
        step = self._lifetime / PARTS
        late = int((now - self._turned) / step)
        if late > 0:
            self._turned += late * step
            for _ in range(min(late, len(self._parts))):
                self._parts.pop()
                self._parts.insert(0, {})

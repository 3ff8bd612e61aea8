"""What every extension has switched on, in memory; whoever keeps it hears of each change."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FeatureState:
    """One extension's features. An empty number means that the feature is off."""

    dnd: bool = False
    forward_all: str = ""
    forward_busy: str = ""
    forward_no_answer: str = ""
    new_messages: int = 0
    old_messages: int = 0
    pickup_group: str = ""
    pin: str = field(default="", repr=False)
    """As `pins.hash_pin` made it."""
    phone: str = ""
    """Where a hot desk extension is logged in: the extension that the phone registers as."""


Changed = Callable[[str, FeatureState, FeatureState], None]
"""Gets the number, the state before and the state now."""


class FeatureStates:
    """States by number. `watch` adds a listener; the first one keeps them in the database."""

    def __init__(self, states: Mapping[str, FeatureState]) -> None:
        self._states = dict(states)
        self._guests = {state.phone: number for number, state in states.items() if state.phone}
        self._listeners: list[Changed] = []

    def watch(self, listener: Changed) -> None:
        self._listeners.append(listener)

    def of(self, number: str) -> FeatureState:
        """The state; everything is off for a number that is not known."""
        return self._states.get(number, _OFF)

    def items(self) -> list[tuple[str, FeatureState]]:
        return list(self._states.items())

    def guest_at(self, phone: str) -> str:
        """The hot desk extension that is logged in at a phone, "" when there is none."""
        return self._guests.get(phone, "")

    def put(self, number: str, state: FeatureState) -> None:
        """Replace a state; nobody hears of it when nothing is different."""
        before = self.of(number)
        if state == before:
            return
        self._states[number] = state
        self._move(number, before.phone, state.phone)
        for listener in self._listeners:
            listener(number, before, state)

    def forget(self, number: str) -> None:
        """The extension was removed, and what was kept of it with it."""
        state = self._states.pop(number, _OFF)
        self._move(number, state.phone, "")

    def _move(self, number: str, before: str, after: str) -> None:
        if self._guests.get(before) == number:
            del self._guests[before]
        if after:
            self._guests[after] = number


_OFF = FeatureState()

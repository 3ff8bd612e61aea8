"""Forwarding, do not disturb and messages switched by code or API, and what is said of a change."""

from collections.abc import Callable
from dataclasses import replace

from opx.pbx.features.codes import Feature
from opx.pbx.features.states import FeatureState

MAX_MESSAGES = 99
"""Phones show two digits."""


def forward_problem(number: str, target: str, known: Callable[[str], bool]) -> str:
    """Why an extension cannot forward to a number, "" when it can."""
    if target == number:
        return f"{number} cannot be forwarded to itself"
    return "" if known(target) else f"there is no extension {target or '(none was given)'}"


def switched(
    number: str, state: FeatureState, feature: Feature, digits: str, known: Callable[[str], bool]
) -> FeatureState | None:
    """The state of an extension after its code was dialled; None when the code cannot be obeyed."""
    match feature:
        case Feature.FORWARD_ALL | Feature.FORWARD_BUSY | Feature.FORWARD_NO_ANSWER:
            return None if forward_problem(number, digits, known) else _forwarding(state, feature, digits)
        case Feature.FORWARD_ALL_OFF:
            return _forwarding(state, Feature.FORWARD_ALL, "")
        case Feature.FORWARD_BUSY_OFF:
            return _forwarding(state, Feature.FORWARD_BUSY, "")
        case Feature.FORWARD_NO_ANSWER_OFF:
            return _forwarding(state, Feature.FORWARD_NO_ANSWER, "")
        case Feature.DND | Feature.DND_OFF:
            return replace(state, dnd=feature is Feature.DND)
        case Feature.CLEAR_MESSAGES:
            return replace(state, new_messages=0, old_messages=0)
        case _:
            return None


def _forwarding(state: FeatureState, feature: Feature, target: str) -> FeatureState:
    match feature:
        case Feature.FORWARD_ALL:
            return replace(state, forward_all=target)
        case Feature.FORWARD_BUSY:
            return replace(state, forward_busy=target)
        case _:
            return replace(state, forward_no_answer=target)


def changes(before: FeatureState, after: FeatureState) -> list[str]:
    """What is different, in words; a PIN is not among them."""
    said = []
    if before.dnd != after.dnd:
        said.append(f"do not disturb {'on' if after.dnd else 'off'}")
    for name, text in _FORWARDS.items():
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            said.append(f"forwards {text} to {new}" if new else f"forwards {text} no more")
    if (before.new_messages, before.old_messages) != (after.new_messages, after.old_messages):
        said.append(f"{after.new_messages} new and {after.old_messages} old messages")
    if before.pickup_group != after.pickup_group:
        said.append(f"pickup group {after.pickup_group or 'none'}")
    if before.pin != after.pin:
        said.append("has a new PIN" if after.pin else "has no PIN any more")
    if before.phone != after.phone:
        said.append(f"logged in at {after.phone}" if after.phone else f"logged out of {before.phone}")
    return said


_FORWARDS = {
    "forward_all": "all calls",
    "forward_busy": "calls on busy",
    "forward_no_answer": "calls on no answer",
}

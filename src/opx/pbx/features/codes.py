"""The dial plan: which feature a dialled number means."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Feature(Enum):
    """The value is the name of its code in the settings."""

    FORWARD_ALL = "forward_all"
    FORWARD_ALL_OFF = "forward_all_off"
    FORWARD_BUSY = "forward_busy"
    FORWARD_BUSY_OFF = "forward_busy_off"
    FORWARD_NO_ANSWER = "forward_no_answer"
    FORWARD_NO_ANSWER_OFF = "forward_no_answer_off"
    DND = "dnd"
    DND_OFF = "dnd_off"
    PICKUP = "pickup"
    PICKUP_GROUP = "pickup_group"
    LEAVE_MESSAGE = "leave_message"
    CLEAR_MESSAGES = "clear_messages"
    LOG_IN = "log_in"
    LOG_OUT = "log_out"


TAKES_A_NUMBER = frozenset(
    (
        Feature.FORWARD_ALL,
        Feature.FORWARD_BUSY,
        Feature.FORWARD_NO_ANSWER,
        Feature.PICKUP,
        Feature.LEAVE_MESSAGE,
        Feature.LOG_IN,
    )
)
"""Features whose code is followed by more digits."""


@dataclass(frozen=True, slots=True)
class Dialled:
    """A feature and what was dialled behind its code. The digits of a log-in hold a PIN."""

    feature: Feature
    digits: str


class DialPlan:
    """`codes` by feature; a feature whose code is empty cannot be dialled."""

    def __init__(self, codes: Mapping[Feature, str]) -> None:
        # The longest code first, so that one may begin like another.
        self._codes = sorted(
            ((code, feature) for feature, code in codes.items() if code), key=lambda entry: len(entry[0]), reverse=True
        )

    def match(self, number: str) -> Dialled | None:
        """The feature that a number means, None when it is no code."""
        for code, feature in self._codes:
            if number == code or (number.startswith(code) and feature in TAKES_A_NUMBER):
                # Many phones send the # that ended the dialling.
                return Dialled(feature, number[len(code) :].removesuffix("#"))
        return None

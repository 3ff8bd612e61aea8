"""What administrators set for handsets beyond this room's own: configuration and keymap profiles, as typed inputs.

Levels are merged in the order default < model < handset. What the suite itself must be sure of (accounts, passwords,
addresses, trust) comes after all of them and cannot be overridden.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from opx.suite.handsets.keys import Key
from opx.suite.handsets.parameters import Parameter
from opx.suite.handsets.records import PhoneRecord, Side
from opx.suite.sites.records import ExtensionRecord


@dataclass(frozen=True, slots=True)
class Profiles:
    """What one phone is given: levels of parameters and of keys, the weakest first. `compress`: gaps between keys are
    removed."""

    parameters: Sequence[Sequence[Parameter]] = ()
    keys: Sequence[Sequence[Key]] = ()
    compress: bool = True


@dataclass(frozen=True, slots=True)
class PhoneView:
    """An approved phone as a profile source sees it.

    `base` is what all addresses of pages begin with, such as `https://203.0.113.1:8202/`, "" when there is none yet.
    """

    phone: PhoneRecord
    extension: ExtensionRecord | None
    model: str
    side: Side
    base: str


class ProfileSource(Protocol):
    """Answers from memory: it is asked while a phone waits. Whoever changes what it says publishes `topics.PHONES`."""

    def profiles(self, view: PhoneView) -> Profiles: ...


class NoProfiles:
    """Nothing beyond this room's own."""

    def profiles(self, view: PhoneView) -> Profiles:
        return Profiles()

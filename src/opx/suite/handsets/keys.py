"""The keys of handsets, typed: merged per key by level, fitted to what a model has, and made parameters of.

A keymap is not for one model: `top` are the keys beside the display (or, of models without one, the programmable keys),
`bottom` the softkeys below it. What a model has no room for is left out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from opx.suite.handsets.catalogue import Model
from opx.suite.handsets.parameters import Hold, Parameter

Location = Literal["top", "bottom", "expmod1", "expmod2", "expmod3"]
KeyType = Literal[
    "none", "line", "speeddial", "speeddialxfer", "speeddialconf", "blf", "blfxfer", "list", "xml", "dnd",
    "directory", "callers list", "redial", "services", "park", "pickup", "icom", "phonelock", "conf", "xfer",
    "callforward", "paging", "empty", "delete", "hotdesklogin", "discreetringing",
]  # fmt: skip
STATES = ("idle", "connected", "incoming", "outgoing", "busy")


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `line` 0 and `states` () leave the handset's own. Unless it is `free` the user cannot change it."""

    location: Location
    number: int
    type: KeyType
    value: str = ""
    label: str = ""
    line: int = 0
    states: tuple[str, ...] = ()
    free: bool = False

    @property
    def place(self) -> tuple[str, int]:
        return self.location, self.number


def merge_keys(*levels: Iterable[Key]) -> list[Key]:
    """Default, model, handset: per key the last level that has it stands. In the order of their places."""
    merged = {key.place: key for level in levels for key in level}
    return [merged[place] for place in sorted(merged)]


def compressed(keys: Sequence[Key]) -> list[Key]:
    """The same without gaps; keys of type `empty` are gaps that were meant."""
    placed: list[Key] = []
    for location in dict.fromkeys(key.location for key in keys):
        here = sorted((key for key in keys if key.location == location), key=lambda key: key.number)
        placed += [replace(key, number=number) for number, key in enumerate(here, start=1)]
    return placed


def parameters_of(keys: Iterable[Key], model: Model) -> list[Parameter]:
    """Those that the model has room for."""
    parameters: list[Parameter] = []
    for key in keys:
        name = _name(key, model)
        if name:
            parameters += _lines(key, name)
    return parameters


def _name(key: Key, model: Model) -> str:
    location = _LOCATIONS.get(key.location, key.location)
    if key.location == "top":
        location = model.line_keys
    if not 1 <= key.number <= model.keys(location):
        return ""
    return f"{location} key{key.number}" if location.startswith("expmod") else f"{location}{key.number}"


def _lines(key: Key, name: str) -> list[Parameter]:
    hold = Hold.FREE if key.free else Hold.LOCKED
    lines = [Parameter(f"{name} type", key.type, hold)]
    if key.value:
        lines.append(Parameter(f"{name} value", key.value, hold))
    if key.label:
        lines.append(Parameter(f"{name} label", key.label, hold))
    if key.line:
        lines.append(Parameter(f"{name} line", key.line, hold))
    if key.states:
        lines.append(Parameter(f"{name} states", " ".join(key.states), hold))
    if not key.free:
        lines.append(Parameter(f"{name} locked", True, hold))
    return lines


_LOCATIONS = {"bottom": "softkey"}

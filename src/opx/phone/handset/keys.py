"""A handset's programmable keys, as its configuration has them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from opx.phone.handset.models import Model
from opx.phone.handset.values import Values


class Place(StrEnum):
    TOP = "topsoftkey"
    SOFT = "softkey"
    PROGRAM = "prgkey"


@dataclass(frozen=True, slots=True)
class Key:
    """`states` are those of the phone in which a softkey is shown; empty: all."""

    place: Place
    number: int
    type: str
    label: str
    value: str
    line: int
    states: tuple[str, ...] = ()
    locked: bool = False

    @property
    def name(self) -> str:
        """What stands on it."""
        return self.label or self.value or f"{self.type} {self.number}"


_TYPED = re.compile(r"(topsoftkey|softkey|prgkey)(\d{1,2}) type")


def keys(values: Values, model: Model) -> list[Key]:
    """All keys that are in use, top keys first. A model without any line key shows Line 1 and Line 2 by itself."""
    places = {Place.TOP: model.top_keys, Place.SOFT: model.soft_keys, Place.PROGRAM: model.program_keys}
    found = []
    for name in values.names():
        typed = _TYPED.fullmatch(name)
        if typed is None or int(typed[2]) > places[Place(typed[1])]:
            continue
        key = _key(values, Place(typed[1]), int(typed[2]))
        if key is not None:
            found.append(key)
    order = list(Place)
    found.sort(key=lambda key: (order.index(key.place), key.number))
    if not any(key.type == "line" for key in found):
        place = Place.TOP if model.top_keys else Place.PROGRAM
        found = [Key(place, 0, "line", f"Line {n}", "", n) for n in (1, 2)] + found
    return found


def _key(values: Values, place: Place, number: int) -> Key | None:
    prefix = f"{place.value}{number}"
    kind = values.get(f"{prefix} type").strip().lower()
    if kind in ("", "none"):
        return None
    line = values.number(f"{prefix} line", 1)
    label = values.get(f"{prefix} label")
    if kind == "line" and not label:
        label = values.get(f"sip line{line} screen name") or f"Line {line}"
    states = tuple(values.get(f"{prefix} states").split())
    return Key(
        place,
        number,
        kind,
        label,
        values.get(f"{prefix} value"),
        line,
        states,
        values.locked(f"{prefix} type") or values.flag(f"{prefix} locked"),
    )

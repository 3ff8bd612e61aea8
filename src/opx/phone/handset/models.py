"""What the models of the family have: places for keys, lines, rows of the screen."""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT_VERSION = "6.4.0.140"
_MAC = re.compile(r"[0-9A-F]{12}")


@dataclass(frozen=True, slots=True)
class Model:
    """`top_keys` are `topsoftkey1` ...; a model without them has `prgkey1` ... `soft_keys` are `softkey1` ..."""

    name: str
    top_keys: int
    soft_keys: int
    program_keys: int
    lines: int
    rows: int
    """Of text on its screen, between title and softkeys."""


MODELS = {
    model.name: model
    for model in (
        Model("6905", 0, 0, 3, 2, 2),
        Model("6910", 0, 0, 8, 9, 3),
        Model("6915", 10, 18, 0, 24, 5),
        Model("6920", 10, 18, 0, 24, 6),
        Model("6930", 22, 24, 0, 24, 8),
        Model("6940", 24, 30, 0, 24, 10),
        Model("6970", 24, 30, 0, 24, 10),
    )
}
"""Key counts as open provisioners know them; softkeys and rows as far as data sheets tell."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which handset it is. `mac` is 12 upper-case hex digits."""

    mac: str
    model: Model

    @classmethod
    def of(cls, mac: str, model: str) -> Identity:
        """From what is printed on its bottom; ValueError."""
        plain = re.sub(r"[-:. ]", "", mac).upper()
        if not _MAC.fullmatch(plain):
            raise ValueError(f"{mac!r} is no MAC address; expected 12 hex digits")
        found = MODELS.get(model.strip().lower())
        if found is None:
            raise ValueError(f"there is no model {model!r}; there are {', '.join(MODELS)}")
        return cls(plain, found)

    def user_agent(self, version: str) -> str:
        """What it says of itself in HTTP requests; `version` is that of its SIP firmware."""
        dashed = "-".join(self.mac[at : at + 2] for at in range(0, 12, 2))
        return f"Mitel{self.model.name} MAC:{dashed} V:{version}-SIP"

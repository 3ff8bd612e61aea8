"""Releases of PBX software and CT Gateways, such as "6.3 SP1" and "5.0.64", and what the guide asks of them."""

import re
from dataclasses import dataclass

_RELEASE = re.compile(r"\s*v?(\d{1,4}(?:\.\d{1,6}){0,5})(?:\s*(?:SP|service pack)\s*(\d{1,3}))?\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Release:
    """`service_pack` None: the text names none."""

    numbers: tuple[int, ...]
    service_pack: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Release | None":
        """None when the text begins with no release."""
        match = _RELEASE.match(text)
        if match is None:
            return None
        numbers, pack = match.groups()
        return cls(tuple(int(number) for number in numbers.split(".")), int(pack) if pack else None)

    def reaches(self, least: "Release") -> bool | None:
        """Whether it is `least` or later; None when that cannot be told.

        A release with further numbers and no service pack, such as 6.3.11, may hold the service pack asked for or not.
        """
        length = len(least.numbers)
        own = (self.numbers + (0,) * length)[:length]
        if own != least.numbers:
            return own > least.numbers
        if least.service_pack is None:
            return True
        if self.service_pack is not None:
            return self.service_pack >= least.service_pack
        return None if any(self.numbers[length:]) else False


MIN_PBX = Release((6, 3), 1)
MIN_CT_GATEWAY = Release((5, 0, 64))
MIN_PBX_TEXT = "6.3 SP1"
MIN_CT_GATEWAY_TEXT = "5.0.64"
"""The guide, stage 4: "the MiVO 250 must be running at least 6.3 SP1 and any CT Gateway must be running at least
5.0.64"."""

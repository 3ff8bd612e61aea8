"""The handsets that can be provisioned, and how many keys of each kind they have.

Model names are those of the User-Agent and of the `<model>.cfg` file. The counts are those that other provisioners
write for these models; what is beyond a handset's count is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

MODULES = 3
"""Expansion modules that a handset takes, if any."""


@dataclass(frozen=True, slots=True)
class Model:
    """Keys by their name in the file: `top` is topsoftkey, `soft` softkey, `programmable` prgkey.

    `module_keys` are those of one expansion module, 0 when it takes none.
    """

    name: str
    top: int = 0
    soft: int = 0
    programmable: int = 0
    module_keys: int = 0
    lines: int = 9
    dual_image: bool = False
    """Whether it was sold with MiNET firmware, which stays on it beside the SIP one."""

    def keys(self, location: str) -> int:
        """How many there are of a location's: topsoftkey, softkey, prgkey, or `expmod1` to `expmod3`."""
        if location.startswith("expmod"):
            return self.module_keys if 1 <= int(location[6:]) <= MODULES else 0
        return {"topsoftkey": self.top, "softkey": self.soft, "prgkey": self.programmable}[location]

    @property
    def line_keys(self) -> str:
        """Where Line 1 and Line 2 come to stand."""
        return "topsoftkey" if self.top else "prgkey" if self.programmable else "softkey"


_M685 = 84
_M675 = 60

_MODELS = (
    Model("6905", programmable=3, lines=2, dual_image=True),
    Model("6910", programmable=8, dual_image=True),
    Model("6915", top=10, soft=6, lines=24, module_keys=_M685, dual_image=True),
    Model("6915d", top=10, soft=6, lines=24, module_keys=_M685, dual_image=True),
    Model("6920", top=10, soft=8, lines=24, module_keys=_M685, dual_image=True),
    Model("6920w", top=10, soft=8, lines=24, module_keys=_M685, dual_image=True),
    Model("6930", top=22, soft=12, lines=24, module_keys=_M685, dual_image=True),
    Model("6930w", top=22, soft=12, lines=24, module_keys=_M685, dual_image=True),
    Model("6940", top=24, soft=48, lines=24, module_keys=_M685, dual_image=True),
    Model("6940w", top=24, soft=48, lines=24, module_keys=_M685, dual_image=True),
    Model("6970", top=24, lines=24, dual_image=True),
    Model("6863i", programmable=3, lines=2),
    Model("6865i", programmable=8, module_keys=_M685, lines=24),
    Model("6867i", top=20, soft=18, module_keys=_M685, lines=24),
    Model("6869i", top=44, soft=24, module_keys=_M685, lines=24),
    Model("6873i", top=48, soft=24, module_keys=_M685, lines=24),
    Model("6730i", programmable=8, lines=6),
    Model("6731i", programmable=8, lines=6),
    Model("6735i", programmable=6, soft=20, module_keys=_M675),
    Model("6737i", top=10, soft=20, module_keys=_M675),
    Model("6739i", soft=55, module_keys=_M675),
    Model("6751i", lines=1),
    Model("6753i", programmable=6, module_keys=_M675),
    Model("6755i", programmable=6, soft=20, module_keys=_M675),
    Model("6757i", top=10, soft=20, module_keys=_M675),
)
MODELS: Mapping[str, Model] = {model.name: model for model in _MODELS}
SHORT_NAMES: Mapping[str, str] = {"51i": "6751i", "53i": "6753i", "55i": "6755i", "57i": "6757i"}
"""What early firmware calls itself."""


def model_of(name: str) -> Model:
    """A model that is not known has two lines, and no keys of its own."""
    return MODELS.get(name) or Model(name, lines=2)

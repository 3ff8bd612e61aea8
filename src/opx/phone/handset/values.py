"""Which value of a parameter is in force: firmware default < server's files < what was changed at the phone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from opx.phone.handset.cfg import ConfigFile, Setting, merged

FIRMWARE_DEFAULTS: Mapping[str, str] = {
    "admin password": "22222",
    "download protocol": "TFTP",
    "http port": "80",
    "https port": "443",
    "http digest username": "aastra",
    "http digest password": "aastra",
    "https validate certificates": "1",
    "https validate hostname": "1",
    "https validate expires": "1",
    "sip registration period": "0",
    "sip registration retry timer": "1800",
    "sip registration timeout retry timer": "120",
    "sip transport protocol": "1",
    "sip registrar ip": "0.0.0.0",
    "sip registrar port": "5060",
    "sip proxy ip": "0.0.0.0",
    "sip proxy port": "5060",
    "sip whitelist": "0",
    "sip xml notify event": "0",
    "web interface enabled": "1",
    "language": "0",
    "xml get timeout": "0",
    "auto resync mode": "0",
}


@dataclass(slots=True)
class Values:
    """All layers of one handset. `local`, `one_boot` and `override` outlive a reboot, `remote` does not."""

    server: dict[str, Setting] = field(default_factory=dict)
    local: dict[str, str] = field(default_factory=dict)
    remote: dict[str, str] = field(default_factory=dict)
    """Set by XML Configuration objects with the precedence of the server."""
    override: dict[str, str] = field(default_factory=dict)
    """Likewise, and above what was changed at the phone."""
    one_boot: dict[str, str] = field(default_factory=dict)
    """For the next boot only."""

    def get(self, name: str, default: str = "") -> str:
        """The value in force."""
        name = name.lower()
        for layer in (self.one_boot, self.override):
            if name in layer:
                return layer[name]
        setting = self.server.get(name)
        if setting is not None and setting.locked:
            return setting.value
        if name in self.local:
            return self.local[name]
        if name in self.remote:
            return self.remote[name]
        if setting is not None:
            return setting.value
        return FIRMWARE_DEFAULTS.get(name, default)

    def __getitem__(self, name: str) -> str:
        return self.get(name)

    def flag(self, name: str) -> bool:
        return self.get(name) == "1"

    def number(self, name: str, default: int) -> int:
        """A whole number; the default where there is none."""
        text = self.get(name).strip()
        return int(text) if text.removeprefix("-").isdecimal() and len(text) < 8 else default

    def locked(self, name: str) -> bool:
        """Whether the user is kept from changing it."""
        setting = self.server.get(name.lower())
        return setting is not None and setting.locked

    def load(self, files: Iterable[ConfigFile]) -> None:
        """Take what the server gives, in the order of its files; `^` gives up what was changed here."""
        self.server = merged(files)
        for name, setting in self.server.items():
            if setting.reset:
                self.local.pop(name, None)

    def type_in(self, name: str, value: str) -> None:
        """A change at the phone. ValueError when it is locked."""
        name = name.lower()
        if self.locked(name):
            raise ValueError(f"{name} is locked")
        self.local[name] = value

    def configure(self, name: str, value: str, set_type: str) -> bool:
        """One item of an XML Configuration object; False when it is locked. ValueError: no such setType."""
        name = name.lower()
        if self.locked(name):
            return False
        layers = {
            "remote": self.remote,
            "local": self.local,
            "override": self.override,
            "oneboot": self.one_boot,
        }
        layer = layers.get(set_type.lower())
        if layer is None:
            raise ValueError(f"there is no setType {set_type!r}")
        layer[name] = value
        return True

    def names(self) -> set[str]:
        """Of all parameters that are set somewhere above the firmware's defaults."""
        return {*self.server, *self.local, *self.remote, *self.override, *self.one_boot}

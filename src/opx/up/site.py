"""The demo's site: its addresses, its folder, and the settings files in it."""

import os
from dataclasses import dataclass
from pathlib import Path

GATEWAY, SUITE, PBX = "gateway", "suite", "pbx"
REMOTE, OFFICE = "1001", "1002"
"""Extension numbers."""


class DemoFailed(Exception):
    """Something did not go as it should; the text says why."""


@dataclass(frozen=True, slots=True)
class Network:
    """The demo's addresses below one /16 of the loopback network; `base` is its first two numbers."""

    base: str = "127.0"

    def at(self, rest: str) -> str:
        return f"{self.base}.{rest}"

    @property
    def outside(self) -> str:
        return self.at("10.1")

    @property
    def inside(self) -> str:
        return self.at("20.1")

    @property
    def suite(self) -> str:
        return self.at("20.10")

    @property
    def pbx(self) -> str:
        return self.at("20.20")

    @property
    def office_phone(self) -> str:
        return self.at("20.101")

    @property
    def remote_phone(self) -> str:
        return self.at("30.1")


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that the demo keeps is in `folder`, for its owner only."""

    folder: Path
    network: Network

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.write("pbx.toml", self._pbx())
        self.write("gateway.toml", self._gateway())
        self.write("suite.toml", self._suite())

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def _pbx(self) -> str:
        folder = self.folder
        return f"""\
address = "{self.network.pbx}"
database = "{folder}/pbx.db"
key_file = "{folder}/pbx.key"
certificates = "{folder}/pbx-certificates"
token_file = "{folder}/pbx.token"

[[extension]]
number = "{REMOTE}"
name = "Remote"

[[extension]]
number = "{OFFICE}"
name = "Office"
"""

    def _gateway(self) -> str:
        folder = self.folder
        return f"""\
database = "{folder}/gateway.db"
key_file = "{folder}/gateway.key"
control_socket = "{folder}/gateway.sock"

[set_side]
address = "{self.network.outside}"

[icp_side]
address = "{self.network.inside}"
"""

    def _suite(self) -> str:
        return f"""\
address = "{self.network.suite}"
"""

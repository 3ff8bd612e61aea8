"""The programs of a lab: PBX node and office phone on the LAN, and the gateway. Files are in the lab's folder."""

import asyncio
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from opx.lab.lab import LabView
from opx.lab.plan import HOMES, INSIDE, OFFICE_PHONE, OUTSIDE, PBX
from opx.supervisor import Program, StartFailed, Supervisor

EXTENSIONS = {"home1": "1001", "home2": "1002", "office": "1101", "spare": "1102"}
"""Extension numbers; a home's device has the home's name as its set-side user name."""
OFFICE_TONE = 440
"""Hz that the office phone plays."""
REGISTER_LIMIT = 30.0
"""Seconds until the office phone must have registered."""

Say = Callable[[str], None]


class LabSite:
    """Starts and stops the programs; `say` hears their lines."""

    def __init__(self, view: LabView, folder: Path, say: Say) -> None:
        self._view = view
        self._folder = folder
        self._say = say
        self._registered = asyncio.Event()
        self._supervisor = Supervisor(self._on_line)

    async def start(self) -> None:
        """StartFailed says which program did not start."""
        for name in EXTENSIONS:
            self._password(f"{name}-icp")
        for home in HOMES:
            self._password(home.name)
        self._write("pbx.toml", self._pbx_settings())
        self._write("gateway.toml", self._gateway_settings())
        self._write("devices.toml", self._devices())
        folder = self._folder
        office = ("--user", EXTENSIONS["office"], "--password-file", str(folder / "office-icp.password"))
        await self._supervisor.start(
            [
                self._program("PBX node", "lan", "pbx", "run", "--config", str(folder / "pbx.toml")),
                self._program(
                    *("office phone", "lan", "phone", "run", *office, "--server", PBX, "--local", OFFICE_PHONE),
                    *("--tone", str(OFFICE_TONE)),
                    lasting=False,
                ),
                self._program("gateway", "gateway", "gateway", "run", "--config", str(folder / "gateway.toml")),
            ]
        )
        try:
            async with asyncio.timeout(REGISTER_LIMIT):
                await self._registered.wait()
        except TimeoutError:
            raise StartFailed("the office phone did not register at the PBX node") from None

    async def stop(self) -> None:
        await self._supervisor.stop()

    def _program(self, name: str, host: str, *arguments: str, lasting: bool = True) -> Program:
        return Program(name, arguments, lasting, prefix=self._view.prefix(host))

    def _on_line(self, name: str, line: str) -> None:
        if name == "office phone" and line.startswith("registered"):
            self._registered.set()
        self._say(f"{name:<13} {line.removeprefix('ready: ')}")

    # --- files

    def _write(self, name: str, text: str) -> None:
        descriptor = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)

    def _password(self, name: str) -> str:
        """Made at the lab's first start in this folder."""
        path = self._folder / f"{name}.password"
        if not path.exists():
            self._write(path.name, secrets.token_urlsafe(15))
        return path.read_text(encoding="utf-8").strip()

    def _pbx_settings(self) -> str:
        folder = self._folder
        extensions = "".join(
            f'\n[[extension]]\nnumber = "{number}"\nname = "{name}"\npassword = "{self._password(f"{name}-icp")}"\n'
            for name, number in EXTENSIONS.items()
        )
        return f"""\
address = "{PBX}"
database = "{folder}/pbx.db"
key_file = "{folder}/pbx.key"
certificates = "{folder}/pbx-certificates"
token_file = "{folder}/pbx.token"
{extensions}"""

    def _gateway_settings(self) -> str:
        folder = self._folder
        return f"""\
database = "{folder}/gateway.db"
key_file = "{folder}/gateway.key"
control_socket = "{folder}/gateway.sock"
import_file = "{folder}/devices.toml"

[set_side]
address = "{OUTSIDE}"

[icp_side]
address = "{INSIDE}"

[registration]
set_min_expires = 10  # so that it can be seen within seconds how registrations heal
"""

    def _devices(self) -> str:
        folder = self._folder
        devices = "".join(
            f"""
[[device]]
username = "{home.name}"
password = {{ file = "{folder}/{home.name}.password" }}
icp = "Node 1"
icp_username = "{EXTENSIONS[home.name]}"
icp_password = {{ file = "{folder}/{home.name}-icp.password" }}
description = "Lab: a phone behind {home.nat} NAT"
"""
            for home in HOMES
        )
        return f'[[icp]]\nname = "Node 1"\ntype = "MiVoice Office 250"\nhost = "{PBX}"\n{devices}'

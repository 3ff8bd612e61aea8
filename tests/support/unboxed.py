"""An unboxed 69xx as its user has it: `opx phone 69xx`, by the commands that stand for what is typed at the handset."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from support.programs import PATIENCE, OutsideProgram

IMAGE = b"MITEL 6930 6.4.0.140-SIP\n"
"""The head of a firmware image that the emulated handset takes."""


@dataclass(frozen=True)
class Unboxed:
    """`mac` in pairs with colons, as on its sticker; `folder` holds what it keeps without power."""

    mac: str
    folder: Path

    def upgrade(self, server: str, local: str) -> None:
        """In the office LAN, from the folder at a URL."""
        self._command(local, "upgrade", server)

    def set_server(self, server: str, local: str) -> None:
        """Settings > Advanced > Configuration Server, with the password that every new one has."""
        self._command(local, "set-server", server, "--password", "22222")

    def power(self, local: str, *options: str) -> OutsideProgram:
        """Plugged in; `options` of `run`."""
        arguments = self._arguments(local, "run", "--no-screen", *options)
        return OutsideProgram(arguments, self.folder / "handset.txt")

    def _command(self, local: str, *words: str) -> None:
        done = subprocess.run(
            self._arguments(local, *words), capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _arguments(self, local: str, *words: str) -> list[str]:
        handset = ("phone", "69xx", "--mac", self.mac, "--model", "6930", "--state", str(self.folder), "--local", local)
        return [sys.executable, "-m", "opx", *handset, *words]

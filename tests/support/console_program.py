"""`opx gateway run` with its console, as its owner starts it."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.network import LoopbackNetwork
from support.programs import OutsideProgram


@dataclass(frozen=True)
class ConsoleProgram:
    """`link` is the one for the first administrator."""

    gateway: OutsideProgram
    network: LoopbackNetwork
    folder: Path
    url: str
    link: str
    authority: Path


@contextmanager
def console_program(folder: Path, network: LoopbackNetwork, extra: str = "") -> Iterator[ConsoleProgram]:
    settings = folder / "gateway.toml"
    settings.write_text(
        f'[set_side]\naddress = "{network.at("10.1")}"\n\n[icp_side]\naddress = "{network.at("20.1")}"\n{extra}'
    )
    arguments = [sys.executable, "-m", "opx", "gateway", "run", "--config", str(settings)]
    with OutsideProgram(arguments, folder / "output.txt") as gateway:
        gateway.wait_for("ready: gateway")
        url = f"https://{network.at('20.1')}:8443/"
        found = re.search(rf"{re.escape(url)}link/\S+", gateway.text)
        assert found, gateway.text
        yield ConsoleProgram(gateway, network, folder, url, found[0], folder / "certificates" / "ca.pem")
        gateway.stop()

"""`opx suite run` and a PBX node beside it, as their owner starts them."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.network import LoopbackNetwork
from support.programs import OutsideProgram

OPX = (sys.executable, "-m", "opx")


@dataclass(frozen=True)
class SuiteProgram:
    """`link` is the one for the first administrator."""

    suite: OutsideProgram
    network: LoopbackNetwork
    folder: Path
    config: Path
    url: str
    link: str
    authority: Path


@contextmanager
def suite_program(folder: Path, network: LoopbackNetwork, extra: str = "") -> Iterator[SuiteProgram]:
    """`extra` is TOML behind the address."""
    settings = folder / "suite.toml"
    settings.write_text(f'address = "{network.at("20.10")}"\n{extra}')
    with OutsideProgram([*OPX, "suite", "run", "--config", str(settings)], folder / "suite.txt") as suite:
        suite.wait_for("ready: suite")
        url = f"https://{network.at('20.10')}:8444/"
        found = re.search(rf"{re.escape(url)}link/\S+", suite.text)
        assert found, suite.text
        authority = folder / "suite-certificates" / "ca.pem"
        yield SuiteProgram(suite, network, folder, settings, url, found[0], authority)
        suite.stop()


@dataclass(frozen=True)
class NodeProgram:
    """`url` and `token` are those of its management API."""

    address: str
    url: str
    token: str


@contextmanager
def node_program(folder: Path, network: LoopbackNetwork, numbers: tuple[str, ...]) -> Iterator[NodeProgram]:
    """A PBX node with these extensions."""
    address = network.at("20.20")
    settings = folder / "pbx.toml"
    extensions = "".join(f'[[extension]]\nnumber = "{number}"\nname = "Phone {number}"\n' for number in numbers)
    settings.write_text(f'address = "{address}"\n{extensions}')
    with OutsideProgram([*OPX, "pbx", "run", "--config", str(settings)], folder / "pbx.txt") as node:
        node.wait_for("ready:")
        yield NodeProgram(address, f"https://{address}:8445/", (folder / "pbx.token").read_text().strip())
        node.stop()

"""The servers of the SIP bench, each on the server's processor: the gateway, Kamailio, sippy's B2BUA."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness import PinnedProgram, server_core
from peers.sipp import PASSWORD
from sip_load import USERS, Load

HERE = Path(__file__).parent
REPOSITORY = HERE.parent
SIPPY_VENV = REPOSITORY / "build" / "bench-venv"
"""sippy stays apart from what the product and its tests need."""
FASTER = ("-x", "fm", "-X", "fm")
"""Kamailio's other allocator, for shared memory between its processes and for each process's own."""
POOLS = ("-m", "1024", "-M", "16")
"""Megabytes of shared and of private memory; Debian's 64 and 8 run out in the steady state of many calls."""

GATEWAY = """
database = "{folder}/gateway.db"
key_file = "{folder}/gateway.key"
control_socket = "{folder}/gateway.sock"
import_file = "{folder}/devices.toml"
permit_weak_passwords = true

[set_side]
address = "{outside}"

[icp_side]
address = "{inside}"

# As long as the other registrars here grant, and none of the keep-alive that they do not do either.
[registration]
set_max_expires = 3600
icp_expires = 7200

[keep_alive]
interval = 0
idle_limit = 4000

[media]
rtp_ports = [10000, 64999]

[limits]
calls = 20000
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; `address` is host:port where phones find it."""

    program: PinnedProgram
    address: str


@cache
def missing_compiled() -> str:
    """Why the compiled gateway cannot run, "" when it can."""
    check = [sys.executable, str(REPOSITORY / "tools" / "compile_core.py"), "--check"]
    return "build/compiled is not up to date; make compiled" if subprocess.run(check).returncode else ""


def write_gateway(folder: Path, outside: str, inside: str, icp: str, users: int) -> Path:
    """The files of a gateway between `outside` and `inside` with so many devices of one ICP; returns its settings."""
    devices = "".join(
        f'[[device]]\nusername = "user{n}"\npassword = "{PASSWORD}"\nicp = "Node 1"\nicp_username = "{10000 + n}"\n'
        for n in range(users)
    )
    imported = folder / "devices.toml"
    imported.touch(mode=0o600)
    imported.write_text(f'[[icp]]\nname = "Node 1"\nhost = "{icp}"\n{devices}')
    config = folder / "gateway.toml"
    config.write_text(GATEWAY.format(folder=folder, outside=outside, inside=inside))
    return config


@contextmanager
def gateway(load: Load, *, compiled: bool = False) -> Iterator[Server]:
    """Our gateway with all users as devices of one ICP, its core interpreted or compiled."""
    folder = load.folder
    outside = load.network.at("10.1")
    config = write_gateway(folder, outside, load.network.at("20.1"), load.icp_address, USERS)
    command = [sys.executable, "-m", "opx", "gateway", "run", "--config", str(config)]
    if compiled:
        command = ["env", f"PYTHONPATH={REPOSITORY / 'build' / 'compiled'}", *command]
    with PinnedProgram(command, folder / "server.txt", core=server_core()) as program:
        program.wait_for("ready:")
        yield Server(program, f"{outside}:5060")


@contextmanager
def kamailio(load: Load, *, faster: bool, challenging: bool) -> Iterator[Server]:
    """Kamailio as registrar and proxy."""
    folder, address = load.folder, load.network.at("10.1")
    command = [
        *("kamailio", "-f", str(HERE / "peers" / "kamailio.cfg"), "-DD", "-E", *POOLS, *(FASTER if faster else ())),
        *("-A", f'ICP="{load.icp_address}:5060"', *(("-A", "CHALLENGE") if challenging else ())),
        *("-l", f"udp:{address}:5060", "-Y", str(folder), "-P", str(folder / "kamailio.pid")),
    ]
    with PinnedProgram(command, folder / "server.txt", core=server_core()) as program:
        program.wait_for("Listening on")
        yield Server(program, f"{address}:5060")


@contextmanager
def sippy(load: Load) -> Iterator[Server]:
    """sippy's simple B2BUA, logging nothing."""
    address = load.network.at("10.1")
    command = [
        *("env", "SIPLOG_LVL=CRIT", "SIPLOG_LOGFILE_FILE=/dev/null"),
        *(str(SIPPY_VENV / "bin" / "b2bua_simple"), "-f", "-l", address, "-p", "5060"),
        *("-n", f"{load.icp_address}:5060"),
    ]
    with PinnedProgram(command, load.folder / "server.txt", core=server_core(), cwd=load.folder) as program:
        yield Server(program, f"{address}:5060")


@cache
def missing_sippy() -> str:
    """Why sippy cannot run, "" when it can; installs it on first use as the `bench` extra names it."""
    if (SIPPY_VENV / "bin" / "b2bua_simple").exists():
        return ""
    wanted = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]["bench"]
    for command in (
        [sys.executable, "-m", "venv", str(SIPPY_VENV)],
        [str(SIPPY_VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", *wanted],
    ):
        if subprocess.run(command, capture_output=True).returncode:
            return f"{', '.join(wanted)} cannot be installed into {SIPPY_VENV.relative_to(REPOSITORY)}"
    return ""

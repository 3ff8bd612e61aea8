"""Registrations per second of server CPU: OPX's gateway beside Kamailio as a plain registrar, the same load on each.

Every REGISTER is freshly challenged (REGISTER, 401, REGISTER with digest, 200). The gateway does more per registration
than the registrar does: it keeps its registration at an ICP (here sipp, which takes every one), the licence, the
keep-alive and the timeline of the device, and writes its bindings to the database. Server on one processor, sipp on
the other.
"""

import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from figures import Goal, Metric
from harness import Bench, Contender, PinnedProgram, Plan, Void, load_core, run, server_core
from peers.sipp import PASSWORD, REGISTER, REGISTRAR, read_statistics, write_users
from support.network import LoopbackNetwork, claim_network

HERE = Path(__file__).parent
USERS = 2000
RATE = 1000
"""Registrations a second: well within what either server carries, so that nothing is repeated."""
WARM_UP_RATE = 250
"""The first registrations of all users go to the ICP as well."""


class Load:
    """sipp against `server` on the network of one run."""

    def __init__(self, folder: Path, network: LoopbackNetwork) -> None:
        self._folder = folder
        self._network = network
        write_users(folder / "users.csv", [f"user{number}" for number in range(USERS)])
        (folder / "register.xml").write_text(REGISTER)
        (folder / "registrar.xml").write_text(REGISTRAR)

    def register(self, server: str, count: int, rate: int) -> None:
        """`count` registrations; Void when one of them failed or had to be repeated."""
        statistics = self._folder / "statistics.csv"
        statistics.unlink(missing_ok=True)
        arguments = [
            *("sipp", f"{server}:5060", "-sf", "register.xml", "-inf", "users.csv", "-m", str(count), "-r", str(rate)),
            *("-i", self._network.at("30.1"), "-p", "5060", "-nostdin", "-l", "5000", "-buff_size", "4000000"),
            *("-trace_stat", "-stf", str(statistics), "-fd", "1", "-timeout", "60"),
        ]
        with PinnedProgram(arguments, self._folder / "sipp.txt", core=load_core(), cwd=self._folder) as sipp:
            status = sipp.wait()
        result = read_statistics(statistics)
        if status or result.failed or result.succeeded < count:
            raise Void(f"{result.failed} of {count} registrations failed (sipp ended with {status})")
        if result.retransmissions > count // 100:
            raise Void(f"{result.retransmissions} retransmissions")

    def take_registrations(self, address: str) -> PinnedProgram:
        """An ICP that takes every registration."""
        arguments = ["sipp", "-sf", "registrar.xml", "-i", address, "-p", "5060", "-nostdin", "-buff_size", "4000000"]
        return PinnedProgram(arguments, self._folder / "icp.txt", core=load_core(), cwd=self._folder)


def measure(load: Load, program: PinnedProgram, server: str, seconds: float) -> Mapping[str, float]:
    """A warm-up with all users once, then the measured registrations."""
    load.register(server, USERS, WARM_UP_RATE)
    count = int(seconds * RATE)
    before = program.cpu_seconds()
    load.register(server, count, RATE)
    used = program.cpu_seconds() - before
    return {"registrations": count / used}


def opx(seconds: float) -> Mapping[str, float]:
    with ExitStack() as stack:
        folder, network = _place(stack)
        load = Load(folder, network)
        stack.enter_context(load.take_registrations(network.at("20.20")))
        devices = "".join(
            f'[[device]]\nusername = "user{n}"\npassword = "{PASSWORD}"\nicp = "Node 1"\nicp_username = "{1000 + n}"\n'
            for n in range(USERS)
        )
        (folder / "devices.toml").write_text(f'[[icp]]\nname = "Node 1"\nhost = "{network.at("20.20")}"\n{devices}')
        (folder / "gateway.toml").write_text(
            f'database = "{folder}/gateway.db"\nkey_file = "{folder}/gateway.key"\n'
            f'control_socket = "{folder}/gateway.sock"\nimport_file = "{folder}/devices.toml"\n'
            f'permit_weak_passwords = true\n[set_side]\naddress = "{network.at("10.1")}"\n'
            f'[icp_side]\naddress = "{network.at("20.1")}"\n'
        )
        command = [sys.executable, "-m", "opx", "gateway", "run", "--config", str(folder / "gateway.toml")]
        server = stack.enter_context(PinnedProgram(command, folder / "server.txt", core=server_core()))
        server.wait_for("ready:")
        return measure(load, server, network.at("10.1"), seconds)


def kamailio(*more: str) -> Contender:
    """Kamailio with an allocator of its choice."""

    def one(seconds: float) -> Mapping[str, float]:
        with ExitStack() as stack:
            folder, network = _place(stack)
            load = Load(folder, network)
            address = network.at("10.1")
            command = [
                *(
                    "kamailio",
                    "-f",
                    str(HERE / "peers" / "kamailio_registrar.cfg"),
                    "-DD",
                    "-E",
                    "-m",
                    "512",
                    "-M",
                    "64",
                ),
                *("-l", f"udp:{address}:5060", "-Y", str(folder), "-P", str(folder / "kamailio.pid"), *more),
            ]
            server = stack.enter_context(PinnedProgram(command, folder / "server.txt", core=server_core()))
            server.wait_for("Listening on")
            return measure(load, server, address, seconds)

    return Contender("Kamailio -x fm" if more else "Kamailio", one, ("kamailio", "sipp"))


def _place(stack: ExitStack) -> tuple[Path, LoopbackNetwork]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="opx-bench-")))
    network = claim_network()
    stack.callback(network.release)
    return folder, network


BENCH = Bench(
    "sip",
    "registrations per second of server CPU, every one freshly challenged",
    (Metric("registrations", "per CPU second"),),
    (
        Contender("OPX", opx, ("sipp",)),
        kamailio(),
        kamailio("-x", "fm", "-X", "fm"),
    ),
    (Goal("registrations", 0.7, "Kamailio"),),
    full=Plan(rounds=5, seconds=10.0),
    quick=Plan(rounds=1, seconds=3.0),
)

if __name__ == "__main__":
    if shutil.which("sipp") is None:
        sys.exit("sip: the load comes from sipp, which is not installed (OPX_INSTALL_PEERS=1 make setup)")
    sys.exit(run(BENCH))

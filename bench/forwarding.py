"""Throughput and new connections per second of port forwarding, beside HAProxy in TCP mode and plain kernel routing.

Client, gateway and host are network namespaces joined by cables (veth), as in the lab. Unlike in the other benches
nothing is pinned: the kernel forwards in whatever process just sends, so that everybody shares all processors, load
included, and what a way of forwarding costs shows in what is left for the load. The CPU time of the processes that
forward is counted as well, which a busy machine changes less. HAProxy has a thread for each
processor, as it comes, and the userspace driver a worker for each.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from figures import Goal, Metric
from harness import CORES, Bench, Contender, Plan, Void, cpu_seconds, run
from opx.gateway.forwarding.interface import ForwardingDriver
from opx.gateway.forwarding.nftables import machine
from opx.gateway.forwarding.nftables.driver import NftablesDriver
from opx.gateway.forwarding.settings import ForwardingSettings
from opx.gateway.forwarding.userspace.driver import UserspaceDriver
from opx.gateway.forwarding.userspace.wire import EnginePolicy
from peers import haproxy
from support.forwarding import Network
from support.forwarding import run as command
from support.namespaces import lab_missing, missing
from support.programs import OutsideProgram, wait_until

LOAD = Path(__file__).parent / "forwarding_load.py"
PORT = 8185
STREAMS = 4
CLIENTS = 32
"""Processes that make connections, one after the other each."""
MOST_FAILED = 0.001
"""Share of connections whose failure makes a run void."""
KERNEL, USERSPACE, HAPROXY, ROUTING = "nftables", "userspace", "HAProxy", "routing"


@dataclass(frozen=True, slots=True)
class Way:
    """`address` is what the client calls, `cpu` the seconds that the processes which forward have used so far."""

    address: str
    cpu: Callable[[], float] | None = None


Setting = Callable[[Network, Path, ExitStack], Way]
"""Makes the gateway forward. What the stack holds ends it."""


def routing(network: Network, folder: Path, stack: ExitStack) -> Way:
    """No connection tracking, no translation: the client knows the way."""
    with network.at("client"):
        command("ip", "route", "add", f"{network.host}/32", "via", network.outside)
    with network.at("lan"):
        command("ip", "route", "add", "default", "via", network.inside)
    machine.set_routing(True)
    return Way(network.host)


def kernel(network: Network, folder: Path, stack: ExitStack) -> Way:
    _drive(network, NftablesDriver(network.policy()), stack)
    return Way(network.outside)


def userspace(network: Network, folder: Path, stack: ExitStack) -> Way:
    usual = ForwardingSettings()
    policy = EnginePolicy(network.policy(), len(CORES), usual.buffer, usual.pipes, usual.outlive)
    driver = UserspaceDriver(policy, folder / "s")
    _drive(network, driver, stack)
    return Way(network.outside, lambda: sum(map(cpu_seconds, driver.pids)))


def _drive(network: Network, driver: ForwardingDriver, stack: ExitStack) -> None:
    runner = stack.enter_context(asyncio.Runner())
    runner.run(driver.start())
    stack.callback(lambda: runner.run(driver.stop()))
    problems = runner.run(driver.apply([network.route(1, str(PORT))]))
    if problems:
        raise Void(f"not in force: {problems}")


def proxy(network: Network, folder: Path, stack: ExitStack) -> Way:
    arguments = haproxy.write(
        folder / "haproxy.cfg", outside=network.outside, inside=network.inside, host=network.host, port=PORT
    )
    server = stack.enter_context(OutsideProgram(arguments, folder / "output.txt"))
    wait_until(lambda: _listens() or not server.running, lambda: server.text)
    if not server.running:
        raise Void(f"HAProxy ended: {server.text}")
    return Way(network.outside, lambda: cpu_seconds(server.pid))


def _listens() -> bool:
    return f":{PORT} " in command("ss", "-Hltn")


def measured(setting: Setting) -> Callable[[float], Mapping[str, float]]:
    def measure(seconds: float) -> Mapping[str, float]:
        with everywhere():
            return {**_throughput(setting, seconds), **_connections(setting, seconds)}

    return measure


@contextmanager
def everywhere() -> Iterator[None]:
    """This thread, and what it starts meanwhile, may use all processors."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CORES)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def forwarding(setting: Setting) -> Iterator[tuple[Network, Way]]:
    """A network of its own for each measurement, so that none has another one's connections in its tables."""
    with Network() as network, tempfile.TemporaryDirectory(prefix="opx-bench-") as folder, ExitStack() as stack:
        for place in ("client", "gateway", "lan"):
            with network.at(place):
                # A connection a port is too few within seconds.
                Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("2048 65535", encoding="ascii")
                Path("/proc/sys/net/ipv4/tcp_tw_reuse").write_text("1", encoding="ascii")
        yield network, setting(network, Path(folder), stack)


@contextmanager
def _load(network: Network, place: str, *arguments: object) -> "Iterator[subprocess.Popen[str]]":
    """A part of the load, until it is done with; it is killed when something goes wrong meanwhile."""
    process = subprocess.Popen(
        [*network.prefix(place), sys.executable, str(LOAD), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _said(process: "subprocess.Popen[str]") -> str:
    """Its next line. Void when it ends without one."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise Void("a part of the load failed")
    return line


def _throughput(setting: Setting, seconds: float) -> Mapping[str, float]:
    with (
        forwarding(setting) as (network, way),
        _load(network, "lan", "swallow", network.host, PORT, STREAMS) as sink,
    ):
        _said(sink)
        before = way.cpu() if way.cpu else 0.0
        with _load(network, "client", "pour", way.address, PORT, STREAMS, seconds) as source:
            _said(source)
            size, took = map(float, _said(sink).split())
        found = {"throughput": size * 8 / took / 1e9}
        if way.cpu:
            found["per GB"] = (way.cpu() - before) / size * 1e12
        return found


def _connections(setting: Setting, seconds: float) -> Mapping[str, float]:
    with forwarding(setting) as (network, way), _load(network, "lan", "answer", network.host, PORT) as server:
        _said(server)
        before = way.cpu() if way.cpu else 0.0
        with _load(network, "client", "connect", way.address, PORT, CLIENTS, seconds) as clients:
            rate, failed, total = map(float, _said(clients).split())
        if failed > MOST_FAILED * total:
            raise Void(f"{failed:.0f} connections failed")
        found = {"connections": rate}
        if way.cpu:
            found["per connection"] = (way.cpu() - before) / total * 1e6
        return found


def no_namespaces() -> str:
    return missing() or lab_missing()


BENCH = Bench(
    "forwarding",
    f"{STREAMS} streams through the gateway, then new connections by {CLIENTS} clients; nothing is pinned",
    (
        Metric("throughput", "Gbit/s", decimals=2),
        Metric("connections", "per s"),
        Metric("per GB", "ms of CPU", higher_is_better=False),
        Metric("per connection", "us of CPU", higher_is_better=False),
    ),
    (
        Contender(KERNEL, measured(kernel), absent=no_namespaces),
        Contender(USERSPACE, measured(userspace), absent=no_namespaces),
        Contender(HAPROXY, measured(proxy), ("haproxy", "ss"), absent=no_namespaces),
        Contender(ROUTING, measured(routing), absent=no_namespaces),
    ),
    (
        Goal("throughput", 0.9, ROUTING),
        Goal("throughput", 2, HAPROXY),
        Goal("connections", 1, HAPROXY),
        Goal("throughput", 1, HAPROXY, of=USERSPACE),
        Goal("connections", 0.5, HAPROXY, of=USERSPACE),
    ),
    full=Plan(rounds=7, seconds=3.0),
    quick=Plan(rounds=3, seconds=1.0),
)

if __name__ == "__main__":
    sys.exit(run(BENCH))

"""Registrations and calls per second of server CPU: OPX's gateway beside Kamailio and sippy, the same load on each.

Every REGISTER is freshly challenged (REGISTER, 401, REGISTER with digest, 200), over 10,000 users in turn. A call is
INVITE, 180, 200, ACK, BYE, 200. At the gateway both sides are challenged: the phone's INVITE by the gateway (407),
the gateway's by the ICP. Kamailio is measured as a plain stateful proxy (tm, rr), which challenges nobody, and again
doing both, and absorbing repetitions of a REGISTER as the gateway does; with the allocator that Debian's build uses
by default, and with its faster one. The CPU time of all processes of a server counts, the gateway's media worker
included.

With --minutes the gateway alone carries calls at a part of its highest rate, while a probe asks it for its delay.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import sip_soak
from figures import Goal, Metric
from harness import Bench, Contender, Plan, Void, run
from sip_load import GRACE, USERS, WARM_UP_RATE, Load, Measured
from sip_servers import Server, gateway, kamailio, missing_compiled, missing_sippy, sippy
from support.network import claim_network

REGISTRATION_RATE = 1500
CALL_RATE = 300
"""A second; well within what the servers carry, so that nothing is repeated."""
SLOW_CALL_RATE = 100
"""Calls a second for the comparison with sippy, which carries no more than about two hundred."""
QUICK_SECONDS = 4.0
"""Load up to this is a quick run, which does not wait for transactions to come to their steady state."""
STEADY = 34.0
"""Seconds after which as many transactions end as begin: timers D, J, L and M are 32 s."""
HELD_CALLS = 1000
"""Calls that go on at the same time while memory is measured."""
HOLD_RATE = 250

Serve = Callable[[Load], AbstractContextManager[Server]]


@contextmanager
def _load() -> Iterator[Load]:
    network = claim_network()
    try:
        with tempfile.TemporaryDirectory(prefix="opx-bench-") as folder:
            yield Load(Path(folder), network)
    finally:
        network.release()


def soak(minutes: float, say: Callable[[str], None]) -> bool:
    with _load() as load:
        return sip_soak.soak(load, minutes, say)


def contender(
    name: str,
    serve: Serve,
    *programs: str,
    registers: bool = False,
    bound: bool = False,
    challenged: bool = False,
    calls: bool = True,
    slow: bool = False,
    absent: Callable[[], str] = lambda: "",
) -> Contender:
    """One server. `registers`: it is a registrar; `bound`: its users are registered before any call; `challenged`:
    both sides of its calls are."""
    scenario = "call_challenged" if challenged else "call"

    def measure(seconds: float) -> Mapping[str, float]:
        fill = 0.0 if seconds <= QUICK_SECONDS else STEADY
        figures: dict[str, float] = {}
        parts: list[Measured] = []

        def part(metric: str, scenario: str, rate: float) -> None:
            cpu = server.program.cpu_seconds
            measured = load.measure(server.address, scenario, cpu, rate=rate, seconds=seconds, fill=fill)
            parts.append(measured)
            figures[metric] = measured.per_second

        with _load() as load, load.icp(challenging=challenged), serve(load) as server:
            _wait_until_idle(server)
            # Before anything else has left room to be used again.
            if calls and not bound:
                figures["memory per call"] = _memory_per_call(load, server, scenario)
            if registers:
                before = server.program.memory()
                load.run(server.address, "register", USERS, WARM_UP_RATE)
                if bound:
                    figures["memory per binding"] = (server.program.memory() - before) / USERS / 1000
            if calls and bound:
                figures["memory per call"] = _memory_per_call(load, server, scenario)
            if registers:
                part("registrations", "register", REGISTRATION_RATE)
            if calls:
                part("calls", scenario, CALL_RATE)
            if slow:
                part("slow calls", scenario, SLOW_CALL_RATE)
        figures["failed"] = sum(one.failed for one in parts)
        figures["retransmissions"] = sum(one.retransmissions for one in parts)
        return figures

    return Contender(name, measure, ("sipp", *programs), absent)


def _wait_until_idle(server: Server) -> None:
    """Until it uses next to no CPU: what a server does at its start is no part of any figure."""
    used = server.program.cpu_seconds()
    for _ in range(100):
        time.sleep(0.2)
        now = server.program.cpu_seconds()
        if now - used < 0.01:
            return
        used = now
    raise Void("the server never came to rest")


def _memory_per_call(load: Load, server: Server, scenario: str) -> float:
    """Kilobytes by which a server grows for each call that goes on."""
    before = server.program.memory()
    begun = HELD_CALLS / HOLD_RATE + 1.0
    with load.phones_at(server.address, scenario, HELD_CALLS, HOLD_RATE, hold=begun + 1.0) as phones:
        time.sleep(begun)
        grown = server.program.memory() - before
        phones.finish(begun + GRACE)
    if load.result().succeeded < HELD_CALLS:
        raise Void("not all calls could be held")
    return grown / HELD_CALLS / 1000


def _kamailio(*, faster: bool, challenging: bool) -> Contender:
    name = "Kamailio" + (" fm" if faster else "") + (", both challenges" if challenging else "")
    return contender(
        name,
        lambda load: kamailio(load, faster=faster, challenging=challenging),
        "kamailio",
        registers=True,
        bound=not challenging,
        challenged=challenging,
    )


BENCH = Bench(
    "sip",
    "registrations and calls per second of server CPU, OPX with both sides challenged",
    (
        Metric("registrations", "per CPU second"),
        Metric("calls", "per CPU second"),
        Metric("slow calls", "per CPU second"),
        Metric("memory per binding", "kB", higher_is_better=False, decimals=1),
        Metric("memory per call", "kB", higher_is_better=False, decimals=1),
        Metric("failed", "", higher_is_better=False),
        Metric("retransmissions", "", higher_is_better=False),
    ),
    (
        contender("OPX", gateway, registers=True, bound=True, challenged=True, slow=True),
        contender(
            "OPX compiled",
            lambda load: gateway(load, compiled=True),
            registers=True,
            bound=True,
            challenged=True,
            slow=True,
            absent=missing_compiled,
        ),
        _kamailio(faster=False, challenging=False),
        _kamailio(faster=True, challenging=False),
        _kamailio(faster=False, challenging=True),
        _kamailio(faster=True, challenging=True),
        contender("sippy", sippy, calls=False, slow=True, absent=missing_sippy),
    ),
    (
        Goal("registrations", 0.7, "Kamailio"),
        Goal("calls", 0.7, "Kamailio"),
        Goal("calls", 1.2, "Kamailio, both challenges"),
        Goal("slow calls", 8, "sippy"),
        Goal("failed", 0),
    ),
    full=Plan(rounds=3, seconds=10.0),
    quick=Plan(rounds=1, seconds=QUICK_SECONDS),
    quick_limit=150.0,
    soak=soak,
)

if __name__ == "__main__":
    if shutil.which("sipp") is None:
        sys.exit("sip: the load comes from sipp, which is not installed (OPX_INSTALL_PEERS=1 make setup)")
    sys.exit(run(BENCH))

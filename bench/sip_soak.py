"""A long, steady load on the gateway alone: is there a moment in which it does not keep up?"""

import subprocess
import time
from collections.abc import Callable

from harness import Void
from sip_load import GRACE, USERS, WARM_UP_RATE, Load
from sip_probe import Delays, Probe, at
from sip_servers import Server, gateway

FIRST_RATE = 200
"""Calls a second of the first look at what a call costs."""
STEPS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Parts of what the CPU time of a call promises that are tried for the highest rate."""
STEP_SECONDS = 10.0
PART = 0.6
"""The part of the highest rate that the long run has."""
BURST = 0.02
"""Retransmissions in one second that make a burst, as a part of the calls in it."""

Say = Callable[[str], None]


def soak(load: Load, minutes: float, say: Say) -> bool:
    """Calls for so many minutes. Returns whether all went well, without a burst of retransmissions."""
    with load.icp(challenging=True), gateway(load) as server:
        load.run(server.address, "register", USERS, WARM_UP_RATE)
        highest = _highest_rate(load, server, say)
        if not highest:
            say("no rate was carried without retransmissions")
            return False
        rate = int(highest * PART)
        say(f"highest rate without retransmissions: {highest} calls a second; now {rate} for {minutes:g} minutes")
        return _steady(load, server, rate, minutes * 60, say)


def _highest_rate(load: Load, server: Server, say: Say) -> int:
    cpu = server.program.cpu_seconds
    measured = load.measure(server.address, "call_challenged", cpu, rate=FIRST_RATE, seconds=STEP_SECONDS)
    highest = 0
    for step in STEPS:
        rate = int(measured.per_second * step)
        try:
            result = load.run(server.address, "call_challenged", int(rate * STEP_SECONDS), rate)
        except Void as reason:
            say(f"{rate} calls a second: {reason}")
            break
        say(f"{rate} calls a second: {result.failed} failed, {result.retransmissions} retransmissions")
        if result.failed or result.retransmissions:
            break
        highest = rate
    return highest


def _steady(load: Load, server: Server, rate: int, seconds: float, say: Say) -> bool:
    host, _, port = server.address.partition(":")
    count = int(rate * seconds)
    cpu, memory, start = server.program.cpu_seconds(), server.program.memory(), time.monotonic()
    with (
        Probe((host, int(port)), load.network.at("30.2")) as probe,
        load.phones_at(server.address, "call_challenged", count, rate) as phones,
    ):
        try:
            phones.finish(seconds + GRACE)
        except subprocess.TimeoutExpired:
            say(f"not over after {seconds + GRACE:.0f} s")
            return False
    busy = (server.program.cpu_seconds() - cpu) / (time.monotonic() - start)
    grown = (server.program.memory() - memory) / 1e6
    result = load.result()
    say(f"{result.succeeded} of {count} calls, {result.failed} failed; processor {busy:.0%}, grown by {grown:.0f} MB")
    say(f"{result.retransmissions} retransmissions, {result.worst_second} in the worst second")
    _say_delays(probe.delays, say)
    return result.failed == 0 and result.succeeded == count and result.worst_second <= rate * BURST


def _say_delays(delays: Delays, say: Say) -> None:
    for name, values in (("the kernel had the answer", delays.arrived), ("the probe had read it", delays.read)):
        median, high, most = (at(values, part) * 1000 for part in (0.5, 0.99, 1.0))
        say(f"OPTIONS until {name}: median {median:.1f} ms, 99 of 100 within {high:.1f} ms, the longest {most:.1f} ms")
    if delays.lost:
        say(f"{delays.lost} OPTIONS without an answer")

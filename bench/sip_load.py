"""The load of the SIP bench: phones and an ICP, both played by sipp on the processor beside the server's."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness import PinnedProgram, Void, load_core
from peers.sipp import SippResult, read_statistics, write_scenario, write_users
from support.network import LoopbackNetwork

USERS = 10_000
"""Every REGISTER and every call is the next user's, so that a user comes back after all the others."""
WARM_UP_RATE = 2000
"""First registrations a second; at the gateway these go on to the ICP."""
HOLD = 0.1
"""Seconds that a call lasts, unless said otherwise; it rings as long."""
MAX_OPEN = 20_000
"""Calls that sipp keeps open at most; far more than any run needs."""
GRACE = 45.0
"""Seconds that sipp may take beyond what its rate asks for: a lost answer is waited for 32 s."""
ENOUGH = 0.99
"""The part of a run that must have succeeded for its CPU time to mean anything."""


@dataclass(frozen=True, slots=True)
class Measured:
    """CPU time in seconds of `count` registrations or calls, and what went wrong with them."""

    count: int
    cpu: float
    failed: int
    retransmissions: int

    @property
    def per_second(self) -> float:
        return (self.count - self.failed) / self.cpu


class Load:
    """Phones at 30.1 of `network` and an ICP at 20.20, with their files in `folder`."""

    def __init__(self, folder: Path, network: LoopbackNetwork) -> None:
        self.folder = folder
        self.network = network
        self.phones = network.at("30.1")
        self.icp_address = network.at("20.20")
        write_users(folder / "users.csv", [f"user{number}" for number in range(USERS)])

    def icp(self, *, challenging: bool) -> PinnedProgram:
        """An ICP that takes registrations and calls."""
        scenario = write_scenario("icp_challenging" if challenging else "icp", self.folder, hold=HOLD)
        arguments = [
            *("sipp", "-sf", str(scenario), "-i", self.icp_address, "-p", "5060", "-nostdin"),
            *("-buff_size", "4000000"),
        ]
        return PinnedProgram(arguments, self.folder / "icp.txt", core=load_core(), cwd=self.folder)

    def phones_at(self, server: str, scenario: str, count: int, rate: float, *, hold: float = HOLD) -> PinnedProgram:
        """`count` registrations or calls to `server` (host:port) at `rate` a second."""
        self._statistics.unlink(missing_ok=True)
        path = write_scenario(scenario, self.folder, hold=hold)
        arguments = [
            *("sipp", server, "-sf", str(path), "-inf", "users.csv", "-m", str(count), "-r", str(rate)),
            *("-i", self.phones, "-p", "5060", "-nostdin", "-l", str(MAX_OPEN), "-buff_size", "4000000"),
            *("-trace_stat", "-stf", str(self._statistics), "-fd", "1"),
        ]
        return PinnedProgram(arguments, self.folder / "sipp.txt", core=load_core(), cwd=self.folder)

    def run(self, server: str, scenario: str, count: int, rate: float) -> SippResult:
        """All of it. Void when too little succeeded, or when sipp did not keep its rate."""
        start = time.monotonic()
        with self.phones_at(server, scenario, count, rate) as sipp:
            try:
                sipp.finish(count / rate + GRACE)
            except subprocess.TimeoutExpired:
                raise Void(f"{scenario}: not over after {time.monotonic() - start:.0f} s") from None
        result = self.result()
        if result.succeeded < count * ENOUGH:
            raise Void(f"{scenario}: {result.failed} of {count} failed, {result.retransmissions} retransmissions")
        return result

    def result(self) -> SippResult:
        return read_statistics(self._statistics)

    def measure(
        self, server: str, scenario: str, cpu: Callable[[], float], *, rate: float, seconds: float, fill: float = 0.0
    ) -> Measured:
        """The CPU time of `seconds` of load, after `fill` seconds of the same that are not counted."""
        failed = retransmissions = 0
        if fill:
            before = self.run(server, scenario, int(fill * rate), rate)
            failed, retransmissions = before.failed, before.retransmissions
        start = cpu()
        count = int(seconds * rate)
        result = self.run(server, scenario, count, rate)
        return Measured(count, cpu() - start, failed + result.failed, retransmissions + result.retransmissions)

    @property
    def _statistics(self) -> Path:
        return self.folder / "statistics.csv"

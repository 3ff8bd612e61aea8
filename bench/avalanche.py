"""Thousands of provisioned phones outside lose their power together and come back through the gateway.

The site is real: PBX node, gateway with its 8202 forward and web services, suite with its processes, each started as
its owner does, on the loopback network of this machine. The suite reads the extensions from the node, provisions them
on the gateway, and has approved all phones, each with a digest of its own. The phones are emulated in one process
more, each with an address of its own; they ask for every file on a new TLS connection without resumption, as handsets
do, and once more with one connection for all (`--keepalive` of the fleet), which is told apart.

Exit status 1 when a phone is not configured and registered in the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avalanche_site import Outside, approve_all, prepare, provisioned
from harness import machine
from peaks import Peaks
from support.network import claim_network
from support.whole_site import WholeSite

SIZES = (1000, 5000)
QUICK_SIZES = (100, 300)
SHOWN = 10
"""Reasons of a kind that are printed."""
LIMIT = 900.0
"""Seconds that a fleet may take to come back; beyond, the run has failed."""


@dataclass(frozen=True, slots=True)
class Comeback:
    """What one avalanche came to. Times in seconds, `peaks` in bytes and `cpu` in seconds by program."""

    phones: int
    keep_alive: bool
    report: Mapping[str, object]
    peaks: Mapping[str, int]
    cpu: Mapping[str, float]

    def number(self, name: str) -> float:
        value = self.report[name]
        assert isinstance(value, int | float)
        return float(value)

    @property
    def complete(self) -> bool:
        return self.number("configured") == self.number("registered") == self.phones

    def tally(self, name: str) -> int:
        tally = self.report["tally"]
        assert isinstance(tally, dict)
        return int(tally[name])

    @property
    def reasons(self) -> dict[str, int]:
        """Why requests got no answer."""
        tally = self.report["tally"]
        assert isinstance(tally, dict)
        return dict(tally["reasons"])


def main(arguments: Sequence[str] | None = None, say: Callable[[str], None] = print) -> int:
    parser = argparse.ArgumentParser(
        prog="avalanche", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, nargs="+", help=f"fleets of these sizes (else {SIZES})")
    parser.add_argument("--quick", action="store_true", help=f"small fleets {QUICK_SIZES}: over in two minutes")
    parser.add_argument("--spread", type=float, default=0.0, help="seconds over which the first requests are spread")
    parser.add_argument("--keep", type=Path, help="leave the site's files and the programs' words in this folder")
    options = parser.parse_args(arguments)
    sizes = options.count or (QUICK_SIZES if options.quick else SIZES)
    say(f"avalanche: phones that lost their power together, until the last one is registered\nmachine: {machine()}")
    came_back: list[Comeback] = []
    for size in sizes:
        came_back += _one_size(size, options.spread, options.keep, say)
    for line in report(came_back):
        say(line)
    return 0 if all(one.complete for one in came_back) else 1


def _one_size(size: int, spread: float, keep: Path | None, say: Callable[[str], None]) -> list[Comeback]:
    network = claim_network()
    with tempfile.TemporaryDirectory() as scratch:
        folder = keep / str(size) if keep is not None else Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        outside = Outside(size, network.at("40.1"))
        try:
            with WholeSite(network, folder, outside.numbers) as site:
                _timed(say, f"{size} extensions read and on the gateway", _provision(site, size))
                _timed(say, f"{size} phones approved", approve_all(site, outside, folder / "fleet.jsonl"))
                return [_avalanche(site, folder, size, kept, spread, say) for kept in (False, True)]
        finally:
            network.release()


async def _provision(site: WholeSite, size: int) -> None:
    site.run("pbx", "gateway")
    await site.set_up()
    site.run("suite")
    await prepare(site, size)
    await provisioned(site, size)


def _timed(say: Callable[[str], None], what: str, work: Awaitable[None]) -> None:
    async def do() -> None:
        await work

    start = time.monotonic()
    asyncio.run(do())
    say(f"{what}: {time.monotonic() - start:.1f} s")


def _avalanche(
    site: WholeSite, folder: Path, size: int, keep_alive: bool, spread: float, say: Callable[[str], None]
) -> Comeback:
    command = [sys.executable, "-m", "opx", "phone", "69xx", "fleet", str(folder / "fleet.jsonl"), "--json"]
    command += ["--limit", str(LIMIT), "--spread", str(spread), *(["--keepalive"] if keep_alive else [])]
    peaks = Peaks({name: program.pid for name, program in site.programs.items()})
    with peaks.watching():
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=LIMIT + 120.0, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise SystemExit(f"the fleet ended with status {done.returncode} and said nothing of use: {done.stdout}")
    report = json.loads(lines[-1])
    peaks.note("phones", report["memory"], report["cpu"])
    one = Comeback(size, keep_alive, report, peaks.peaks, peaks.cpu)
    say(_line(one))
    return one


def _line(one: Comeback) -> str:
    manner = "one connection a phone" if one.keep_alive else "a connection a file"
    text = (
        f"{one.phones} phones, {manner}: {one.number('registered'):.0f} registered, the last after "
        f"{one.number('last'):.1f} s, half after {one.number('median'):.1f} s, "
        f"{one.number('second_try'):.0f} needed a second try"
    )
    troubles = one.report["troubles"]
    assert isinstance(troubles, dict)
    lines = [text, *(f"{count} phones: {trouble}" for trouble, count in list(troubles.items())[:SHOWN])]
    reasons = one.reasons
    lines += [f"{reasons[reason]} requests: {reason}" for reason in sorted(reasons, key=reasons.__getitem__)[-SHOWN:]]
    return "\n  ".join(lines)


def report(came_back: Sequence[Comeback]) -> list[str]:
    """Tables of times and of memory, how time grows, and last the figure."""
    head = ("phones", "TLS connections", "last, s", "half, s", "second try", "requests/s", "ms per phone")
    rows = [
        (
            f"{one.phones:,}{' (kept)' if one.keep_alive else ''}",
            f"{one.tally('connections'):,}",
            f"{one.number('last'):.1f}",
            f"{one.number('median'):.1f}",
            f"{one.number('second_try') / one.phones:.1%}",
            f"{one.tally('requests') / max(one.number('last'), 0.001):.0f}",
            f"{1000 * one.number('last') / one.phones:.1f}",
        )
        for one in came_back
    ]
    lines = ["", *_table(head, rows), ""]
    lines += _by_program(
        "peak memory (VmHWM), MB", came_back, lambda one, name: f"{one.peaks.get(name, 0) / 2**20:.0f}"
    )
    lines += ["", *_by_program("CPU, s", came_back, lambda one, name: f"{one.cpu.get(name, 0.0):.1f}"), ""]
    fresh = [one for one in came_back if not one.keep_alive]
    if len(fresh) > 1:
        first, last = fresh[0], fresh[-1]
        times = last.number("last") / max(first.number("last"), 0.001)
        lines.append(f"{last.phones / first.phones:.1f} times the phones take {times:.1f} times as long")
    if fresh:
        lines.append(f"avalanche: {fresh[-1].phones} phones after {fresh[-1].number('last'):.1f} s")
    return lines


def _by_program(title: str, came_back: Sequence[Comeback], cell: Callable[[Comeback, str], str]) -> list[str]:
    programs = sorted({name for one in came_back for name in one.peaks})
    head = [f"{one.phones:,}{' (kept)' if one.keep_alive else ''}" for one in came_back]
    return _table((title, *head), [(name, *(cell(one, name) for one in came_back)) for name in programs])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return [
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (head, *rows)
    ]


if __name__ == "__main__":
    sys.exit(main())

"""What every bench shares: arguments, pinned processes, CPU time, rounds that alternate OPX and its peers, the report.

A bench describes itself with a `Bench` and ends with `sys.exit(run(bench))`.
"""

import argparse
import contextlib
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from figures import Figure, Goal, Judgement, Metric, Outcome, Results
from opx import __version__
from support.programs import OutsideProgram

QUICK_LIMIT = 50.0
"""Seconds in which a run with --quick is over."""
QUICK_RESERVE = 3.0
"""Seconds of these that are kept for stopping servers and for the report."""
TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
"""Processors that this run may use, as they were at its start."""

Soak = Callable[[float, Callable[[str], None]], bool]
"""Loads ours for so many minutes, says what it finds, and returns whether that is good."""
Measure = Callable[[float], Mapping[str, float]]
"""Loads a contender for so many seconds and returns its figures by metric. `Void` when the run says nothing."""


class Void(Exception):
    """A measurement that must not count, such as one with failed calls; the text says why."""


@dataclass(frozen=True, slots=True)
class Contender:
    """`programs` are the executables it needs; without them it is named as absent.

    `absent` says why it cannot run for another reason, "" when it can.
    """

    name: str
    measure: Measure
    programs: tuple[str, ...] = ()
    absent: Callable[[], str] = lambda: ""

    def missing(self) -> str:
        if missing := [name for name in self.programs if shutil.which(name) is None]:
            return f"{', '.join(missing)} not installed; OPX_INSTALL_PEERS=1 make setup"
        return self.absent()


@dataclass(frozen=True, slots=True)
class Plan:
    """How many rounds, and for how many seconds each contender is loaded in each."""

    rounds: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Bench:
    """The first contender is ours, the first metric the figure of the last line."""

    name: str
    summary: str
    metrics: tuple[Metric, ...]
    contenders: tuple[Contender, ...]
    goals: tuple[Goal, ...] = ()
    full: Plan = Plan(rounds=5, seconds=8.0)
    quick: Plan = Plan(rounds=3, seconds=3.0)
    quick_limit: float = QUICK_LIMIT
    soak: Soak | None = None
    """A long run of ours alone, asked for with --minutes."""


# --- processors and processes


def server_core() -> int:
    """The processor that whatever is measured runs on."""
    return CORES[0]


def load_core() -> int:
    """The processor that the load comes from; the server's where there is only one."""
    return CORES[min(1, len(CORES) - 1)]


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Pins this thread for the time; processes started meanwhile stay pinned."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class PinnedProgram(OutsideProgram):
    """A program on one processor from its first instruction on, all its processes with it."""

    def __init__(self, arguments: Sequence[str], output: Path, *, core: int, cwd: Path | None = None) -> None:
        super().__init__(arguments, output, cwd=cwd)
        self._core = core

    def __enter__(self) -> Self:
        with on_core(self._core):
            return super().__enter__()

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far."""
        assert self._process is not None
        return cpu_seconds(self._process.pid)

    def memory(self) -> float:
        """Bytes that all its processes hold, what they share counted once."""
        assert self._process is not None
        return memory(self._process.pid)

    def finish(self, seconds: float) -> int:
        """Its exit status, once it ended by itself; subprocess.TimeoutExpired when it takes longer."""
        assert self._process is not None
        return self._process.wait(seconds)


def cpu_seconds(pid: int) -> float:
    """User and system time in seconds of a process and all that descend from it, ended ones included.

    An ended child counts once its parent has waited for it. ProcessLookupError when there is no such process.
    """
    parents, used = _processes()
    return sum(used[process] for process in _tree(pid, parents))


def own_cpu_seconds(pid: int) -> float:
    """User and system time in seconds of one process, without those that descend from it; 0 when it is gone."""
    return _processes()[1].get(pid, 0.0)


def tree(pid: int) -> list[int]:
    """A process and all that descend from it. ProcessLookupError when there is no such process."""
    return _tree(pid, _processes()[0])


def memory(pid: int) -> float:
    """Bytes of a process and all that descend from it; what they share counts once (proportional set size).

    ProcessLookupError when there is no such process.
    """
    parents, _ = _processes()
    total = 0
    for process in _tree(pid, parents):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def _processes() -> tuple[dict[int, int], dict[int, float]]:
    """The parent of every process of this machine, and the CPU time that it and its ended children used."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The name in parentheses may hold spaces and parentheses itself.
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        own, of_children = (int(fields[at]) + int(fields[at + 1]) for at in (11, 13))
        parents[int(entry.name)] = int(fields[1])
        used[int(entry.name)] = max(own / TICKS, _scheduled(entry)) + of_children / TICKS
    return parents, used


def _tree(pid: int, parents: Mapping[int, int]) -> list[int]:
    """A process and all that descend from it."""
    if pid not in parents:
        raise ProcessLookupError(f"there is no process {pid}")
    found = []
    for process in parents:
        ancestor = process
        while ancestor not in (pid, 0):
            ancestor = parents.get(ancestor, 0)
        if ancestor == pid:
            found.append(process)
    return found


def _scheduled(process: Path) -> float:
    """Time of the living threads by the scheduler's clock, 0 where the kernel does not tell.

    The times in `stat` are cut down to ticks of 10 ms, which weighs on a server of many processes.
    """
    nanoseconds = 0
    for thread in (process / "task").glob("*/schedstat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            nanoseconds += int(thread.read_text().split()[0])
    return nanoseconds / 1e9


# --- a run


def run(
    bench: Bench,
    arguments: Sequence[str] | None = None,
    *,
    say: Callable[[str], None] = print,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """The whole run from the command line on; returns the exit status."""
    parser = argparse.ArgumentParser(prog=bench.name, description=bench.summary)
    quick_help = f"fewer and shorter rounds: over in {bench.quick_limit:.0f} s"
    parser.add_argument("--quick", action="store_true", help=quick_help)
    parser.add_argument(
        "--check", action="store_true", help="exit status 1 when a goal is missed by more than the run's own spread"
    )
    if bench.soak is not None:
        parser.add_argument("--minutes", type=float, metavar="N", help="instead: ours alone under a long, steady load")
    options = parser.parse_args(arguments)
    say(f"{bench.name}: {bench.summary}")
    say(f"machine: {machine()}")
    if bench.soak is not None and options.minutes:
        with on_core(load_core()):
            return 0 if bench.soak(options.minutes, say) else 1
    present = []
    for contender in bench.contenders:
        if missing := contender.missing():
            say(f"absent: {contender.name} ({missing})")
        else:
            present.append(contender)
    results = Results(bench.metrics, bench.contenders[0].name)
    with on_core(load_core()):
        our_problem = _measure(
            results,
            present,
            bench.quick if options.quick else bench.full,
            clock() + bench.quick_limit - QUICK_RESERVE if options.quick else None,
            say,
            clock,
        )
    judgements = [results.judge(goal) for goal in bench.goals]
    for line in report(bench, results, [contender.name for contender in present], judgements):
        say(line)
    missed = any(judgement.outcome is Outcome.MISSED for judgement in judgements)
    return 1 if our_problem or (options.check and missed) else 0


def _measure(
    results: Results,
    contenders: Sequence[Contender],
    plan: Plan,
    deadline: float | None,
    say: Callable[[str], None],
    clock: Callable[[], float],
) -> bool:
    """All rounds, as long as a further one fits before `deadline`. Returns whether a run of ours was void."""
    our_problem = False
    longest = 0.0
    for number in range(plan.rounds):
        start = clock()
        if number and deadline is not None and start + longest > deadline:
            say(f"no time for round {number + 1} of {plan.rounds}")
            break
        # Who goes first changes, so that no one always finds the machine warm.
        order = contenders if number % 2 == 0 else list(reversed(contenders))
        one: dict[str, Mapping[str, float]] = {}
        for contender in order:
            try:
                one[contender.name] = contender.measure(plan.seconds)
            except Void as reason:
                say(f"round {number + 1}: {contender.name} is void: {reason}")
                our_problem |= contender.name == results.ours
        results.add(one)
        first = next(iter(results.metrics.values()))
        parts = [
            f"{name} {_text(figures[first.name], first)}" for name, figures in one.items() if first.name in figures
        ]
        say(f"round {number + 1} of {plan.rounds}: {first.name}: {', '.join(parts) or 'nothing valid'}")
        longest = max(longest, clock() - start)
    return our_problem


# --- what is printed


def machine() -> str:
    """Processor, kernel and versions, since a figure without them says nothing."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    cores = f"{len(CORES)} processors, server on {server_core()}, load on {load_core()}"
    if server_core() == load_core():
        cores += " too, which distorts the figures"
    return f"{model}; {cores}; Linux {platform.release()}; Python {platform.python_version()}; opx {__version__}"


def report(bench: Bench, results: Results, present: Sequence[str], judgements: Sequence[Judgement]) -> list[str]:
    """The table, the goals, and last the figure."""
    rows = [["", *present, ""]]
    for metric in bench.metrics:
        cells = [_figure(results.figure(name, metric.name), metric) for name in present]
        rows.append([metric.name, *cells, metric.unit])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["", *("  ".join(_cells(row, widths)).rstrip() for row in rows)]
    lines.append("median of the rounds, ± the round farthest from it")
    lines += [_goal(judgement, results, bench) for judgement in judgements]
    first = bench.metrics[0]
    lines.append(
        f"{bench.name}: {results.ours} {_figure(results.figure(results.ours, first.name), first)} {first.unit}"
    )
    return lines


def _cells(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    last = len(row) - 1
    for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.ljust(width) if column in (0, last) else cell.rjust(width)


def _figure(figure: Figure | None, metric: Metric) -> str:
    if figure is None:
        return "-"
    return _with_spread(figure, metric.decimals)


def _with_spread(figure: Figure, decimals: int) -> str:
    """One round says nothing of a spread, and ± 0 would claim that there is none."""
    spread = f"± {figure.spread:,.{decimals}f}" if figure.rounds > 1 else "(one round)"
    return f"{figure.value:,.{decimals}f} {spread}"


def _text(value: float, metric: Metric) -> str:
    return f"{value:,.{metric.decimals}f}"


def _goal(judgement: Judgement, results: Results, bench: Bench) -> str:
    goal = judgement.goal
    metric = results.metrics[goal.metric]
    reach = "at least" if metric.higher_is_better else "at most"
    if goal.versus:
        wanted = f"{reach} {goal.bound:g} times {goal.versus}"
        got = _with_spread(judgement.figure, 2) if judgement.figure else ""
    else:
        wanted = f"{reach} {_text(goal.bound, metric)} {metric.unit}"
        got = _figure(judgement.figure, metric) if judgement.figure else ""
    why = f": {got}" if got else f": {goal.versus or bench.contenders[0].name} has no valid round"
    whose = f"{goal.of}'s " if goal.of else ""
    return f"goal {judgement.outcome.value}: {whose}{metric.name} {wanted}{why}"

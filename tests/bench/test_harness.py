"""A run of a bench: rounds, what is printed, exit status; and what it reads from the kernel."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from figures import Goal, Metric
from harness import (
    QUICK_LIMIT,
    TICKS,
    Bench,
    Contender,
    Measure,
    PinnedProgram,
    Plan,
    Void,
    cpu_seconds,
    run,
    server_core,
)
from support.programs import wait_until

SHORT = Plan(rounds=3, seconds=1)


def steady(rate: float) -> Measure:
    return lambda seconds: {"rate": rate}


def bench(*contenders: Contender, goals: tuple[Goal, ...] = (), plan: Plan = SHORT) -> Bench:
    return Bench("trial", "a trial", (Metric("rate", "per s"),), contenders, goals, full=plan, quick=plan)


def run_it(one: Bench, *arguments: str) -> tuple[int, list[str]]:
    lines: list[str] = []
    return run(one, arguments, say=lines.append), lines


def test_the_last_line_is_our_figure() -> None:
    status, lines = run_it(bench(Contender("OPX", steady(1234))))
    assert status == 0
    assert lines[-1] == "trial: OPX 1,234 ± 0 per s"


def test_one_round_claims_no_spread() -> None:
    once = bench(Contender("OPX", steady(5)), plan=Plan(rounds=1, seconds=1))
    assert run_it(once)[1][-1] == "trial: OPX 5 (one round) per s"


def test_a_missed_goal_fails_only_a_check() -> None:
    missed = bench(Contender("OPX", steady(10)), goals=(Goal("rate", 20),))
    assert run_it(missed)[0] == 0
    status, lines = run_it(missed, "--check")
    assert status == 1
    assert "goal missed: rate at least 20 per s: 10 ± 0" in lines


def test_a_goal_reached_passes_the_check() -> None:
    met = bench(Contender("OPX", steady(10)), Contender("peer", steady(4)), goals=(Goal("rate", 2, versus="peer"),))
    status, lines = run_it(met, "--check")
    assert status == 0
    assert "goal met: rate at least 2 times peer: 2.50 ± 0.00" in lines


def test_a_peer_whose_program_is_missing_is_named_as_absent_and_its_goal_not_judged() -> None:
    absent = Contender("peer", steady(4), programs=("no-such-program-anywhere",))
    status, lines = run_it(bench(Contender("OPX", steady(10)), absent, goals=(Goal("rate", 2, "peer"),)), "--check")
    assert status == 0
    assert any(line.startswith("absent: peer (no-such-program-anywhere not installed") for line in lines)
    assert "goal not judged: rate at least 2 times peer: peer has no valid round" in lines


def test_who_goes_first_alternates() -> None:
    order: list[str] = []

    def noting(name: str) -> Measure:
        def measure(seconds: float) -> Mapping[str, float]:
            order.append(name)
            return {"rate": 1}

        return measure

    run_it(bench(Contender("OPX", noting("OPX")), Contender("peer", noting("peer"))))
    assert order == ["OPX", "peer", "peer", "OPX", "OPX", "peer"]


def test_a_void_run_of_ours_fails_and_says_why() -> None:
    def failing(seconds: float) -> Mapping[str, float]:
        raise Void("3 calls failed")

    status, lines = run_it(bench(Contender("OPX", failing), Contender("peer", steady(1))))
    assert status == 1
    assert "round 1: OPX is void: 3 calls failed" in lines
    assert lines[-1] == "trial: OPX - per s"


def test_a_void_run_of_a_peer_does_not_fail_ours() -> None:
    def failing(seconds: float) -> Mapping[str, float]:
        raise Void("it crashed")

    assert run_it(bench(Contender("OPX", steady(1)), Contender("peer", failing)), "--check")[0] == 0


def test_a_quick_run_starts_no_round_that_would_go_over_its_limit() -> None:
    now = 0.0

    def slow(seconds: float) -> Mapping[str, float]:
        nonlocal now
        now += seconds
        return {"rate": 1}

    lines: list[str] = []
    slow_bench = bench(Contender("OPX", slow), plan=Plan(rounds=10, seconds=12))
    run(slow_bench, ["--quick"], say=lines.append, clock=lambda: now)
    assert now == 36
    assert now < QUICK_LIMIT
    assert "no time for round 4 of 10" in lines


def test_the_plan_gives_rounds_and_seconds() -> None:
    asked: list[float] = []

    def noting(seconds: float) -> Mapping[str, float]:
        asked.append(seconds)
        return {"rate": 1}

    one = Bench(
        "trial",
        "a trial",
        (Metric("rate", "per s"),),
        (Contender("OPX", noting),),
        full=Plan(rounds=2, seconds=9),
        quick=Plan(rounds=1, seconds=2),
    )
    run_it(one)
    run_it(one, "--quick")
    assert asked == [9, 9, 2]


BURN = "import os, time\nwhile time.process_time() < 0.3: pass\n"
TREE = f"""
import subprocess, sys, time
subprocess.run([sys.executable, "-c", {BURN!r}])
child = subprocess.Popen([sys.executable, "-c", {BURN!r} + "print('burnt', flush=True)\\ntime.sleep(600)"])
print(sorted(__import__('os').sched_getaffinity(child.pid)), flush=True)
time.sleep(600)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[PinnedProgram]:
    """A process with a child that has ended and one that lives, each with 0.3 s of CPU time."""
    with PinnedProgram([sys.executable, "-c", TREE], tmp_path / "output", core=server_core()) as program:
        program.wait_for("burnt")
        yield program


def test_cpu_time_is_that_of_the_whole_tree_of_processes(tree: PinnedProgram) -> None:
    assert tree.cpu_seconds() >= 0.55


def test_cpu_time_is_finer_than_the_ticks_of_the_kernel(tmp_path: Path) -> None:
    with PinnedProgram(["sleep", "600"], tmp_path / "output", core=server_core()) as program:
        wait_until(lambda: program.cpu_seconds() > 0)
        ticks = program.cpu_seconds() * TICKS
        assert abs(ticks - round(ticks)) > 1e-6


def test_a_pinned_program_keeps_its_children_on_its_processor(tree: PinnedProgram) -> None:
    wait_until(lambda: "[" in tree.text)
    assert f"[{server_core()}]" in tree.text


def test_pinning_a_program_leaves_ourselves_where_we_were(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    with PinnedProgram([sys.executable, "-c", ""], tmp_path / "output", core=server_core()) as program:
        assert program.wait() == 0
    assert os.sched_getaffinity(0) == before


def test_there_is_no_cpu_time_of_a_process_that_is_not_there() -> None:
    with pytest.raises(ProcessLookupError):
        cpu_seconds(2**22 + 1)


def test_a_contender_may_lack_a_metric() -> None:
    other = Metric("other", "s", higher_is_better=False)
    both = Contender("OPX", lambda seconds: {"rate": 1, "other": 2})
    less = Contender("peer", lambda seconds: {"other": 3})
    lines: list[str] = []
    one = Bench("trial", "a trial", (Metric("rate", "per s"), other), (both, less), full=SHORT, quick=SHORT)
    assert run(one, [], say=lines.append) == 0
    assert "round 1 of 3: rate: OPX 1" in lines
    assert any(line.split() == ["rate", "1", "±", "0", "-", "per", "s"] for line in lines)


def test_a_long_run_is_ours_alone_and_its_verdict_the_status() -> None:
    asked: list[float] = []

    def soak(minutes: float, say: object) -> bool:
        asked.append(minutes)
        return minutes < 5

    def never(seconds: float) -> Mapping[str, float]:
        raise AssertionError("no round was asked for")

    one = Bench("trial", "a trial", (Metric("rate", "per s"),), (Contender("OPX", never),), soak=soak)
    lines: list[str] = []
    assert [run(one, ["--minutes", minutes], say=lines.append) for minutes in ("2", "5")] == [0, 1]
    assert asked == [2, 5]

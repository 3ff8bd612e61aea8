"""The timer wheel."""

import pytest

from opx.sip.timers import TimerWheel


def test_timers_run_in_order_each_at_its_own_time() -> None:
    wheel = TimerWheel()
    seen: list[tuple[str, float]] = []
    wheel.schedule(2.0, lambda: seen.append(("late", wheel.now)))
    wheel.schedule(0.5, lambda: seen.append(("early", wheel.now)))
    wheel.schedule(0.5, lambda: seen.append(("second", wheel.now)))
    wheel.advance(10.0)
    assert [name for name, _ in seen] == ["early", "second", "late"]
    assert [round(at, 3) for _, at in seen] == [0.5, 0.5, 2.0]
    assert wheel.now == 10.0


def test_a_cancelled_timer_does_not_run() -> None:
    wheel = TimerWheel()
    timer = wheel.schedule(0.5, lambda: pytest.fail("it ran"))
    timer.cancel()
    assert not timer.active
    wheel.advance(1.0)


def test_a_call_that_raises_loses_no_other_timer() -> None:
    wheel = TimerWheel()
    seen: list[str] = []

    def broken() -> None:
        wheel.schedule(0.0, lambda: seen.append("scheduled meanwhile"))
        raise ValueError("broken")

    wheel.schedule(0.5, broken)
    wheel.schedule(0.5, lambda: seen.append("same tick"))
    wheel.schedule(0.7, lambda: seen.append("later"))
    with pytest.raises(ValueError, match="broken"):
        wheel.advance(1.0)
    wheel.advance(1.0)
    assert sorted(seen) == ["later", "same tick", "scheduled meanwhile"]

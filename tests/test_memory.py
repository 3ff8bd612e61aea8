"""When the collector makes its long walk."""

import asyncio
import gc
from collections.abc import Iterator

import pytest

from opx.memory import QUIET, collect_when_quiet
from support.programs import PATIENCE


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    made: list[int] = []
    monkeypatch.setattr(gc, "collect", lambda: made.append(1))
    yield made


async def looked(used: Iterator[float], times: int) -> None:
    """Until the process was looked at so often."""
    left = [2 * times]
    done = asyncio.Event()

    def read() -> float:
        left[0] -= 1
        if left[0] <= 0:
            done.set()
        return next(used)

    task = asyncio.create_task(collect_when_quiet(0.001, read))
    async with asyncio.timeout(PATIENCE):
        await done.wait()
    await asyncio.sleep(0)
    task.cancel()


async def test_a_quiet_process_is_walked_through(walks: list[int]) -> None:
    await looked(iter([5.0] * 100), 3)
    assert len(walks) >= 3


async def test_a_busy_process_is_left_alone(walks: list[int]) -> None:
    await looked(iter(number * QUIET for number in range(1000)), 3)
    assert walks == []

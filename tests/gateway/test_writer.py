"""Writing behind: late, once, and without losing anything."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from opx.gateway.repository import BindingRow, IcpBindingRow, Repository, TimelineRow
from opx.gateway.writer import BACKOFF_MAX, BACKOFF_MIN, WriteBehind
from support.gateway_store import SPEC, opened, with_icp
from support.programs import PATIENCE

INTERVAL = 0.5


def binding(cseq: int, contact: str = "sip:tw1@192.0.2.9") -> BindingRow:
    return BindingRow(1, contact, "", "UDP", "192.0.2.9", 5062, "call", cseq, "Phone/1", 1000.0, 1120.0)


def entry(text: str) -> TimelineRow:
    return TimelineRow(1, 1.0, "call", text)


@dataclass
class Batch:
    bindings: list[BindingRow]
    gone: list[tuple[int, str]]
    icp_bindings: list[IcpBindingRow]
    icp_gone: list[int]
    timeline: list[TimelineRow]


@dataclass
class Database(Repository):
    """Keeps what it is given in memory; fails while `failure` is set, and waits for `gate` while that is there."""

    batches: list[Batch] = field(default_factory=list)
    failure: Exception | None = None
    gate: asyncio.Event | None = None
    tries: int = 0

    async def write(
        self,
        *,
        bindings: Iterable[BindingRow] = (),
        gone: Iterable[tuple[int, str]] = (),
        icp_bindings: Iterable[IcpBindingRow] = (),
        icp_gone: Iterable[int] = (),
        timeline: Sequence[TimelineRow] = (),
    ) -> None:
        self.tries += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.batches.append(Batch(list(bindings), list(gone), list(icp_bindings), list(icp_gone), list(timeline)))


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.sleeps: list[float] = []
        self._wakes: asyncio.Queue[None] = asyncio.Queue()
        self._asleep = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self._asleep.set()
        await self._wakes.get()

    async def pass_one(self) -> None:
        """Wait until someone sleeps, and end that."""
        await self.asleep()
        self._asleep.clear()
        self._wakes.put_nowait(None)

    async def asleep(self) -> float:
        """Wait until someone sleeps again; for how long."""
        async with asyncio.timeout(PATIENCE):
            await self._asleep.wait()
        return self.sleeps[-1]


def broken() -> OperationalError:
    return OperationalError("INSERT", {}, Exception("disk I/O error"))


async def test_changes_of_a_moment_are_written_together_and_the_newest_counts() -> None:
    database, clock = Database(), Clock()
    writer = WriteBehind(database, interval=INTERVAL, sleep=clock.sleep)
    writer.start()
    for cseq in (1, 2, 3):
        writer.save_binding(binding(cseq))
    writer.save_binding(binding(1, "sip:gone@192.0.2.9"))
    writer.delete_binding(1, "sip:gone@192.0.2.9")
    writer.delete_icp_binding(1)
    writer.save_icp_binding(IcpBindingRow(1, "c", 4, 9.0))
    writer.save_icp_binding(IcpBindingRow(2, "d", 4, 9.0))
    writer.delete_icp_binding(2)
    writer.add_timeline(entry("one"))
    writer.add_timeline(entry("two"))

    assert await clock.asleep() == INTERVAL
    assert database.batches == []
    await clock.pass_one()
    await writer.stop()

    assert database.batches == [
        Batch(
            [binding(3)],
            [(1, "sip:gone@192.0.2.9")],
            [IcpBindingRow(1, "c", 4, 9.0)],
            [2],
            [entry("one"), entry("two")],
        )
    ]


async def test_nothing_is_written_when_nothing_changed() -> None:
    database = Database()
    writer = WriteBehind(database)
    writer.start()
    await writer.flush()
    await writer.stop()

    assert database.tries == 0


async def test_what_is_left_is_written_at_the_stop() -> None:
    database, clock = Database(), Clock()
    writer = WriteBehind(database, interval=INTERVAL, sleep=clock.sleep)
    writer.start()
    writer.save_binding(binding(1))

    await writer.stop()

    assert [batch.bindings for batch in database.batches] == [[binding(1)]]


@pytest.mark.parametrize("failure", [broken(), OverflowError("no integer"), OSError("no space left on device")])
async def test_a_failing_database_loses_nothing_and_newer_states_win(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    database, clock = Database(failure=failure), Clock()
    writer = WriteBehind(database, interval=INTERVAL, sleep=clock.sleep)
    writer.start()
    writer.save_binding(binding(1))
    writer.save_binding(binding(1, "sip:other@192.0.2.9"))
    writer.add_timeline(entry("one"))
    await clock.pass_one()

    assert await clock.asleep() == BACKOFF_MIN
    assert f"the database cannot be written ({type(failure).__name__}); next try in 1 s" in caplog.text
    writer.save_binding(binding(2))
    writer.add_timeline(entry("two"))
    database.failure = None
    await clock.pass_one()
    await writer.stop()

    assert database.batches == [
        Batch([binding(2), binding(1, "sip:other@192.0.2.9")], [], [], [], [entry("one"), entry("two")])
    ]


async def test_tries_become_rarer_up_to_a_bound_and_usual_again_afterwards() -> None:
    database, clock = Database(failure=broken()), Clock()
    writer = WriteBehind(database, interval=INTERVAL, sleep=clock.sleep)
    writer.start()
    writer.save_binding(binding(1))
    for _ in range(9):
        await clock.pass_one()
    await clock.asleep()
    assert clock.sleeps == [INTERVAL, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, *[BACKOFF_MAX] * 3]

    database.failure = None
    gate = database.gate = asyncio.Event()
    await clock.pass_one()
    gate.set()
    await writer.flush()
    writer.save_binding(binding(2))

    assert await clock.asleep() == INTERVAL
    await writer.stop()
    assert [batch.bindings for batch in database.batches] == [[binding(1)], [binding(2)]]


async def test_a_database_that_was_away_is_said_on_the_gateways_timeline_when_it_is_back() -> None:
    now = 1000.0
    database, clock = Database(failure=broken()), Clock()
    writer = WriteBehind(database, interval=INTERVAL, max_timeline=2, sleep=clock.sleep, wall=lambda: now)
    writer.start()
    for text in ("1", "2", "3"):
        writer.add_timeline(entry(text))
    await clock.pass_one()
    await clock.asleep()
    writer.add_timeline(entry("4"))
    now += 90
    database.failure = None
    await clock.pass_one()
    await clock.asleep()
    await writer.stop()

    assert [[row.text for row in batch.timeline] for batch in database.batches] == [
        ["1", "2"],
        ["the database could be written again after 90 s; 1 timeline entries and records were dropped meanwhile"],
    ]
    assert database.batches[1].timeline[0].device_id is None


async def test_timeline_entries_over_the_bound_are_dropped_with_a_warning_but_bindings_never(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    database, clock = Database(failure=broken()), Clock()
    writer = WriteBehind(database, interval=INTERVAL, max_timeline=3, sleep=clock.sleep)
    writer.start()
    for number in range(5):
        writer.add_timeline(entry(str(number)))
        writer.save_binding(binding(number, f"sip:{number}@192.0.2.9"))
    await clock.pass_one()
    await clock.asleep()
    writer.add_timeline(entry("late"))
    database.failure = None
    await clock.pass_one()
    await writer.stop()

    (batch,) = database.batches
    assert [row.text for row in batch.timeline] == ["0", "1", "2"]
    assert len(batch.bindings) == 5
    assert writer.dropped == 3
    assert "timeline entries and records dropped: 2 in all" in caplog.text


async def test_what_came_during_a_failing_write_is_newer_and_entries_that_do_not_fit_count_as_dropped() -> None:
    database = Database(failure=broken(), gate=asyncio.Event())
    writer = WriteBehind(database, max_timeline=3)
    for text in ("0", "1"):
        writer.add_timeline(entry(text))
    writer.save_binding(binding(1))
    writer.save_icp_binding(IcpBindingRow(1, "c", 1, 9.0))
    flushing = asyncio.create_task(writer.flush())
    while not database.tries:
        await asyncio.sleep(0)
    for text in ("2", "3", "4"):
        writer.add_timeline(entry(text))
    writer.save_binding(binding(2))
    writer.save_icp_binding(IcpBindingRow(1, "c", 2, 9.0))
    assert database.gate is not None
    database.gate.set()
    with pytest.raises(OperationalError):
        await flushing
    database.failure = None
    await writer.flush()

    (batch,) = database.batches
    assert [row.text for row in batch.timeline] == ["0", "1", "2"]
    assert batch.bindings == [binding(2)]
    assert batch.icp_bindings == [IcpBindingRow(1, "c", 2, 9.0)]
    assert writer.dropped == 2


async def test_a_stop_in_the_middle_of_a_write_waits_for_it_and_keeps_the_order() -> None:
    gate = asyncio.Event()
    database, clock = Database(gate=gate), Clock()
    writer = WriteBehind(database, interval=INTERVAL, sleep=clock.sleep)
    writer.start()
    writer.save_binding(binding(1))
    await clock.pass_one()
    while not database.tries:
        await asyncio.sleep(0)
    writer.save_binding(binding(2))
    stopping = asyncio.create_task(writer.stop())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not stopping.done()
    assert database.tries == 1
    gate.set()
    await stopping

    assert [batch.bindings for batch in database.batches] == [[binding(1)], [binding(2)]]


async def test_a_database_that_fails_even_at_the_stop_is_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    writer = WriteBehind(Database(failure=broken()))
    writer.save_binding(binding(1))
    writer.add_timeline(entry("one"))

    await writer.stop()

    assert "lost: 1 changes of bindings, 1 timeline entries" in caplog.text


async def test_a_contact_that_is_no_text_reaches_the_database_and_the_writer_lives_on(tmp_path: Path) -> None:
    async with opened(tmp_path) as repository:
        await (await with_icp(repository)).put_device(SPEC)
        writer = WriteBehind(repository, interval=0.0)
        writer.start()
        writer.save_binding(binding(1, "sip:\udcff@192.0.2.9"))
        await writer.flush()
        writer.save_binding(binding(2))
        await writer.stop()

        assert {row.contact for row in await repository.bindings()} == {"sip:\\udcff@192.0.2.9", binding(2).contact}

"""Call records, messages and alarms in the database: found again, in pages, and thrown away in time."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from opx.alarms import Alarm
from opx.gateway.control.protocol import MediaFigures, StreamFigures
from opx.gateway.faults.messages import CallTrace, pack
from opx.gateway.faults.records import CallRecord
from opx.gateway.faults.repository import CallQuery, FaultsRepository, Keeping, PackedLadder
from support.gateway_store import opened

pytestmark = pytest.mark.usefixtures("each_database")

DAY = 86400.0
NOW = 1_700_000_000.0
BASE = CallRecord(
    "c0", 1, "tw1", "Node 1", "outgoing", "1001", "1002", NOW, NOW + 1, NOW + 2, NOW + 60, "answered", "phone", 0,
    "the caller hung up", "UDP 203.0.113.7:40001", "Phone/1.0", "UDP 10.9.8.20:5060", "PCMA/8000",
)  # fmt: skip


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[FaultsRepository]:
    async with opened(tmp_path) as repository:
        yield FaultsRepository(repository.engine)


def call(number: int, **changes: object) -> CallRecord:
    at = NOW + number
    return replace(BASE, call_id=f"c{number}", started_at=at, ended_at=at + 10, **changes)  # type: ignore[arg-type]


async def ids(kept: FaultsRepository, query: CallQuery | None = None) -> list[str]:
    records, total = await kept.calls(query or CallQuery())
    assert total == len(records)
    return [record.call_id for record in records]


async def test_a_record_comes_back_as_it_was_and_a_later_one_of_the_same_call_replaces_it(
    kept: FaultsRepository,
) -> None:
    stream = StreamFigures(local="a:1", remote="b:2", packets=5, told_lost=-1)
    media = MediaFigures(codec="PCMA/8000", set_side=stream, icp_side=stream)
    await kept.write([BASE, replace(BASE, media=media)])
    assert await kept.call("c0") == replace(BASE, media=media)
    await kept.write([BASE])
    assert await kept.call("c0") == BASE
    assert await kept.call("c1") is None


async def test_calls_are_searched_filtered_sorted_and_paged(kept: FaultsRepository) -> None:
    await kept.write(
        [
            call(1),
            call(2, outcome="refused", callee="0900"),
            call(3, direction="incoming", caller="50%_1"),
            call(4, device_id=2, device="tw2", reason="Busy Here"),
        ]
    )
    assert await ids(kept) == ["c4", "c3", "c2", "c1"]
    assert await ids(kept, CallQuery(search="0900")) == ["c2"]
    assert await ids(kept, CallQuery(search="busy here")) == ["c4"]
    assert await ids(kept, CallQuery(search="c3")) == ["c3"]
    assert await ids(kept, CallQuery(search="%")) == ["c3"]
    assert await ids(kept, CallQuery(search="' OR 1=1 --")) == []
    assert await ids(kept, CallQuery(device_id=2)) == ["c4"]
    assert await ids(kept, CallQuery(outcome="refused", direction="outgoing")) == ["c2"]
    assert await ids(kept, CallQuery(since=NOW + 2, until=NOW + 4)) == ["c3", "c2"]
    page, total = await kept.calls(CallQuery(), offset=1, limit=2, sort="started_at", descending=False)
    assert ([record.call_id for record in page], total) == (["c2", "c3"], 4)
    by_name, _ = await kept.calls(CallQuery(), sort="callee", descending=False)
    assert by_name[0].call_id == "c2"
    unknown, _ = await kept.calls(CallQuery(), sort="password")
    assert unknown[0].call_id == "c4"


async def test_all_calls_come_one_after_the_other_though_many_began_at_once(kept: FaultsRepository) -> None:
    same = [replace(call(7), call_id=f"s{number:04}") for number in range(1200)]
    await kept.write([*same, call(1), call(9)])
    found = [record.call_id async for record in kept.each_call(CallQuery(), 10_000)]
    assert found == ["c9", *(record.call_id for record in same), "c1"]
    assert len([record async for record in kept.each_call(CallQuery(), 700)]) == 700


async def test_what_a_stranger_calls_himself_can_be_stored(kept: FaultsRepository) -> None:
    hostile = "\0\udcff" + "x" * 500
    await kept.write([call(1, caller=hostile, callee=hostile, reason=hostile, user_agent=hostile, device="ü" * 200)])
    record = await kept.call("c1")
    assert record is not None
    assert record.caller.startswith("\\x00\\udcff")
    assert len(record.caller) == 128


async def test_what_is_old_or_too_much_is_thrown_away(kept: FaultsRepository) -> None:
    calls = [replace(call(number), ended_at=NOW - number * DAY, started_at=NOW - number * DAY) for number in range(20)]
    ladders = [
        PackedLadder(f"c{number}", NOW - number * DAY, number % 2 == 1, pack(CallTrace(()))) for number in range(20)
    ]
    alarms = [Alarm(f"a{number}", "overloaded", "", "x", NOW - number * DAY, NOW) for number in range(20)]
    standing = Alarm("s", "icp-unreachable", "Node 1", "x", NOW - 999 * DAY)
    await kept.write([*calls, *ladders, *alarms, standing])
    keeping = Keeping(record_days=9.5, records=8, ladder_days=14.5, ladders=3, failed_ladders=5, alarms=4)
    assert await kept.throw_away(keeping, NOW) == 12 + 12 + 16
    assert await ids(kept) == [f"c{number}" for number in range(8)]
    left = [number for number in range(20) if await kept.ladder(f"c{number}") is not None]
    assert left == [0, 1, 2, 3, 4, 5, 7, 9]
    found, total = await kept.alarms()
    assert [alarm.alarm_id for alarm in found] == ["s", "a0", "a1", "a2", "a3"]
    assert total == 5
    assert await kept.throw_away(keeping, NOW) == 0


async def test_an_alarm_that_is_cleared_takes_the_place_of_the_one_that_stood(kept: FaultsRepository) -> None:
    alarm = Alarm("a", "icp-unreachable", "Node 1", "it does not answer", NOW)
    await kept.write([alarm])
    assert await kept.alarms(standing=True) == ([alarm], 1)
    await kept.write([replace(alarm, cleared_at=NOW + 5)])
    assert await kept.alarms(standing=True) == ([], 0)
    assert (await kept.alarms())[0] == [replace(alarm, cleared_at=NOW + 5)]

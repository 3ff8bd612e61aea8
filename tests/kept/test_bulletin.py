"""Processes of one program tell each other what they have changed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opx.kept.bulletin import Hub, Member, Rooms, tell


class Ear:
    """Hears one topic."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[str, ...]] = asyncio.Queue()

    def __call__(self, keys: tuple[str, ...]) -> None:
        self.heard.put_nowait(keys)

    async def next(self) -> tuple[str, ...]:
        async with asyncio.timeout(10):
            return await self.heard.get()


@contextlib.asynccontextmanager
async def member(path: Path, ear: Ear) -> AsyncIterator[Member]:
    one = Member(path)
    one.subscribe("phones", ear)
    await one.start()
    try:
        yield one
    finally:
        await one.stop()


async def test_what_one_publishes_all_others_hear_of_and_the_main_process_too(tmp_path: Path) -> None:
    hub, main, first, second = Hub(tmp_path / "b.sock"), Ear(), Ear(), Ear()
    hub.subscribe("phones", main)
    await hub.start()
    async with member(tmp_path / "b.sock", first) as one, member(tmp_path / "b.sock", second):
        one.publish("phones", ["a", "b"])
        assert await main.next() == await second.next() == ("a", "b")
        hub.publish("phones", ["c"])
        assert await first.next() == await second.next() == ("c",)
        assert main.heard.empty()
    await hub.stop()


async def test_rooms_of_the_main_process_hear_of_one_another(tmp_path: Path) -> None:
    hub, main, other = Hub(tmp_path / "b.sock"), Ear(), Ear()
    rooms = Rooms(hub)
    rooms.subscribe("phones", main)
    await hub.start()
    async with member(tmp_path / "b.sock", other) as one:
        rooms.publish("phones", ["a"])
        assert await main.next() == await other.next() == ("a",)
        one.publish("phones", ["b"])
        assert await main.next() == ("b",)
    await hub.stop()


async def test_a_command_publishes_without_being_a_member_and_learns_whether_somebody_is_there(tmp_path: Path) -> None:
    path, main = tmp_path / "b.sock", Ear()
    assert not await tell(path, "phones")
    hub = Hub(path)
    hub.subscribe("phones", main)
    await hub.start()
    assert await tell(path, "phones", ["a"])
    assert await main.next() == ("a",)
    await hub.stop()
    assert not path.exists()


async def test_whoever_missed_something_is_told_that_anything_may_have_changed(tmp_path: Path) -> None:
    path, ear = tmp_path / "b.sock", Ear()
    first = Hub(path)
    await first.start()
    async with member(path, ear):
        await first.stop()
        second = Hub(path)
        await second.start()
        assert await ear.next() == ()
        await second.stop()


async def test_too_many_keys_mean_that_anything_may_have_changed(tmp_path: Path) -> None:
    hub, ear = Hub(tmp_path / "b.sock"), Ear()
    await hub.start()
    async with member(tmp_path / "b.sock", ear):
        hub.publish("phones", [str(number) for number in range(1001)])
        assert await ear.next() == ()
    await hub.stop()


async def test_a_second_main_process_is_refused(tmp_path: Path) -> None:
    hub = Hub(tmp_path / "b.sock")
    await hub.start()
    with pytest.raises(OSError, match="another process listens there"):
        await Hub(tmp_path / "b.sock").start()
    await hub.stop()

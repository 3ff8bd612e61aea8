"""Notices from other processes that the database has changed."""

import asyncio
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from opx.gateway.changes import ChangeListener, Told, tell_change


class Signalling:
    def __init__(self) -> None:
        self.changes = 0
        self.failure: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.at_once = 0

    async def on_change(self) -> None:
        self.at_once += 1
        assert self.at_once == 1
        if self.gate is not None:
            await self.gate.wait()
        self.at_once -= 1
        if self.failure is not None:
            raise self.failure
        self.changes += 1


@asynccontextmanager
async def listening(path: Path, signalling: Signalling) -> AsyncIterator[None]:
    listener = ChangeListener(path, signalling.on_change)
    await listener.start()
    try:
        yield
    finally:
        await listener.stop()


async def test_a_notice_is_answered_when_the_change_is_taken_over(tmp_path: Path) -> None:
    signalling = Signalling()
    async with listening(tmp_path / "s", signalling):
        assert await asyncio.to_thread(tell_change, tmp_path / "s") is Told.TAKEN
        assert signalling.changes == 1
    assert not (tmp_path / "s").exists()


async def test_without_a_gateway_nobody_is_told(tmp_path: Path) -> None:
    assert tell_change(tmp_path / "s") is Told.NOBODY
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "left-over"))
    assert tell_change(tmp_path / "left-over") is Told.NOBODY


async def test_a_change_that_cannot_be_taken_over_is_said_so_and_the_next_one_works(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    signalling = Signalling()
    async with listening(tmp_path / "s", signalling):
        signalling.failure = ValueError("no such column")
        assert await asyncio.to_thread(tell_change, tmp_path / "s") is Told.FAILED
        signalling.failure = None
        assert await asyncio.to_thread(tell_change, tmp_path / "s") is Told.TAKEN
    assert "could not be taken over" in caplog.text


async def test_notices_at_once_are_taken_one_after_the_other(tmp_path: Path) -> None:
    signalling = Signalling()
    signalling.gate = asyncio.Event()
    async with listening(tmp_path / "s", signalling):
        tellers = [asyncio.create_task(asyncio.to_thread(tell_change, tmp_path / "s")) for _ in range(3)]
        while not signalling.at_once:
            await asyncio.sleep(0)
        signalling.gate.set()
        assert await asyncio.gather(*tellers) == [Told.TAKEN] * 3
    assert signalling.changes == 3


async def test_only_the_owner_may_use_the_socket(tmp_path: Path) -> None:
    async with listening(tmp_path / "s", Signalling()):
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600


async def test_a_socket_left_over_by_a_crash_is_replaced(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "s"))
    left.close()
    async with listening(tmp_path / "s", Signalling()):
        assert await asyncio.to_thread(tell_change, tmp_path / "s") is Told.TAKEN


async def test_a_second_gateway_does_not_take_the_socket_of_the_first(tmp_path: Path) -> None:
    signalling = Signalling()
    async with listening(tmp_path / "s", signalling):
        with pytest.raises(OSError, match="another process listens there"):
            await ChangeListener(tmp_path / "s", signalling.on_change).start()
        assert await asyncio.to_thread(tell_change, tmp_path / "s") is Told.TAKEN


async def test_a_path_too_long_for_a_socket_is_named(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 108)
    with pytest.raises(OSError, match="too long for a socket; expected a path of at most 107 bytes"):
        await ChangeListener(path, Signalling().on_change).start()


@pytest.mark.parametrize("line", [b"", b"\n", b"change\n", b"x" * 5000, b"\xff\xfe\n"])
async def test_anything_else_on_the_socket_changes_nothing(tmp_path: Path, line: bytes) -> None:
    signalling = Signalling()
    async with listening(tmp_path / "s", signalling):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        writer.write(line)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        assert signalling.changes == 0
        assert await asyncio.to_thread(tell_change, tmp_path / "s") is Told.TAKEN

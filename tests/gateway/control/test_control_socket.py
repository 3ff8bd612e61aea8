"""Questions on the control socket: who may ask, what becomes of bad ones, and a gateway that comes and goes."""

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import BaseModel

from opx.gateway.changes import Told, tell, tell_change
from opx.gateway.control import client, server
from opx.gateway.control.client import ControlClient
from opx.gateway.control.protocol import (
    AskCalls,
    Changed,
    ControlError,
    Counter,
    Counters,
    Done,
    HangUp,
    NobodyThere,
    NotAnswered,
    NotFound,
    Refused,
)
from opx.gateway.control.server import ControlServer, Handler


class Gateway:
    """What answers on the socket."""

    def __init__(self) -> None:
        self.changes = 0
        self.hung_up: list[str] = []
        self.failure: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.waiting = 0

    async def changed(self, question: Changed) -> Done:
        if self.gate is not None:
            self.waiting += 1
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.changes += 1
        return Done()

    async def hang_up(self, question: HangUp) -> Done:
        if question.call_id != "c1":
            raise NotFound("there is no such call under way")
        self.hung_up.append(question.reason)
        return Done()

    async def counters(self, question: BaseModel) -> Counters:
        return Counters(items=(Counter(name="calls", value=3, labels={"icp": "Nöde 1"}),))

    @property
    def handlers(self) -> dict[str, Handler]:
        return {
            "changed": Handler(Changed, self.changed),
            "hang-up": Handler(HangUp, self.hang_up),
            "counters": Handler(AskCalls, self.counters),
        }


@asynccontextmanager
async def listening(path: Path, gateway: Gateway) -> AsyncIterator[ControlServer]:
    listener = ControlServer(path, gateway.handlers)
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop()


@asynccontextmanager
async def asking(path: Path) -> AsyncIterator[ControlClient]:
    asker = ControlClient(path)
    try:
        yield asker
    finally:
        await asker.close()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


async def test_a_change_is_answered_when_it_is_taken_over(tmp_path: Path) -> None:
    gateway = Gateway()
    async with listening(tmp_path / "s", gateway):
        assert await asyncio.to_thread(tell_change, tmp_path / "s") is Told.TAKEN
        assert gateway.changes == 1
    assert not (tmp_path / "s").exists()


async def test_without_a_gateway_nobody_is_told(tmp_path: Path) -> None:
    assert await tell(tmp_path / "s") is Told.NOBODY
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "left-over"))
    assert await tell(tmp_path / "left-over") is Told.NOBODY


async def test_a_change_that_cannot_be_taken_over_is_said_so_and_the_next_one_works(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Gateway()
    async with listening(tmp_path / "s", gateway):
        gateway.failure = ValueError("no such column")
        assert await tell(tmp_path / "s") is Told.FAILED
        gateway.failure = None
        assert await tell(tmp_path / "s") is Told.TAKEN
    assert "could not be answered" in caplog.text


async def test_questions_of_one_process_do_not_wait_for_each_other(tmp_path: Path) -> None:
    gateway = Gateway()
    gateway.gate = asyncio.Event()
    async with listening(tmp_path / "s", gateway), asking(tmp_path / "s") as asker:
        changes = [asyncio.create_task(asker.changed()) for _ in range(3)]
        await until(lambda: gateway.waiting == 3)
        assert (await asker.counters()).items[0].labels == {"icp": "Nöde 1"}
        gateway.gate.set()
        await asyncio.gather(*changes)
    assert gateway.changes == 3


async def test_more_questions_than_are_answered_at_once_wait_for_their_turn(tmp_path: Path) -> None:
    gateway = Gateway()
    gateway.gate = asyncio.Event()
    many = server.MAX_UNDER_WAY + 10
    async with listening(tmp_path / "s", gateway), asking(tmp_path / "s") as asker:
        changes = [asyncio.create_task(asker.changed()) for _ in range(many)]
        await until(lambda: gateway.waiting == server.MAX_UNDER_WAY)
        gateway.gate.set()
        await asyncio.gather(*changes)
    assert gateway.changes == many


async def test_what_is_not_there_is_said_so(tmp_path: Path) -> None:
    gateway = Gateway()
    async with listening(tmp_path / "s", gateway), asking(tmp_path / "s") as asker:
        await asker.hang_up("c1", "the administrator hung up")
        with pytest.raises(NotFound, match="no such call"):
            await asker.hang_up("c2", "the administrator hung up")
    assert gateway.hung_up == ["the administrator hung up"]


async def test_a_question_that_an_older_gateway_does_not_know_is_told_apart(tmp_path: Path) -> None:
    async with listening(tmp_path / "s", Gateway()), asking(tmp_path / "s") as asker:
        with pytest.raises(Refused) as refused:
            await asker.status()
    assert refused.value.code == "unknown-question"


async def test_a_gateway_that_was_started_again_is_found_at_once(tmp_path: Path) -> None:
    async with asking(tmp_path / "s") as asker:
        for _ in range(3):
            with pytest.raises(NobodyThere):
                await asker.counters()
            async with listening(tmp_path / "s", Gateway()):
                assert (await asker.counters()).items
            async with listening(tmp_path / "s", Gateway()):
                assert (await asker.counters()).items


async def test_an_order_that_may_have_been_carried_out_is_not_given_twice(tmp_path: Path) -> None:
    orders: list[bytes] = []

    async def take_and_die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        orders.append(await reader.readline())
        writer.close()

    listener = await asyncio.start_unix_server(take_and_die, str(tmp_path / "s"))
    async with listener, asking(tmp_path / "s") as asker:
        with pytest.raises(NobodyThere):
            await asker.hang_up("c1", "x")
        assert len(orders) == 1


async def test_a_gateway_that_does_not_answer_holds_nobody_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CHANGE_LIMIT", 0.01)
    gateway = Gateway()
    gateway.gate = asyncio.Event()
    async with listening(tmp_path / "s", gateway), asking(tmp_path / "s") as asker:
        with pytest.raises(NotAnswered, match="did not answer changed within"):
            await asker.changed()
        gateway.gate.set()
        assert (await asker.counters()).items


async def test_an_answer_of_another_shape_is_an_error_of_the_question_only(tmp_path: Path) -> None:
    async def answer_wrongly(question: BaseModel) -> BaseModel:
        return Done()

    listener = ControlServer(tmp_path / "s", {"counters": Handler(AskCalls, answer_wrongly)})
    await listener.start()
    async with asking(tmp_path / "s") as asker:
        with pytest.raises(ControlError, match="cannot be read"):
            await asker.counters()
    await listener.stop()


# --- who may ask, and what is no question


async def test_only_the_owner_may_use_the_socket(tmp_path: Path) -> None:
    async with listening(tmp_path / "s", Gateway()):
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600


async def test_a_socket_left_over_by_a_crash_is_replaced(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "s"))
    left.close()
    async with listening(tmp_path / "s", Gateway()):
        assert await tell(tmp_path / "s") is Told.TAKEN


async def test_a_second_gateway_does_not_take_the_socket_of_the_first(tmp_path: Path) -> None:
    async with listening(tmp_path / "s", Gateway()):
        with pytest.raises(OSError, match="another process listens there"):
            await ControlServer(tmp_path / "s", {}).start()
        assert await tell(tmp_path / "s") is Told.TAKEN


async def test_a_path_too_long_for_a_socket_is_named(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 108)
    with pytest.raises(OSError, match="too long for a socket; expected a path of at most 107 bytes"):
        await ControlServer(path, {}).start()


async def raw(path: Path, line: bytes) -> list[dict[str, object]]:
    """What is answered to one line."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(line)
    writer.write_eof()
    try:
        answers = await reader.read()
    except ConnectionError:
        answers = b""
    writer.close()
    return [json.loads(answer) for answer in answers.splitlines()]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"\n", "malformed"),
        (b"changed\n", "malformed"),
        (b"[]\n", "malformed"),
        (b"[" * 50_000 + b"\n", "malformed"),
        (b"\xff\xfe\n", "malformed"),
        (b'{"ask": "changed"}\n', "malformed"),
        (b'{"id": true, "ask": "changed"}\n', "malformed"),
        (b'{"id": 1, "ask": "change"}\n', "unknown-question"),
        (b'{"id": 1, "ask": ["changed"]}\n', "unknown-question"),
        (b'{"id": 1, "ask": "changed", "with": {"x": 1}}\n', "malformed"),
        (b'{"id": 1, "ask": "changed", "with": 7}\n', "malformed"),
        (b'{"id": 1, "ask": "hang-up", "with": {"call_id": "' + b"x" * 65 + b'", "reason": ""}}\n', "malformed"),
    ],
)
async def test_what_is_no_question_is_refused_and_changes_nothing(tmp_path: Path, line: bytes, code: str) -> None:
    gateway = Gateway()
    async with listening(tmp_path / "s", gateway):
        answers = await raw(tmp_path / "s", line)
        assert [answer["error"] for answer in answers] == [code]
        assert (gateway.changes, gateway.hung_up) == (0, [])
        assert await tell(tmp_path / "s") is Told.TAKEN


async def test_a_refusal_does_not_repeat_what_was_sent(tmp_path: Path) -> None:
    async with listening(tmp_path / "s", Gateway()):
        line = b'{"id": 1, "ask": "hang-up", "with": {"call_id": 7, "reason": "s3cret", "password": "s3cret"}}\n'
        answers = await raw(tmp_path / "s", line)
    assert "s3cret" not in str(answers)
    assert "call_id" in str(answers)


async def test_a_line_without_an_end_is_cut_off(tmp_path: Path) -> None:
    async with listening(tmp_path / "s", Gateway()):
        assert await raw(tmp_path / "s", b"x" * (2 * 128 * 1024 + 1)) == []
        assert await tell(tmp_path / "s") is Told.TAKEN


async def test_more_connections_than_there_can_be_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    async with listening(tmp_path / "s", Gateway()):
        askers = [ControlClient(tmp_path / "s") for _ in range(2)]
        for asker in askers:
            await asker.counters()
        assert await tell(tmp_path / "s") is Told.NOBODY
        await askers[0].close()

        while await tell(tmp_path / "s") is not Told.TAKEN:
            await asyncio.sleep(0)
        await askers[1].close()

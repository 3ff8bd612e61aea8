"""The control socket's listening end, inside signalling."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from opx.gateway.control.protocol import MAX_QUESTION, Question, Refused
from opx.kept.unix_socket import bind_alone

MAX_CONNECTIONS = 64
"""Processes of the same owner that ask at the same time; more than that is a fault of one of them."""
MAX_UNDER_WAY = 32
"""Questions of one connection that are being answered; further ones wait unread."""
WRITE_LIMIT = 10.0
"""Seconds that a process may take to read an answer before its connection is cut."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Handler:
    """What answers one kind of question. `Refused` says no with a reason for whoever asked."""

    question: type[Question]
    answer: Callable[[Any], Awaitable[BaseModel]]


class ControlServer:
    """Listens on `path`, which only its owner may use; `handlers` by the question's name."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self._path = path
        self._handlers = handlers
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def start(self) -> None:
        """OSError when the path cannot be used, or another process listens there."""
        self._server = await asyncio.start_unix_server(self._serve, sock=bind_alone(self._path), limit=MAX_QUESTION)

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.cut()
        await asyncio.to_thread(self._path.unlink, missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            log.warning("the control socket has %d connections; another one is refused", len(self._connections))
            writer.close()
            return
        connection = _Connection(self._handlers, reader, writer)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)


class _Connection:
    def __init__(
        self, handlers: Mapping[str, Handler], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._handlers = handlers
        self._reader = reader
        self._writer = writer
        self._room = asyncio.Semaphore(MAX_UNDER_WAY)
        self._under_way: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        self._writer.close()

    async def run(self) -> None:
        """Take questions until the other end closes; those under way are still answered."""
        try:
            while line := await self._reader.readline():
                await self._room.acquire()
                task = asyncio.get_running_loop().create_task(self._take(line))
                self._under_way.add(task)
                task.add_done_callback(self._taken)
            await asyncio.gather(*self._under_way)
        except (OSError, ValueError) as error:
            # ValueError: a line beyond the limit. What follows it cannot be told apart any more.
            log.warning("control socket: connection cut: %s", error)
        finally:
            for task in self._under_way:
                task.cancel()
            self._writer.close()

    def _taken(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._room.release()

    async def _take(self, line: bytes) -> None:
        number: int | None = None
        try:
            message = _object(line)
            number = message["id"]
            handler, question = self._question(message)
            answer = (await handler.answer(question)).model_dump_json()
            data = f'{{"id":{number},"answer":{answer}}}\n'.encode()
        except Refused as error:
            data = _error(number, error.code, str(error))
        except Exception:
            log.exception("a question on the control socket could not be answered")
            data = _error(number, "failed", "the gateway could not answer; its log says why")
        try:
            self._writer.write(data)
            async with asyncio.timeout(WRITE_LIMIT):
                await self._writer.drain()
        except (OSError, TimeoutError):
            self._writer.transport.abort()

    def _question(self, message: dict[str, Any]) -> tuple[Handler, Question]:
        name = message.get("ask")
        handler = self._handlers.get(name) if isinstance(name, str) else None
        if handler is None:
            raise Refused("unknown-question", "there is no such question")
        try:
            return handler, handler.question.model_validate(message.get("with") or {})
        except ValidationError as error:
            raise Refused("malformed", _why(error)) from None


def _object(line: bytes) -> dict[str, Any]:
    """RecursionError is what a deeply nested line makes of the reader."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict) or type(message.get("id")) is not int:
        raise Refused("malformed", "expected a JSON object with a number as id")
    return message


def _error(number: int | None, code: str, text: str) -> bytes:
    return json.dumps({"id": number, "error": code, "text": text}).encode() + b"\n"


def _why(error: ValidationError) -> str:
    """Names fields, and never the values: one may be the body of a notification."""
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False))

"""A worker seen from the gateway: started, or taken over from a gateway that died; asked, and ended."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from opx.gateway.forwarding.interface import ForwardingError
from opx.gateway.forwarding.userspace.wire import MAX_LINE, EnginePolicy, encode, hello
from opx.kept.unix_socket import bind_at

ANSWER_LIMIT = 5.0
"""Seconds that a worker may take to answer."""
END_LIMIT = 5.0
"""Seconds that it may take to end before it is killed."""

log = logging.getLogger(__name__)


class WorkerLink:
    """The way to one worker. `path` is its Unix socket, by which a later gateway finds it."""

    def __init__(self, path: Path, policy: EnginePolicy, on_lost: Callable[[], None]) -> None:
        self._path = path
        self._policy = policy
        self._on_lost = on_lost
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._ending = False

    @property
    def alive(self) -> bool:
        return self._writer is not None and not self._writer.is_closing()

    @property
    def pid(self) -> int:
        """Of the process at the other end; 0 without one."""
        if self._process is not None:
            return self._process.pid
        if self._writer is None:
            return 0
        # Of the process that has called listen() last, which a worker does.
        peer = self._writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int(struct.unpack("3i", peer)[0])

    async def find(self) -> bool:
        """Take over a worker that a gateway before this one has left. One of another kind is ended."""
        try:
            await self._connect()
        except OSError:
            return False
        try:
            if await self.ask("hello") == json.loads(encode(hello(self._policy))):
                return True
        except ForwardingError as error:
            log.warning("a forwarding worker of before cannot be used: %s", error)
        await self.end()
        return False

    async def start(self) -> None:
        """A new worker. ForwardingError."""
        try:
            with bind_at(self._path) as listener:
                listener.listen()
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "opx.gateway.forwarding.userspace.worker",
                    str(listener.fileno()),
                    json.dumps(hello(self._policy)["policy"]),
                    pass_fds=(listener.fileno(),),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,
                )
            await self._connect()
        except OSError as error:
            raise ForwardingError(f"the forwarding worker cannot be started: {error}") from None

    async def ask(self, op: str, **details: Any) -> Any:
        """ForwardingError."""
        if self._writer is None or not self.alive:
            raise ForwardingError("the forwarding worker is not running")
        number = next(self._ids)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._writer.write(encode({"id": number, "op": op, **details}))
            async with asyncio.timeout(ANSWER_LIMIT):
                message = await future
        except TimeoutError:
            raise ForwardingError("the forwarding worker does not answer") from None
        finally:
            self._waiting.pop(number, None)
        if "error" in message:
            raise ForwardingError(f"the forwarding worker refuses {op}: {message['error']}")
        return message["result"]

    async def end(self) -> None:
        """It closes its ports and connections and ends."""
        self._ending = True
        if self._writer is not None:
            pid = self.pid
            try:
                await self.ask("end")
                async with asyncio.timeout(END_LIMIT):
                    await asyncio.gather(self._reading or asyncio.sleep(0))
            except (ForwardingError, TimeoutError):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._hang_up()
        if self._process is not None:
            await self._process.wait()
            self._process = None
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        self._writer = self._reading = None
        self._path.unlink(missing_ok=True)
        self._ending = False

    async def _connect(self) -> None:
        reader, self._writer = await asyncio.open_unix_connection(str(self._path), limit=MAX_LINE)
        self._reading = asyncio.create_task(self._read(reader))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                message = json.loads(line)
                if message.get("event") == "failed":
                    log.error("a forwarding worker failed:\n%s", message["text"])
                elif (future := self._waiting.get(message.get("id", 0))) is not None and not future.done():
                    future.set_result(message)
        self._hang_up()
        if not self._ending:
            self._on_lost()

    def _hang_up(self) -> None:
        if self._writer is not None:
            self._writer.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_result({"error": "it ended"})

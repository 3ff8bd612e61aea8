"""Media workers seen from signalling: a MediaDriver that spreads calls over processes."""

import asyncio
import json
import logging
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import count
from typing import Any

from opx.gateway.media.interface import (
    Address,
    MediaError,
    NoPorts,
    RelayPolicy,
    RelayPorts,
    RelayStats,
    Side,
    UnknownCall,
)
from opx.gateway.media.ports import slices
from opx.gateway.media.wire import MAX_LINE, encode_line, read_messages

RESTART_DELAY = 1.0
"""Seconds before a worker that died is started again."""
GATHER = 0.003
"""Seconds that orders wait for others to share their write: each wakes the worker, which costs more than the orders."""
ANSWER_LIMIT = 5.0
"""Seconds that a worker may take to answer."""

_ERRORS: dict[str, type[MediaError]] = {"NoPorts": NoPorts, "UnknownCall": UnknownCall}

log = logging.getLogger(__name__)


class Worker:
    """One worker process and the link to it."""

    def __init__(self, policy: RelayPolicy, on_event: Callable[[dict[str, Any]], None]) -> None:
        self.calls: set[str] = set()
        self.ready = asyncio.Event()
        self._policy = policy
        self._on_event = on_event
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._unsent: list[bytes] = []
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None

    @property
    def alive(self) -> bool:
        return self._writer is not None and not self._writer.is_closing()

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    async def run(self) -> None:
        """Start the process and listen to it until it ends."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "opx.gateway.media.worker",
                str(theirs.fileno()),
                json.dumps(asdict(self._policy)),
                pass_fds=(theirs.fileno(),),
            )
        finally:
            theirs.close()
        reader, self._writer = await asyncio.open_unix_connection(sock=ours, limit=MAX_LINE)
        self.ready.set()
        try:
            async for messages in read_messages(reader):
                for message in messages:
                    if "event" in message:
                        self._on_event(message)
                    elif (future := self._waiting.pop(message["id"], None)) is not None and not future.done():
                        future.set_result(message)
        finally:
            self._hang_up()

    async def end(self) -> None:
        """Close the link and wait for the process."""
        self._hang_up()
        if self._process is not None:
            try:
                async with asyncio.timeout(ANSWER_LIMIT):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    async def order(self, op: str, call_id: str, **details: Any) -> Any:
        if self._writer is None or not self.alive:
            raise MediaError("the media worker is not running")
        number = next(self._ids)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting[number] = future
        self._send(encode_line({"id": number, "op": op, "call": call_id, **details}))
        # A timer of its own costs a fraction of asyncio.timeout, which wants the task cancelled.
        limit = loop.call_later(ANSWER_LIMIT, _give_up, future)
        try:
            message = await future
        finally:
            limit.cancel()
            self._waiting.pop(number, None)
        if "error" in message:
            raise _ERRORS.get(message["error"], MediaError)(message["text"])
        return message["result"]

    def _send(self, line: bytes) -> None:
        """Goes with whatever else is ordered in a moment."""
        if not self._unsent:
            asyncio.get_running_loop().call_later(GATHER, self._flush)
        self._unsent.append(line)

    def _flush(self) -> None:
        lines, self._unsent = self._unsent, []
        if self._writer is not None and self.alive:
            self._writer.write(b"".join(lines))

    def _hang_up(self) -> None:
        if self._writer is not None:
            self._writer.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_result({"error": "MediaError", "text": "the media worker ended"})
        self._waiting.clear()


def _give_up(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_result({"error": "MediaError", "text": "the media worker does not answer"})


class WorkerPool:
    """A MediaDriver over `workers` processes, each with its slice of the ports. One that dies is started again."""

    def __init__(self, policy: RelayPolicy, workers: int) -> None:
        self.on_silence: Callable[[str], None] = lambda call_id: None
        self.on_lost: Callable[[str], None] = lambda call_id: None
        self._workers = [Worker(replace(policy, ports=part), self._on_event) for part in slices(*policy.ports, workers)]
        self._by_call: dict[str, Worker] = {}
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def pids(self) -> list[int]:
        return [worker.pid for worker in self._workers]

    async def start(self) -> None:
        self._keepers = [asyncio.create_task(self._keep(worker)) for worker in self._workers]
        async with asyncio.timeout(2 * ANSWER_LIMIT):
            await asyncio.gather(*(worker.ready.wait() for worker in self._workers))

    async def stop(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*(worker.end() for worker in self._workers))

    async def open(self, call_id: str) -> RelayPorts:
        if call_id in self._by_call:
            raise MediaError(f"call {call_id} has its ports already")
        full: NoPorts | None = None
        for worker in sorted((w for w in self._workers if w.alive), key=lambda w: len(w.calls)):
            try:
                ports = RelayPorts(**await worker.order("open", call_id))
            except NoPorts as error:
                full = error
                continue
            self._by_call[call_id] = worker
            worker.calls.add(call_id)
            return ports
        raise full or MediaError("no media worker is running")

    async def connect(self, call_id: str, side: Side, expected: str | None, hint: Address | None) -> None:
        await self._order("connect", call_id, side=side.value, expected=expected, hint=hint)

    async def relatch(self, call_id: str, side: Side) -> None:
        await self._order("relatch", call_id, side=side.value)

    async def hold(self, call_id: str, on: bool) -> None:
        await self._order("hold", call_id, on=on)

    async def stats(self, call_id: str) -> RelayStats:
        return RelayStats.from_dict(await self._order("stats", call_id))

    async def close(self, call_id: str) -> RelayStats:
        stats = RelayStats.from_dict(await self._order("close", call_id))
        self._by_call.pop(call_id).calls.discard(call_id)
        return stats

    async def _order(self, op: str, call_id: str, **details: Any) -> Any:
        worker = self._by_call.get(call_id)
        if worker is None:
            raise UnknownCall(f"no call {call_id} here")
        return await worker.order(op, call_id, **details)

    async def _keep(self, worker: Worker) -> None:
        while True:
            try:
                await worker.run()
            except OSError as error:
                log.error("a media worker cannot be started: %s", error)
            log.error("media worker %d ended with %d calls; it is started again", worker.pid, len(worker.calls))
            lost, worker.calls = worker.calls, set()
            for call_id in lost:
                self._by_call.pop(call_id, None)
                self.on_lost(call_id)
            await asyncio.sleep(RESTART_DELAY)

    def _on_event(self, message: dict[str, Any]) -> None:
        if message["event"] == "silence":
            self.on_silence(message["call"])

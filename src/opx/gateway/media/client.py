"""Media workers seen from signalling: a MediaDriver that spreads calls over processes."""

import asyncio
import json
import logging
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import count
from typing import Any

from opx.gateway.media.interface import (
    Address,
    OnClosed,
    OnLost,
    OnOpen,
    OnSilence,
    OnStats,
    RelayPolicy,
    RelayPorts,
    RelayStats,
    Side,
)
from opx.gateway.media.ports import slices
from opx.gateway.media.wire import Link, Message
from opx.sip.transport.pulse import Pulse

RESTART_DELAY = 1.0
"""Seconds before a worker that died is started again."""
ANSWER_LIMIT = 5.0
"""Seconds that a worker may take to answer."""

OnAnswer = Callable[[Any], None]

log = logging.getLogger(__name__)


class Worker:
    """One worker process and the link to it."""

    def __init__(self, policy: RelayPolicy, on_event: Callable[[Message], None], pulse: Pulse | None) -> None:
        self.calls: set[str] = set()
        self.ready = asyncio.Event()
        self._policy = policy
        self._on_event = on_event
        self._pulse = pulse
        self._ids = count(1)
        # Questions by number, the oldest first: when each is given up, and who waits for its answer.
        self._asked: dict[int, tuple[float, OnAnswer]] = {}
        self._watch: asyncio.TimerHandle | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._link: Link | None = None

    @property
    def alive(self) -> bool:
        return self._link is not None and self._link.open

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    async def run(self) -> None:
        """Start the process and listen to it until it ends."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ended = asyncio.Event()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "opx.gateway.media.worker",
                str(theirs.fileno()),
                json.dumps(asdict(self._policy)),
                pass_fds=(theirs.fileno(),),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        pulse = self._pulse or Pulse(asyncio.get_running_loop())
        self._link = Link(ours, pulse, self._on_message, ended.set)
        self.ready.set()
        try:
            await ended.wait()
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

    def order(self, op: str, call_id: str, **details: Any) -> None:
        """Something that needs no answer."""
        if self._link is not None:
            self._link.send({"op": op, "call": call_id, **details})

    def ask(self, op: str, call_id: str, on_answer: OnAnswer) -> None:
        """`on_answer` gets None when the worker ends or does not answer in time."""
        if self._link is None or not self._link.open:
            on_answer(None)
            return
        number = next(self._ids)
        loop = asyncio.get_running_loop()
        self._asked[number] = (loop.time() + ANSWER_LIMIT, on_answer)
        if self._watch is None:
            self._watch = loop.call_later(ANSWER_LIMIT, self._give_up)
        self._link.send({"id": number, "op": op, "call": call_id})

    def _on_message(self, message: Message) -> None:
        if "event" in message:
            self._on_event(message)
        elif (asked := self._asked.pop(message["id"], None)) is not None:
            asked[1](message["result"])

    def _give_up(self) -> None:
        """One timer for all questions: nearly all are answered long before it looks."""
        self._watch = None
        loop = asyncio.get_running_loop()
        for number, (limit, on_answer) in list(self._asked.items()):
            if limit > loop.time():
                self._watch = loop.call_at(limit, self._give_up)
                return
            del self._asked[number]
            log.error("media worker %d does not answer", self.pid)
            on_answer(None)

    def _hang_up(self) -> None:
        if self._link is not None:
            self._link.close()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        asked, self._asked = self._asked, {}
        for _, on_answer in asked.values():
            on_answer(None)


class WorkerPool:
    """A MediaDriver over `workers` processes, each with its slice of the ports. One that dies is started again."""

    def __init__(self, policy: RelayPolicy, workers: int, pulse: Pulse | None = None) -> None:
        self.on_silence: OnSilence = lambda call_id: None
        self.on_lost: OnLost = lambda call_id: None
        self.on_closed: OnClosed = lambda call_id, stats: None
        self._workers = [
            Worker(replace(policy, ports=part), self._on_event, pulse) for part in slices(*policy.ports, workers)
        ]
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

    async def drain(self) -> None:
        loop = asyncio.get_running_loop()
        answers: list[asyncio.Future[Any]] = [loop.create_future() for _ in self._workers]
        for worker, answer in zip(self._workers, answers, strict=True):
            worker.ask("drain", "", answer.set_result)
        await asyncio.gather(*answers)

    def open(self, call_id: str, on_open: OnOpen) -> None:
        if call_id in self._by_call:
            log.error("call %s has its ports already", call_id)
            on_open(None)
            return
        workers = [worker for worker in self._workers if worker.alive]
        if len(workers) > 1:
            workers.sort(key=lambda worker: len(worker.calls))
        self._open_at(workers, call_id, on_open)

    def _open_at(self, workers: Sequence[Worker], call_id: str, on_open: OnOpen) -> None:
        """Ask the first of `workers`, and the next ones as long as those before have no ports."""
        if not workers:
            log.warning("no media for call %s: no worker has ports", call_id)
            on_open(None)
            return
        worker = workers[0]
        self._by_call[call_id] = worker
        worker.calls.add(call_id)

        def on_answer(ports: list[int] | None) -> None:
            if ports is not None:
                on_open(RelayPorts(*ports))
            elif self._forget(call_id, worker):
                self._open_at(workers[1:], call_id, on_open)
            else:
                on_open(None)

        worker.ask("open", call_id, on_answer)

    def connect(self, call_id: str, side: Side, expected: str | None, hint: Address | None) -> None:
        if (worker := self._by_call.get(call_id)) is not None:
            worker.order("connect", call_id, side=side.value, expected=expected, hint=hint)

    def relatch(self, call_id: str, side: Side) -> None:
        if (worker := self._by_call.get(call_id)) is not None:
            worker.order("relatch", call_id, side=side.value)

    def hold(self, call_id: str, on: bool) -> None:
        if (worker := self._by_call.get(call_id)) is not None:
            worker.order("hold", call_id, on=on)

    def stats(self, call_id: str, on_stats: OnStats) -> None:
        if (worker := self._by_call.get(call_id)) is None:
            on_stats(None)
        else:
            worker.ask("stats", call_id, lambda found: on_stats(RelayStats.from_dict(found) if found else None))

    def close(self, call_id: str) -> None:
        if (worker := self._by_call.get(call_id)) is not None:
            self._forget(call_id, worker)
            worker.order("close", call_id)

    def _forget(self, call_id: str, worker: Worker) -> bool:
        """Whether the call was `worker`'s, and not closed meanwhile."""
        worker.calls.discard(call_id)
        return self._by_call.pop(call_id, None) is not None

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

    def _on_event(self, message: Message) -> None:
        match message["event"]:
            case "silence":
                self.on_silence(message["call"])
            case "closed":
                self.on_closed(message["call"], RelayStats.from_dict(message["stats"]))

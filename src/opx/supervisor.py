"""Programs as processes: started in order, watched, started again when they fail, stopped together."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from opx.parent import end_with_parent

READY = "ready:"
"""How a program's line begins that says that it serves."""
START_LIMIT = 30.0
"""Seconds that a program may take until it is ready."""
STOP_LIMIT = 10.0
"""Seconds that a program may take to stop before it is killed."""
RESTART_MIN = 1.0
RESTART_MAX = 60.0
MAX_LINE = 64 * 1024
LAST_LINES = 20
"""Lines of a failed program that are shown."""

OnLine = Callable[[str, str], None]
"""Hears program name and line."""


class StartFailed(Exception):
    """A program ended, or did not get ready; the text says which and shows its last words."""


@dataclass(frozen=True, slots=True)
class Program:
    """`arguments` of the `opx` command. One that is not `lasting` may end by itself.

    `prefix` is a command that runs what stands behind it, somewhere else.
    """

    name: str
    arguments: tuple[str, ...]
    lasting: bool = True
    prefix: tuple[str, ...] = ()


class Running:
    """A program's process."""

    def __init__(self, program: Program, on_line: OnLine) -> None:
        self.program = program
        self.ready = asyncio.Event()
        self.status: int | None = None
        self._on_line = on_line
        self._process: asyncio.subprocess.Process | None = None
        self._tail: list[str] = []
        self.ended = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        self.ready.clear()
        self.ended.clear()
        self._process = await asyncio.create_subprocess_exec(
            *self.program.prefix,
            sys.executable,
            "-m",
            "opx",
            *self.program.arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            limit=MAX_LINE,
            start_new_session=True,
            preexec_fn=_end_with_us,
        )
        self._reading = asyncio.create_task(self._read())

    async def wait_ready(self) -> None:
        """StartFailed when it ends first or takes too long."""
        waits = {asyncio.create_task(self.ready.wait()), asyncio.create_task(self.ended.wait())}
        await asyncio.wait(waits, timeout=START_LIMIT, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()
        if not self.ready.is_set():
            how = f"ended with status {self.status}" if self.ended.is_set() else "did not get ready"
            raise StartFailed("\n".join((f"{self.program.name} {how}", *self._tail)))

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL for the whole group when that is not heeded."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_LIMIT):
                    await self.ended.wait()
            except TimeoutError:
                pass
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._reading is not None:
            await self._reading

    async def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        while True:
            try:
                raw = await self._process.stdout.readline()
            except ValueError:
                continue
            if not raw:
                break
            line = raw.decode("utf-8", "replace").rstrip()
            self._tail = [*self._tail[-LAST_LINES:], line]
            if line.startswith(READY):
                self.ready.set()
            self._on_line(self.program.name, line)
        self.status = await self._process.wait()
        self.ended.set()


class Supervisor:
    """`start` programs one after the other, each when the one before is ready; `stop` all, the last first."""

    def __init__(self, on_line: OnLine) -> None:
        self._on_line = on_line
        self._running: list[Running] = []
        self._keepers: list[asyncio.Task[None]] = []

    def __getitem__(self, name: str) -> Running:
        return next(running for running in self._running if running.program.name == name)

    async def start(self, programs: Sequence[Program]) -> None:
        """StartFailed when one does not get ready; those before it run on until `stop`."""
        for program in programs:
            running = Running(program, self._on_line)
            self._running.append(running)
            await running.start()
            if program.lasting:
                await running.wait_ready()
                self._keepers.append(asyncio.create_task(self._keep(running)))

    async def stop(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for running in reversed(self._running):
            await running.stop()
        self._running.clear()

    async def _keep(self, running: Running) -> None:
        delay = RESTART_MIN
        while True:
            await running.ended.wait()
            self._on_line(running.program.name, f"ended with status {running.status}; starting again in {delay:.0f} s")
            await asyncio.sleep(delay)
            await running.start()
            try:
                await running.wait_ready()
                delay = RESTART_MIN
            except StartFailed as error:
                delay = min(2 * delay, RESTART_MAX)
                self._on_line(running.program.name, str(error).splitlines()[0])


def _end_with_us() -> None:
    """Run in a program just before it begins: a supervisor that is killed leaves none behind."""
    end_with_parent(signal.SIGTERM)

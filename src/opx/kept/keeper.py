"""Keeps a further process running beside a program's main one, which goes on without it until it comes back."""

import asyncio
import json
import logging
import socket
import sys
from collections.abc import Callable

from opx.config import SettingsFile

MAX_LINE = 4 * 1024 * 1024
"""Bytes of a line on the link; the longest holds the settings file."""
START_LIMIT = 30.0
"""Seconds that the program's start waits for the process; after that it goes on without."""
STOP_LIMIT = 5.0
RESTART_MIN = 1.0
RESTART_MAX = 60.0

log = logging.getLogger(__name__)


class KeptProcess:
    """`start` returns when the process serves, or failed to: that is said and tried again, and stops nothing else.

    `module` is run with `process.serve`; `name` is what the program's owner calls it, and `say` hears what it has to
    say to them.
    """

    def __init__(self, module: str, name: str, file: SettingsFile, say: Callable[[str], None]) -> None:
        self._module = module
        self._name = name
        self._file = file
        self._say = say
        self._settled = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._failure = ""

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        self._keeper = asyncio.create_task(self._keep())
        try:
            async with asyncio.timeout(START_LIMIT):
                await self._settled.wait()
        except TimeoutError:
            log.error("the %s did not get ready within %.0f s; all else goes on", self._name, START_LIMIT)

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
        if self._process is not None and self._process.returncode is None:
            try:
                async with asyncio.timeout(STOP_LIMIT):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    async def _keep(self) -> None:
        delay = RESTART_MIN
        while True:
            ready = False
            self._failure = ""
            try:
                ready = await self._run()
            except OSError as error:
                self._failure = str(error)
            why = self._failure or "it ended"
            delay = RESTART_MIN if ready else min(2 * delay, RESTART_MAX)
            self._say(f"{self._name} is away ({why}); tried again in {delay:.0f} s")
            log.error("the %s is away (%s); it is started again in %.0f s", self._name, why, delay)
            self._settled.set()
            await asyncio.sleep(delay)

    async def _run(self) -> bool:
        """One process from its start to its end; whether it served."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self._module,
                str(theirs.fileno()),
                logging.getLevelName(log.getEffectiveLevel()).lower(),
                pass_fds=(theirs.fileno(),),
            )
        finally:
            theirs.close()
        reader, self._writer = await asyncio.open_unix_connection(sock=ours, limit=MAX_LINE)
        ready = False
        try:
            order = {"path": str(self._file.path), "text": self._file.text}
            self._writer.write(json.dumps(order).encode() + b"\n")
            while line := await reader.readline():
                message = json.loads(line)
                if "say" in message:
                    self._say(message["say"])
                elif "failed" in message:
                    self._failure = message["failed"]
                else:
                    ready = True
                    self._settled.set()
        finally:
            self._writer.close()
        await self._process.wait()
        return ready

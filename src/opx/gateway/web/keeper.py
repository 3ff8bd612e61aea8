"""Keeps the web process running beside signalling: calls go on without it, and it comes back when it fails."""

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
"""Seconds that the gateway's start waits for its console; after that it goes on without."""
STOP_LIMIT = 5.0
RESTART_MIN = 1.0
RESTART_MAX = 60.0

log = logging.getLogger(__name__)


class WebProcess:
    """`start` returns when the console serves, or failed to: that is said and tried again, and stops no call.

    `say` hears what the process has to say to the gateway's owner.
    """

    def __init__(self, file: SettingsFile, say: Callable[[str], None]) -> None:
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
            log.error("the console did not get ready within %.0f s; the gateway goes on without it", START_LIMIT)

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
            self._say(f"console is away ({why}); tried again in {delay:.0f} s")
            log.error("the console is away (%s); it is started again in %.0f s", why, delay)
            self._settled.set()
            await asyncio.sleep(delay)

    async def _run(self) -> bool:
        """One process from its start to its end; whether it served."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "opx.gateway.web.process",
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

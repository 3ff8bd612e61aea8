"""How the processes of one program tell each other what they have changed in their common database.

The main process has the `Hub` on a Unix socket, the others are `Member`s. Whatever one publishes, all others hear of,
the main process among them. A notice is a topic, such as "sites", and the keys of what has changed, none meaning that
anything may have. Who loses the hub is told everything may have changed once it is back, so nothing is missed.
"""

import asyncio
import contextlib
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from opx.kept.unix_socket import bind_alone

MAX_LINE = 1024 * 1024
MAX_KEYS = 1000
"""More keys than that are published as none."""
RETRY_MIN = 0.1
RETRY_MAX = 5.0
TELL_LIMIT = 5.0
"""Seconds that a command tries to tell a running program."""

log = logging.getLogger(__name__)

Handler = Callable[[tuple[str, ...]], None]


class Bulletin(Protocol):
    """Either end."""

    def subscribe(self, topic: str, handler: Handler) -> None:
        """`handler` gets the keys; it must not block."""
        ...

    def publish(self, topic: str, keys: Sequence[str] = ()) -> None: ...


class _Board:
    """The handlers of one process."""

    def __init__(self) -> None:
        self._handlers: defaultdict[str, list[Handler]] = defaultdict(list)

    def subscribe(self, topic: str, handler: Handler) -> None:
        self._handlers[topic].append(handler)

    def hear(self, topic: str, keys: tuple[str, ...]) -> None:
        """Tell the handlers of this process."""
        for handler in self._handlers[topic]:
            try:
                handler(keys)
            except Exception:
                log.exception("a change of %s could not be taken over", topic)

    def _hear_all(self) -> None:
        for topic in list(self._handlers):
            self.hear(topic, ())


class Hub(_Board):
    """The main process's end. `start`, then `stop`. OSError from `start` when another one is there."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._members: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, sock=bind_alone(self._path), limit=MAX_LINE)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for member in list(self._members):
                member.close()
            await asyncio.to_thread(self._path.unlink, missing_ok=True)

    def publish(self, topic: str, keys: Sequence[str] = ()) -> None:
        self._spread(_line(topic, keys), None)

    def hear_all(self) -> None:
        """Anything may have changed, for all processes: with a database that others write to, too."""
        self._hear_all()
        for topic in list(self._handlers):
            self.publish(topic)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._members.add(writer)
        # From here on nothing is missed.
        writer.write(b"\n")
        try:
            while line := await reader.readline():
                topic, keys = _read(line)
                self._spread(line, writer)
                self.hear(topic, keys)
                # The sender may wait until this was passed on.
                writer.write(b"\n")
        except (ValueError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._members.discard(writer)
            writer.close()

    def _spread(self, line: bytes, sender: asyncio.StreamWriter | None) -> None:
        for member in self._members:
            if member is not sender:
                member.write(line)


class Member(_Board):
    """Another process's end. `start`, then `stop`; it comes back by itself when the hub went away."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._writer: asyncio.StreamWriter | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connected when it returns, if there is a hub."""
        connected = asyncio.Event()
        self._keeper = asyncio.create_task(self._keep(connected))
        await connected.wait()

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    def publish(self, topic: str, keys: Sequence[str] = ()) -> None:
        # Without a hub nobody listens; everybody reads anew when it is back.
        if self._writer is not None:
            self._writer.write(_line(topic, keys))

    async def _keep(self, connected: asyncio.Event) -> None:
        delay, missed = RETRY_MIN, False
        while True:
            with contextlib.suppress(OSError, ValueError):
                reader, writer = await asyncio.open_unix_connection(self._path, limit=MAX_LINE)
                try:
                    if not await reader.readline():
                        raise ConnectionResetError
                    self._writer, delay = writer, RETRY_MIN
                    connected.set()
                    if missed:
                        self._hear_all()
                    await self._listen(reader)
                finally:
                    self._writer = None
                    writer.close()
            connected.set()
            missed = True
            await asyncio.sleep(delay)
            delay = min(2 * delay, RETRY_MAX)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            if line != b"\n":
                self.hear(*_read(line))


class Rooms:
    """The bulletin for the rooms of a process, which hear what one of them publishes, too."""

    def __init__(self, end: Hub | Member) -> None:
        self._end = end

    def subscribe(self, topic: str, handler: Handler) -> None:
        self._end.subscribe(topic, handler)

    def publish(self, topic: str, keys: Sequence[str] = ()) -> None:
        self._end.publish(topic, keys)
        self._end.hear(topic, tuple(keys))


async def tell(path: Path, topic: str, keys: Sequence[str] = ()) -> bool:
    """Publish from a command that is no member; False when no program is running there."""
    try:
        async with asyncio.timeout(TELL_LIMIT):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(_line(topic, keys))
                # The greeting, and the receipt behind whatever is published meanwhile.
                receipts = 0
                while receipts < 2 and (line := await reader.readline()):
                    receipts += line == b"\n"
                return receipts == 2
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


def _line(topic: str, keys: Sequence[str]) -> bytes:
    return json.dumps([topic, list(keys) if len(keys) <= MAX_KEYS else []]).encode() + b"\n"


def _read(line: bytes) -> tuple[str, tuple[str, ...]]:
    """ValueError."""
    notice = json.loads(line)
    if not (isinstance(notice, list) and len(notice) == 2 and isinstance(notice[1], list)):
        raise ValueError("no notice")
    return str(notice[0]), tuple(str(key) for key in notice[1])

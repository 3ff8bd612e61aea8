"""How other processes tell signalling that the database has changed: a Unix socket, one line per notice."""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from enum import Enum
from pathlib import Path

CHANGED = b"changed\n"
TAKEN = b"ok\n"
FAILED = b"failed\n"
MAX_PATH_BYTES = 107
"""Linux's bound for the path of a Unix socket."""
_LINE_TIMEOUT = 2.0
_ANSWER_TIMEOUT = 10.0

log = logging.getLogger(__name__)


class Told(Enum):
    """What became of a notice."""

    TAKEN = "taken"
    FAILED = "failed"
    NOBODY = "nobody"


class ChangeListener:
    """Listens on `path`, which only the owner may use; `on_change` runs for each notice and answers when it is done.

    One notice at a time: what came meanwhile runs again afterwards.
    """

    def __init__(self, path: Path, on_change: Callable[[], Awaitable[None]]) -> None:
        self._path = path
        self._on_change = on_change
        self._running = asyncio.Lock()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """OSError when the path cannot be used, or another process listens there."""
        self._server = await asyncio.start_unix_server(self._serve, sock=_listen(self._path), limit=1024)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await asyncio.to_thread(self._path.unlink, missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_LINE_TIMEOUT):
                line = await reader.readline()
            if line == CHANGED:
                writer.write(TAKEN if await self._take() else FAILED)
                await writer.drain()
        except (OSError, ValueError, TimeoutError) as error:
            log.warning("a change notice could not be taken: %s", error)
        finally:
            writer.close()

    async def _take(self) -> bool:
        async with self._running:
            try:
                await self._on_change()
            except Exception:
                log.exception("what changed in the database could not be taken over")
                return False
        return True


def _listen(path: Path) -> socket.socket:
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise OSError(f"{path}: too long for a socket; expected a path of at most {MAX_PATH_BYTES} bytes")
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise OSError(f"{path}: another process listens there; expected one gateway for one control socket")
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    try:
        server.bind(str(path))
    except OSError:
        server.close()
        raise
    finally:
        os.umask(mask)
    return server


def tell_change(path: Path) -> Told:
    """Tell a running gateway, and wait until it has taken the change over."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(_ANSWER_TIMEOUT)
        try:
            link.connect(str(path))
        except OSError:
            return Told.NOBODY
        try:
            link.sendall(CHANGED)
            return Told.TAKEN if link.recv(16) == TAKEN else Told.FAILED
        except OSError:
            return Told.FAILED

"""How other processes tell signalling that the database has changed: a Unix socket, one line per notice."""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

CHANGED = b"changed\n"
_TIMEOUT = 2.0

log = logging.getLogger(__name__)


class ChangeListener:
    """Listens on `path`, which only the owner may use; `on_change` runs for each notice and answers when it is done."""

    def __init__(self, path: Path, on_change: Callable[[], Awaitable[None]]) -> None:
        self._path = path
        self._on_change = on_change
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """OSError when the path cannot be used."""
        await asyncio.to_thread(self._path.unlink, missing_ok=True)
        mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=1024)
        finally:
            os.umask(mask)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await asyncio.to_thread(self._path.unlink, missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT):
                line = await reader.readline()
            if line == CHANGED:
                await self._on_change()
                writer.write(b"ok\n")
                await writer.drain()
        except (OSError, ValueError, TimeoutError) as error:
            log.warning("a change notice could not be taken: %s", error)
        finally:
            writer.close()


def tell_change(path: Path) -> bool:
    """Tell a running gateway; False when none is running."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(5 * _TIMEOUT)
        try:
            link.connect(str(path))
            link.sendall(CHANGED)
            return link.recv(16) == b"ok\n"
        except OSError:
            return False

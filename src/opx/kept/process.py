"""A kept process: started by `keeper.KeptProcess` with a connected Unix socket as its only link.

The first line from there holds the settings file as the program read it. Lines go back: `say` for the owner, then
`ready`, or `failed` with the reason. It ends when the link closes, so that it never outlives the program.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import uvloop

from opx.config import ConfigError, SettingsFile
from opx.kept.keeper import MAX_LINE
from opx.logging import set_up
from opx.memory import settle
from opx.store.errors import DatabaseTooNew, SecretsError
from opx.web.authority import CertificateError


class KeptService(Protocol):
    """What such a process runs. `announcement` is what the owner is told when it serves."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def announcement(self) -> list[str]: ...


async def run(link: socket.socket, make: Callable[[SettingsFile], KeptService]) -> int:
    """Serve until the link closes; the exit status."""
    reader, writer = await asyncio.open_unix_connection(sock=link, limit=MAX_LINE)

    def tell(**message: Any) -> None:
        writer.write(json.dumps(message).encode() + b"\n")

    order = json.loads(await reader.readline())
    try:
        service = make(SettingsFile(Path(order["path"]), order["text"]))
        await service.start()
    except (ConfigError, SecretsError, DatabaseTooNew, CertificateError, OSError) as error:
        tell(failed=str(error))
        writer.close()
        await writer.wait_closed()
        return 1
    try:
        for line in await service.announcement():
            tell(say=line)
        tell(ready=True)
        settle()
        await reader.read()
    finally:
        await service.stop()
        writer.close()
    return 0


def serve(make: Callable[[SettingsFile], KeptService]) -> None:
    """The entry of `MODULE FD LEVEL`: the descriptor of the link, and the log's level."""
    # Ctrl-C reaches the whole process group; this one ends when the program lets go of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor, level = sys.argv[1:3]
    set_up(level, as_json=os.environ.get("OPX_LOG_FORMAT") == "json")
    sys.exit(uvloop.run(run(socket.socket(fileno=int(descriptor)), make)))

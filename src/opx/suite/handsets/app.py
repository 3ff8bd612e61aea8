"""The ASGI application: takes a request apart for `Reception`, and puts its answer on the wire with its length."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from opx.suite.handsets.http import HandsetResponse
from opx.suite.handsets.origins import Connection
from opx.suite.handsets.reception import REFUSED, Reception
from opx.suite.handsets.server import CONNECTION

PIECE = 64 * 1024
"""Bytes of a file that are in memory at a time."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

log = logging.getLogger(__name__)


class HandsetApp:
    """Bare, for it runs for each of thousands of phones at once."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        connection = scope.get("state", {}).get(CONNECTION) or _connection_of(scope)
        try:
            response = await self._reception.answer(
                scope["method"], scope.get("raw_path") or b"", scope["query_string"], scope["headers"], connection
            )
        except Exception:
            # Our own mistake, or the database's: the phone asks again.
            log.exception("a handset's request could not be answered")
            response = HandsetResponse(status=503, headers=(("retry-after", "30"), ("cache-control", "no-store")))
        await _send(response, scope["method"], send)


async def _send(response: HandsetResponse, method: str, send: Send) -> None:
    size = len(response.body)
    if response.file is not None:
        try:
            size = (await asyncio.to_thread(response.file.stat)).st_size
        except OSError:
            response, size = REFUSED, len(REFUSED.body)
    headers = [(b"content-length", b"%d" % size)]
    if response.status != 304:
        headers.append((b"content-type", response.content_type.encode()))
    else:
        headers.clear()
    if response.etag:
        headers.append((b"etag", f'"{response.etag}"'.encode()))
        age = f"private, max-age={response.max_age}" if response.max_age else "private, no-cache"
        headers.append((b"cache-control", age.encode()))
    elif response.max_age:
        headers.append((b"cache-control", f"private, max-age={response.max_age}".encode()))
    elif not any(name == "cache-control" for name, _ in response.headers):
        headers.append((b"cache-control", b"no-store"))
    headers += [(name.encode(), value.encode("latin-1", "replace")) for name, value in response.headers]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if response.file is not None and method != "HEAD":
        await _send_file(response.file, size, send)
    else:
        await send({"type": "http.response.body", "body": response.body})


async def _send_file(path: Path, size: int, send: Send) -> None:
    """As many bytes as were announced; a file that shrinks meanwhile breaks the connection off."""
    with await asyncio.to_thread(path.open, "rb") as file:
        left = size
        while left > 0:
            piece = await asyncio.to_thread(file.read, min(PIECE, left))
            if not piece:
                raise OSError(f"{path.name} became shorter while it was sent")
            left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
        if not size:
            await send({"type": "http.response.body", "body": b""})


def _connection_of(scope: Scope) -> Connection:
    """Where the server is not ours, as in tests."""
    client, server = scope.get("client") or ("", 0), scope.get("server") or ("", 0)
    return Connection((client[0], client[1]), (server[0], server[1] or 0), scope.get("scheme") == "https")

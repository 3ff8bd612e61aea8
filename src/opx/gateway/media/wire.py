"""The lines between signalling and a media worker: one JSON object each, over a Unix socket."""

import asyncio
import json
from typing import Any

MAX_LINE = 64 * 1024
"""Bytes; a longer line is a fault and ends the connection."""


def encode_line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


async def read_line(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """The next message, None at the end of the connection or when it is no longer to be trusted."""
    try:
        line = await reader.readline()
    except (ValueError, ConnectionError):
        return None
    if not line.endswith(b"\n"):
        return None
    message = json.loads(line)
    return message if isinstance(message, dict) else None

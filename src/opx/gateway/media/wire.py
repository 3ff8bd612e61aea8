"""The lines between signalling and a media worker: one JSON object each, over a Unix socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

MAX_LINE = 64 * 1024
"""Bytes; a longer line is a fault and ends the connection."""


READ = 64 * 1024
"""Bytes taken from the link at once."""

# Made once: json.dumps makes an encoder per call where separators are given.
_encode = json.JSONEncoder(separators=(",", ":")).encode


def encode_line(message: dict[str, Any]) -> bytes:
    return _encode(message).encode() + b"\n"


async def read_messages(reader: asyncio.StreamReader) -> AsyncIterator[list[dict[str, Any]]]:
    """What has arrived, message by message, until the connection ends or is no longer to be trusted."""
    rest = b""
    while True:
        try:
            data = await reader.read(READ)
        except ConnectionError:
            return
        *lines, rest = (rest + data).split(b"\n")
        messages = [json.loads(line) for line in lines]
        if not data or len(rest) > MAX_LINE or not all(isinstance(message, dict) for message in messages):
            return
        if messages:
            yield messages

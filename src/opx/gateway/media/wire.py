"""The lines between signalling and a media worker: a JSON list of messages each, over a Unix socket."""

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

from opx.sip.transport.pulse import Pulse

MAX_LINE = 64 * 1024
"""Bytes; a longer line is a fault and ends the connection."""
PER_LINE = 64
"""Messages in one line at most; none is anywhere near a sixty-fourth of the longest line."""
READ = 64 * 1024
"""Bytes taken from the link at once."""

# Made once: json.dumps makes an encoder per call where separators are given.
_encode = json.JSONEncoder(separators=(",", ":")).encode

Message = dict[str, Any]


class Link:
    """One end of the socket, read by the beat of `pulse`. `on_end` runs once, whyever the link is over.

    What is sent in one turn of the event loop leaves in one write: each wakes the other end.
    """

    def __init__(
        self, sock: socket.socket, pulse: Pulse, on_message: Callable[[Message], None], on_end: Callable[[], None]
    ) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._pulse = pulse
        self._on_message = on_message
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._rest = b""
        self._waiting: list[Message] = []
        self._unsent = b""
        self._stuck = False
        self.open = True
        pulse.add(sock.fileno(), self._drain, READ)

    def send(self, message: Message) -> None:
        """Nothing once the link is over."""
        if not self.open:
            return
        if not self._waiting and not self._stuck:
            self._loop.call_soon(self._flush)
        self._waiting.append(message)

    def close(self) -> None:
        """What was sent and not read yet is lost."""
        if self.open:
            self.open = False
            self._pulse.remove(self._socket.fileno())
            if self._stuck:
                self._loop.remove_writer(self._socket.fileno())
            self._socket.close()
            self._on_end()

    def _flush(self) -> None:
        if not self.open:
            return
        waiting, self._waiting = self._waiting, []
        lines = [_encode(waiting[start : start + PER_LINE]) for start in range(0, len(waiting), PER_LINE)]
        data = self._unsent + "".join([f"{line}\n" for line in lines]).encode()
        if not data:
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        self._unsent = data[sent:]
        stuck = bool(self._unsent)
        if stuck and not self._stuck:
            self._loop.add_writer(self._socket.fileno(), self._flush)
        elif self._stuck and not stuck:
            self._loop.remove_writer(self._socket.fileno())
        self._stuck = stuck

    def _drain(self) -> int:
        try:
            data = self._socket.recv(READ)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        *lines, self._rest = (self._rest + data).split(b"\n")
        try:
            messages = [message for line in lines for message in json.loads(line)]
        except (ValueError, TypeError):
            data = b""
            messages = []
        if not data or len(self._rest) > MAX_LINE or not all(isinstance(message, dict) for message in messages):
            self.close()
            return 0
        for message in messages:
            self._on_message(message)
        return len(data)

"""Cutting a byte stream into messages (RFC 3261 section 18.3), with every buffer bounded."""

from enum import Enum

from opx.sip.errors import RemoteProtocolError
from opx.sip.message import Request, Response
from opx.sip.parser import MAX_BODY_BYTES, MAX_HEAD_BYTES, content_length, parse_head

_LINE_BREAKS = b"\r\n"


class Keepalive(Enum):
    """RFC 5626 section 4.4.1: a double CRLF asks, a single one answers."""

    PING = "ping"
    PONG = "pong"


class StreamFramer:
    """`feed` bytes as they come and take what is whole with `next` until it gives None.

    `next` raises RemoteProtocolError when a bound is passed or the length of a message cannot be told; the stream is of
    no use from then on and must be closed.
    """

    def __init__(self, max_head: int = MAX_HEAD_BYTES, max_body: int = MAX_BODY_BYTES) -> None:
        self._max_head = max_head
        self._max_body = max_body
        self._buffer = bytearray()
        self._searched = 0
        self._message: Request | Response | None = None
        self._wanted = 0

    @property
    def partial(self) -> bool:
        """A message has begun and is not whole yet."""
        return self._message is not None or len(self._buffer) > 2

    @property
    def buffered(self) -> int:
        """Bytes held."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> Request | Response | Keepalive | None:
        """The next message or keep-alive, None when more bytes are needed."""
        if self._message is None:
            keepalive = self._keepalive()
            if keepalive is not None or not self._buffer or self._buffer[0] in _LINE_BREAKS:
                return keepalive
            if not self._read_head():
                return None
        return self._read_body()

    def _keepalive(self) -> Keepalive | None:
        if self._buffer.startswith(b"\r\n\r\n"):
            del self._buffer[:4]
            return Keepalive.PING
        if self._buffer.startswith(b"\r\n") and (len(self._buffer) > 2 and self._buffer[2:3] != b"\r"):
            del self._buffer[:2]
            return Keepalive.PONG
        if self._buffer == b"\r\n":
            del self._buffer[:2]
            return Keepalive.PONG
        if (
            self._buffer
            and self._buffer[0] in _LINE_BREAKS
            and len(self._buffer) > 1
            and not self._buffer.startswith(b"\r\n")
        ):
            raise RemoteProtocolError("stray line breaks in a stream")
        return None

    def _read_head(self) -> bool:
        # Only what has not been searched yet, less what an end could have begun in: linear over any number of reads.
        end = self._buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end < 0:
            self._searched = len(self._buffer)
            if len(self._buffer) > self._max_head:
                raise RemoteProtocolError("the headers do not end", status=513)
            return False
        if end > self._max_head:
            raise RemoteProtocolError("the headers are too long", status=513)
        message = parse_head(bytes(self._buffer[:end]))
        del self._buffer[: end + 4]
        self._searched = 0
        length = content_length(message)
        answerable = message if isinstance(message, Request) else None
        if length is None:
            raise RemoteProtocolError("a message in a stream needs a Content-Length", request=answerable)
        if message.names.count("content-length") > 1:
            raise RemoteProtocolError("Content-Length stands twice", request=answerable)
        if length > self._max_body:
            raise RemoteProtocolError("the body is too large", status=513, request=answerable)
        self._message = message
        self._wanted = length
        return True

    def _read_body(self) -> Request | Response | None:
        if self._message is None or len(self._buffer) < self._wanted:
            return None
        message, self._message = self._message, None
        message.body = bytes(self._buffer[: self._wanted])
        del self._buffer[: self._wanted]
        return message

"""One read of a file by TFTP: RFC 1350 with the options of RFC 2347 to 2349 (blksize, timeout, tsize)."""

import enum
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

DEFAULT_BLOCK = 512
MIN_BLOCK = 8
MAX_BLOCK = 1468
"""Fills an Ethernet frame (1500 less the headers of IP, UDP and TFTP), so that nothing is sent in fragments."""
DEFAULT_TIMEOUT = 2.0
"""Seconds until a block is sent again."""
MAX_TIMEOUT = 10
"""Of what a client may ask for."""
TRIES = 6
"""Times that a block is sent before the transfer is given up."""
MAX_NAME = 128
MAX_REQUEST = 512
"""Bytes (RFC 2347)."""

_PLAIN = struct.Struct(">HH")


class Operation(enum.IntEnum):
    READ = 1
    WRITE = 2
    DATA = 3
    ACKNOWLEDGE = 4
    ERROR = 5
    OPTIONS = 6


class ErrorCode(enum.IntEnum):
    OTHER = 0
    NOT_FOUND = 1
    NOT_ALLOWED = 2
    BUSY = 3
    ILLEGAL = 4
    UNKNOWN_TRANSFER = 5
    BAD_OPTION = 8


class RequestError(Exception):
    """A request that is not carried out; `packet` is the answer."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.packet = error(code, text)


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """`name` as it was asked for, without slashes before it; options with their names in lower case."""

    name: str
    options: Mapping[str, str] = field(default_factory=dict)


def read_request(data: bytes) -> ReadRequest | None:
    """What a first packet asks for; None when it is no request at all. RequestError."""
    if len(data) < 4 or len(data) > MAX_REQUEST:
        return None
    (operation,) = struct.unpack_from(">H", data)
    if operation == Operation.WRITE:
        raise RequestError(ErrorCode.NOT_ALLOWED, "nothing can be written here")
    if operation != Operation.READ:
        return None
    *words, rest = data[2:].split(b"\0")
    if rest or len(words) < 2 or len(words) % 2:
        raise RequestError(ErrorCode.ILLEGAL, "no request")
    try:
        texts = [word.decode("ascii") for word in words]
    except UnicodeDecodeError:
        raise RequestError(ErrorCode.NOT_FOUND, "not found") from None
    name, mode = texts[:2]
    if mode.lower() != "octet":
        raise RequestError(ErrorCode.ILLEGAL, "only mode octet is served")
    if len(name) > MAX_NAME or not name.isprintable():
        raise RequestError(ErrorCode.NOT_FOUND, "not found")
    options = {key.lower(): value for key, value in zip(texts[2::2], texts[3::2], strict=True)}
    return ReadRequest(name.lstrip("/"), options)


def error(code: ErrorCode, text: str) -> bytes:
    return _PLAIN.pack(Operation.ERROR, code) + text.encode("ascii", "replace") + b"\0"


class Transfer:
    """A file on its way to one client. Send what the methods give; call `expire` after `timeout` seconds of silence.

    `done` when nothing more is to come; `failure` says why, "" when all of it arrived.
    """

    def __init__(self, stream: BinaryIO, size: int, options: Mapping[str, str]) -> None:
        """RequestError for an option out of its bounds."""
        self.timeout = DEFAULT_TIMEOUT
        self.done = False
        self.failure = ""
        self._stream = stream
        self._block = DEFAULT_BLOCK
        self._accepted = self._accept(options, size)
        self._number = 0
        """Of the packet that waits for its acknowledgement, as it stands in it: it starts again after 65,535."""
        self._last = False
        self._sent = b""
        self._tries = 0

    def start(self) -> bytes:
        """The first packet."""
        if not self._accepted:
            return self._next()
        words = "".join(f"{name}\0{value}\0" for name, value in self._accepted.items())
        return self._send(struct.pack(">H", Operation.OPTIONS) + words.encode())

    def receive(self, data: bytes) -> bytes | None:
        """What follows upon a packet of the client's."""
        if self.done or len(data) < 4:
            return None
        operation, number = _PLAIN.unpack_from(data)
        if operation == Operation.ERROR:
            self._end(f"the phone ended it: {data[4:-1].decode('ascii', 'replace')[:80]}")
            return None
        # An acknowledgement that comes twice is never answered twice (RFC 1123 section 4.2.3.1).
        if operation != Operation.ACKNOWLEDGE or number != self._number:
            return None
        if self._last:
            self._end("")
            return None
        return self._next()

    def expire(self) -> bytes | None:
        """The packet once more, or None when the client is given up."""
        if self.done:
            return None
        if self._tries >= TRIES:
            self._end("the phone fell silent")
            return None
        self._tries += 1
        return self._sent

    def _next(self) -> bytes:
        data = self._stream.read(self._block)
        self._number = (self._number + 1) & 0xFFFF
        self._last = len(data) < self._block
        return self._send(_PLAIN.pack(Operation.DATA, self._number) + data)

    def _send(self, packet: bytes) -> bytes:
        self._sent, self._tries = packet, 1
        return packet

    def _end(self, failure: str) -> None:
        self.done, self.failure = True, failure

    def _accept(self, options: Mapping[str, str], size: int) -> dict[str, str]:
        """The options that are answered, with what they are answered with; others are passed over (RFC 2347)."""
        accepted = {}
        if "blksize" in options:
            wish = _number(options["blksize"], MIN_BLOCK, 65464)
            self._block = min(wish, MAX_BLOCK)
            accepted["blksize"] = str(self._block)
        if "timeout" in options:
            wish = _number(options["timeout"], 1, 255)
            # The client's own value must be answered or none at all (RFC 2349).
            if wish <= MAX_TIMEOUT:
                self.timeout = float(wish)
                accepted["timeout"] = str(wish)
        if "tsize" in options:
            accepted["tsize"] = str(size)
        return accepted


def _number(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and least <= int(text) <= most):
        raise RequestError(ErrorCode.BAD_OPTION, "an option out of its bounds")
    return int(text)

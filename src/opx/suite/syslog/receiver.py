"""Takes syslog lines over UDP from phones of the LAN (RFC 5426); a flood of them is cut at bounds."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from opx.suite.syslog.message import read_message
from opx.suite.syslog.repository import LogLine

MAX_WAITING = 2000
"""Lines that wait to be written; further ones are counted and lost."""
BURST = 200
PER_SECOND = 10.0
"""Lines of one source: so many at once, and so many in the long run. A phone that starts says some hundred."""
MAX_SOURCES = 20_000
"""Sources whose rate is known; the oldest are forgotten."""
WRITE_EVERY = 2.0
"""Seconds between two writes."""

log = logging.getLogger(__name__)


class LineBuffer:
    """What has arrived and waits. `admits` says whether an address is of the LAN, `mac_of` which phone's."""

    def __init__(self, admits: Callable[[str], bool], mac_of: Callable[[str], str]) -> None:
        self._admits = admits
        self._mac_of = mac_of
        self._waiting: list[LogLine] = []
        self._tokens: dict[str, tuple[float, float]] = {}
        self.dropped = 0
        """Lines over a bound."""

    def take(self, data: bytes, source: str, now: float) -> bool:
        """Whether a datagram was kept. `now` in seconds since 1970."""
        if not data or not self._admits(source):
            return False
        if len(self._waiting) >= MAX_WAITING or not self._within_rate(source, now):
            self.dropped += 1
            return False
        message = read_message(data)
        mac = self._mac_of(source) or message.mac
        self._waiting.append(LogLine(mac, source, now, message.severity, message.text))
        return True

    def drain(self) -> list[LogLine]:
        lines, self._waiting = self._waiting, []
        return lines

    def _within_rate(self, source: str, now: float) -> bool:
        left, at = self._tokens.pop(source, (float(BURST), now))
        left = min(float(BURST), left + max(0.0, now - at) * PER_SECOND)
        while len(self._tokens) >= MAX_SOURCES:
            del self._tokens[next(iter(self._tokens))]
        self._tokens[source] = (max(left - 1, 0.0), now)
        return left >= 1


class SyslogReceiver:
    """`start`, then `stop`, which writes what still waits."""

    def __init__(
        self, buffer: LineBuffer, write: Callable[[Sequence[LogLine]], Awaitable[None]], address: str, port: int
    ) -> None:
        self._buffer = buffer
        self._write = write
        self._address = address
        self._port = port
        self._transport: asyncio.DatagramTransport | None = None
        self._writer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """OSError when the port cannot be bound."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Door(self._buffer), local_addr=(self._address, self._port)
        )
        self._writer = asyncio.create_task(self._write_for_ever())

    async def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
            await self.flush()

    @property
    def port(self) -> int:
        assert self._transport is not None
        port: int = self._transport.get_extra_info("sockname")[1]
        return port

    async def flush(self) -> None:
        """Write what waits. A database that is away costs these lines, and nothing else."""
        lines = self._buffer.drain()
        try:
            await self._write(lines)
        except Exception:
            log.exception("%d lines of phones could not be written", len(lines))

    async def _write_for_ever(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY)
            await self.flush()


class _Door(asyncio.DatagramProtocol):
    def __init__(self, buffer: LineBuffer) -> None:
        self._buffer = buffer

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._buffer.take(data, addr[0], time.time())

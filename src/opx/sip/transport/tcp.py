"""SIP over TCP: connections that carry a stream of messages, opened by either end."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from opx.sip.errors import RemoteProtocolError
from opx.sip.flow import Flow
from opx.sip.framing import Keepalive, StreamFramer
from opx.sip.message import Request, Response

log = logging.getLogger(__name__)

PONG = b"\r\n"


class ConnectionOwner(Protocol):
    """Whoever made or accepted a connection."""

    def on_stream_message(self, message: Request | Response, flow: Flow) -> None: ...
    def on_stream_keepalive(self, flow: Flow) -> None: ...
    def on_stream_error(self, error: RemoteProtocolError, flow: Flow) -> None: ...
    def on_stream_read(self) -> None:
        """Everything that one read brought has been handed over."""

    def on_stream_closed(self, flow: Flow) -> None: ...


class StreamConnection(asyncio.Protocol):
    """One connection. `flow_of` names it once both addresses are known."""

    def __init__(
        self,
        owner: ConnectionOwner,
        flow_of: Callable[["StreamConnection", asyncio.Transport], Flow | None],
        *,
        max_unsent: int,
        stall_limit: float,
    ) -> None:
        self._owner = owner
        self._flow_of = flow_of
        self._max_unsent = max_unsent
        self._stall_limit = stall_limit
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._stall: asyncio.TimerHandle | None = None
        self._closed = False
        self.flow: Flow | None = None
        self.last_read = asyncio.get_running_loop().time()

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        flow = self._flow_of(self, transport)
        if flow is None or self._closed:
            transport.abort()
            return
        self._transport = transport
        self.flow = flow
        unsent, self._unsent = self._unsent, []
        self._unsent_bytes = 0
        for data in unsent:
            transport.write(data)

    def data_received(self, data: bytes) -> None:
        if self.flow is None or self._closed:
            return
        self.last_read = asyncio.get_running_loop().time()
        try:
            self._framer.feed(data)
            while not self._closed and (item := self._framer.next()) is not None:
                if item is Keepalive.PING:
                    self.send(PONG)
                    self._owner.on_stream_keepalive(self.flow)
                elif item is Keepalive.PONG:
                    self._owner.on_stream_keepalive(self.flow)
                elif isinstance(item, Request | Response):
                    self._owner.on_stream_message(item, self.flow)
        except RemoteProtocolError as error:
            self._owner.on_stream_error(error, self.flow)
            self._owner.on_stream_read()
            self.close()
            return
        self._owner.on_stream_read()
        self._watch_stall()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended()

    # --- for the owner

    def send(self, data: bytes) -> None:
        """Write, or keep for when the connection stands. A peer that does not read is cut off."""
        if self._closed:
            return
        if self._transport is None:
            self._unsent_bytes += len(data)
            if self._unsent_bytes <= self._max_unsent:
                self._unsent.append(data)
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > self._max_unsent:
            log.info("%s does not read what it is sent; connection cut", self.flow)
            self.abort()

    def close(self) -> None:
        """Close once what was written has left."""
        if self._transport is not None:
            self._transport.close()
        else:
            self._ended()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        else:
            self._ended()

    def _watch_stall(self) -> None:
        """A message that began must end within the stall limit, however slowly its bytes drip in."""
        if not self._framer.partial:
            if self._stall is not None:
                self._stall.cancel()
                self._stall = None
        elif self._stall is None and not self._closed:
            self._stall = asyncio.get_running_loop().call_later(self._stall_limit, self._on_stall)

    def _on_stall(self) -> None:
        log.info("%s began a message and did not end it; connection cut", self.flow)
        self.abort()

    def _ended(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._unsent.clear()
        if self._stall is not None:
            self._stall.cancel()
        if self.flow is not None:
            self._owner.on_stream_closed(self.flow)

"""A handset's connection to an HTTP server, with TLS of its own: an event loop's keeps 256 kB for each connection."""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

from opx.phone.handset.http import Answer, AnswerReader, HttpError
from opx.phone.handset.trust import Trust

PIECE = 16 * 1024
"""Bytes of the longest TLS record."""


class Tls:
    """The client's end of TLS, without a socket. ssl.SSLError for what is wrong with the other end."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self.ready = False

    def begin(self) -> None:
        self._shake_hands()

    def receive(self, data: bytes) -> bytes:
        """What came in plain."""
        self._in.write(data)
        if not self.ready:
            self._shake_hands()
        parts: list[bytes] = []
        try:
            while self.ready and (piece := self._tls.read(PIECE)):
                parts.append(piece)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        return b"".join(parts)

    def send(self, data: bytes) -> None:
        self._tls.write(data)

    def outgoing(self) -> bytes:
        """What is to be sent as it is."""
        return self._out.read()

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.ready = True


class Connection(asyncio.Protocol):
    """`to` is scheme, host and port. `secure` once connected, then `ask` one request after the other."""

    def __init__(self, to: tuple[str, str, int], trust: Trust) -> None:
        self.to = to
        self.trust = trust
        self._transport: asyncio.Transport | None = None
        self._tls: Tls | None = None
        self._reader: AnswerReader | None = None
        self._waiting: asyncio.Future[None] | None = None

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def secure(self, context: ssl.SSLContext) -> None:
        """Shake hands. ssl.SSLError, HttpError."""
        waiting = self._wait()
        self._tls = Tls(context, self.to[1])
        self._tls.begin()
        self._flush()
        await waiting

    async def ask(self, data: bytes) -> Answer:
        """ssl.SSLError, HttpError."""
        waiting = self._wait()
        self._reader = reader = AnswerReader()
        if self._tls is None:
            self._the_transport().write(data)
        else:
            self._tls.send(data)
            self._flush()
        await waiting
        if not reader.keeps_alive:
            self.close()
        return reader.answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # --- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, and do what they say.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            plain = self._decrypted(data) if self._tls is not None else data
            if self._reader is None:
                if self._tls is not None and self._tls.ready:
                    self._finish(None)
                return
            if plain:
                self._reader.feed(plain)
        except (ssl.SSLError, HttpError) as error:
            self._finish(error)
            return
        if self._reader.done:
            self._finish(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        try:
            if self._reader is None:
                raise HttpError("the connection was closed in the handshake")
            self._reader.end()
        except HttpError as error:
            self._finish(error)
        else:
            self._finish(None)

    def _decrypted(self, data: bytes) -> bytes:
        assert self._tls is not None
        try:
            return self._tls.receive(data)
        finally:
            # Also why the other end is not believed.
            self._flush()

    def _flush(self) -> None:
        if self._tls is not None and (data := self._tls.outgoing()) and self.open:
            self._the_transport().write(data)

    def _the_transport(self) -> asyncio.Transport:
        if self._transport is None or self._transport.is_closing():
            raise HttpError("the connection was closed")
        return self._transport

    def _wait(self) -> asyncio.Future[None]:
        self._the_transport()
        self._waiting = asyncio.get_running_loop().create_future()
        return self._waiting

    def _finish(self, error: Exception | None) -> None:
        if self._waiting is None or self._waiting.done():
            return
        if error is None:
            self._waiting.set_result(None)
        else:
            self._waiting.set_exception(error)

"""The sockets that phones connect to: uvicorn's HTTP parser, a bare ASGI application, and bounds on both.

Nothing is done per request but what `Reception` does; nothing per connection but a TLS handshake and a small object.
"""

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from opx.suite.handsets.origins import Connection
from opx.suite.handsets.settings import HandsetLimits

BACKLOG = 4096
"""Connections that the kernel holds while their handshakes take turns; Linux cuts it to net.core.somaxconn."""
HANDSHAKE_SECONDS = 30.0
"""For a TLS handshake. When 5,000 phones come together, the last ones wait for those before them."""
KEEP_ALIVE_SECONDS = 10
PRESSED_SECONDS = 3
"""How long an idle connection is kept while others wait: enough for the answer to a challenge."""
STOP_SECONDS = 2.0
ACCEPT_AGAIN_SECONDS = 1.0
"""After the machine had no file descriptor left, as it is after any other failure."""
CONNECTION = "opx.connection"
"""Where the application finds the connection in a scope's state."""

log = logging.getLogger(__name__)


class Admission:
    """How many connections there may be at a time, altogether and of one host.

    `shared` is the gateway's inside address, behind which all phones outside are; it counts as no single host.
    """

    def __init__(self, limits: HandsetLimits, shared: Callable[[], str]) -> None:
        self._limits = limits
        self._shared = shared
        self._of: Counter[str] = Counter()
        self._room = asyncio.Event()
        self._room.set()
        self.open = 0
        self.turned_away = 0

    async def room(self) -> None:
        """Until there is room for a further connection; those that come meanwhile wait in the kernel's queue."""
        await self._room.wait()

    def admit(self, host: str) -> "Seat | None":
        """None when the host has as many as it may have already."""
        if self._of[host] >= self._limits.connections_per_host and host != self._shared():
            self.turned_away += 1
            return None
        self.open += 1
        self._of[host] += 1
        self._look()
        return Seat(lambda: self._left(host), lambda: not self._room.is_set())

    def _left(self, host: str) -> None:
        self.open -= 1
        self._of[host] -= 1
        if self._of[host] <= 0:
            del self._of[host]
        self._look()

    def _look(self) -> None:
        if self.open < self._limits.connections:
            self._room.set()
        else:
            self._room.clear()


class Seat:
    """One connection's place, from its first packet on; to be left once. `wanted`: others wait for it."""

    def __init__(self, left: Callable[[], None], wanted: Callable[[], bool]) -> None:
        self._left: Callable[[], None] | None = left
        self._wanted = wanted

    @property
    def wanted(self) -> bool:
        return self._wanted()

    def leave(self) -> None:
        left, self._left = self._left, None
        if left is not None:
            left()


class HandsetProtocol(HttpToolsProtocol):
    """One connection, with bounds on a request's head and on the time that it takes to come."""

    def __init__(self, seat: Seat, limits: HandsetLimits, *known: Any, **named: Any) -> None:
        super().__init__(*known, **named)
        self._seat = seat
        self._limits = limits
        self._known: Connection | None = None
        self._head_bytes = 0
        self._requests = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        secure = self.scheme == "https"
        own = (self.server[0], self.server[1] or 0) if self.server else ("", 0)
        self._known = Connection(self.client or ("", 0), own, secure, _subject(transport) if secure else "")
        self.app_state = {CONNECTION: self._known}
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._settle()
        self._seat.leave()
        if self._known is not None:
            self._known.closed = True

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        if self._head_bytes > self._limits.header_bytes:
            self.transport.abort()
            return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._deadline is None:
            self._expect()

    def on_headers_complete(self) -> None:
        self._settle()
        self._requests += 1
        self.timeout_keep_alive = PRESSED_SECONDS if self._seat.wanted else KEEP_ALIVE_SECONDS
        super().on_headers_complete()
        if self._requests >= self._limits.requests_per_connection:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        self._head_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets no answer."""
        self.transport.abort()

    def _expect(self) -> None:
        """A request's head is to come in time."""
        self._deadline = self.loop.call_later(self._limits.request_seconds, self._too_late)

    def _settle(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        self.transport.abort()


class HandsetServer:
    """Serves an ASGI application on one address; with `tls` over HTTPS. `start` returns when it listens."""

    def __init__(
        self, app: Any, host: str, port: int, admission: Admission, limits: HandsetLimits, tls: ssl.SSLContext | None
    ) -> None:
        self._config = uvicorn.Config(
            app,
            http=HttpToolsProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            lifespan="off",
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._host = host
        self._wanted_port = port
        self._admission = admission
        self._limits = limits
        self._tls = tls
        self._state = ServerState()
        self._listening: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """OSError when the address is taken."""
        self._config.load()
        # It warns of each request that is none; strangers would fill the log.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        listening = socket.socket(socket.AF_INET)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setblocking(False)
            listening.bind((self._host, self._wanted_port))
            listening.listen(BACKLOG)
        except OSError as error:
            listening.close()
            raise OSError(f"{self._host}:{self._wanted_port} cannot be listened on: {error.strerror}") from None
        self._listening = listening
        self._beside(self._accept(listening))

    async def stop(self) -> None:
        if self._listening is None:
            return
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listening.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(set(self._state.tasks), timeout=STOP_SECONDS)
        for connection in list(self._state.connections):
            connection.transport.abort()

    @property
    def port(self) -> int:
        assert self._listening is not None
        port: int = self._listening.getsockname()[1]
        return port

    async def _accept(self, listening: socket.socket) -> None:
        """Take connections while there is room: who has to wait loses nothing, who is sent away has to try again."""
        loop = asyncio.get_running_loop()
        while True:
            await self._admission.room()
            try:
                accepted, peer = await loop.sock_accept(listening)
            except OSError as error:
                log.warning("no connection can be taken: %s", error)
                await asyncio.sleep(ACCEPT_AGAIN_SECONDS)
                continue
            seat = self._admission.admit(peer[0])
            if seat is None:
                accepted.close()
            else:
                self._beside(self._serve(accepted, seat))

    async def _serve(self, accepted: socket.socket, seat: Seat) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: HandsetProtocol(seat, self._limits, self._config, self._state, {}),
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if self._tls is not None else None,
            )
        except (OSError, asyncio.CancelledError):
            # No TLS, not in time, or gone meanwhile: no protocol will leave the seat.
            accepted.close()
            seat.leave()

    def _beside(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _subject(transport: asyncio.Transport) -> str:
    """Of the client's certificate, as OpenSSL has verified it; "" without one."""
    certificate = transport.get_extra_info("peercert")
    if not certificate:
        return ""
    parts = (f"{name}={value}" for group in certificate.get("subject", ()) for name, value in group)
    return ", ".join(parts)[:255]

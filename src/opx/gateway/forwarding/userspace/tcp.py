"""TCP connections through a worker: accept outside, connect to the host from the gateway's LAN-side address, carry.

Sockets are registered once, for edges; a direction then runs until the kernel says that it would block.
"""

import contextlib
import errno
import os
import select
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from opx.gateway.forwarding.userspace.limits import ConnectionLimits, SourceFilter, Tally
from opx.gateway.forwarding.userspace.loop import Loop
from opx.gateway.forwarding.userspace.pipes import PipePool

ACCEPT_BATCH = 64
"""Connections taken from one port before others get their turn."""
SPLICE_AFTER = 128 * 1024
"""Bytes that a direction has moved by copying before it takes a pipe; most connections never get there."""
TURN = 4 * 1024 * 1024
"""Bytes that a direction moves before others get their turn."""
IP_BIND_ADDRESS_NO_PORT = 24
"""The port is chosen at connect, when the host is known: ports are then free once per host, and not once in all."""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing tells the other end that the connection broke."""
EDGES = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_ARRIVED = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_SPLICE = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE
KEEPALIVE = ((socket.TCP_KEEPIDLE, 120), (socket.TCP_KEEPINTVL, 30), (socket.TCP_KEEPCNT, 4))
"""Seconds of silence, seconds between probes, probes: an end that is gone without a word is noticed."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds, see `ForwardingPolicy`."""

    connect: float
    idle: float
    half_close: float


class Half:
    """One direction. `pump` moves what there is; it holds at most one buffer, or one pipe, of what cannot go on yet."""

    __slots__ = ("_in_pipe", "_pending", "_pipe", "_pool", "_view", "ended", "eof", "into", "moved", "out_of")

    def __init__(self, out_of: socket.socket, into: socket.socket, pool: PipePool, view: memoryview) -> None:
        self.out_of = out_of
        self.into = into
        self.moved = 0
        self.ended = False
        """The kernel has said that the end of the stream has arrived, behind what there is to read."""
        self.eof = False
        self._pool = pool
        self._view = view
        """One buffer for all connections: nothing stays in it between two calls."""
        self._pending = b""
        self._pipe: tuple[int, int] | None = None
        self._in_pipe = 0

    @property
    def waiting(self) -> bool:
        """Whether something is to be sent as soon as it can be."""
        return self._in_pipe > 0 or bool(self._pending)

    def pump(self) -> bool:
        """Move bytes until an end would block, or one turn is used up; returns whether it was. OSError when an end is
        broken. `eof` says that all was moved and nothing more will come."""
        end = self.moved + TURN
        while self.moved < end:
            if self.moved < SPLICE_AFTER or not self._spliced():
                if not self._copy():
                    return False
            elif not self._splice():
                return False
        return True

    def close(self) -> None:
        if self._pipe is not None:
            self._pool.give_back(self._pipe, empty=not self._in_pipe)
            self._pipe = None

    def _spliced(self) -> bool:
        """Whether there is a pipe, and nothing to be sent before what comes through it."""
        if self._pipe is None and not self._pending:
            self._pipe = self._pool.take()
        return self._pipe is not None

    def _copy(self) -> bool:
        """One buffer. Returns whether there may be more."""
        try:
            if self._pending:
                sent = self.into.send(self._pending)
                self.moved += sent
                self._pending = self._pending[sent:]
                return not self._pending
            got = self.out_of.recv_into(self._view)
            if not got:
                self.eof = True
                return False
            try:
                sent = self.into.send(self._view[:got])
            except BlockingIOError:
                sent = 0
            self.moved += sent
            if sent < got:
                self._pending = bytes(self._view[sent:got])
                return False
        except BlockingIOError:
            return False
        # A buffer that was not full means that the socket was empty, and what arrives next is an edge again; only the
        # end of the stream may have been told already.
        return got == len(self._view) or self.ended

    def _splice(self) -> bool:
        """One pipe full. Returns whether there may be more."""
        assert self._pipe is not None
        try:
            if not self._in_pipe:
                self._in_pipe = os.splice(self.out_of.fileno(), self._pipe[1], self._pool.size, flags=_SPLICE)
                if not self._in_pipe:
                    self.eof = True
                    self.close()
                    return False
            sent = os.splice(self._pipe[0], self.into.fileno(), self._in_pipe, flags=_SPLICE)
        except BlockingIOError:
            if not self._in_pipe:
                self.close()
            return False
        self.moved += sent
        self._in_pipe -= sent
        return True


class Relay:
    """One connection from outside with the one to the host."""

    __slots__ = (
        "_port",
        "client",
        "connected",
        "deadline",
        "down",
        "local",
        "loop",
        "peer",
        "server",
        "up",
    )

    def __init__(self, port: "TcpPort", client: socket.socket, peer: tuple[str, int], server: socket.socket) -> None:
        self._port = port
        self.loop = port.loop
        self.client = client
        self.server = server
        self.peer = peer
        self.up = Half(client, server, port.pool, port.view)
        self.down = Half(server, client, port.pool, port.view)
        self.connected = False
        self.deadline = self.loop.now + port.times.connect
        self.local: tuple[str, int] | None = None
        """Where the host sees it come from, once somebody asked."""

    @property
    def port(self) -> "TcpPort":
        return self._port

    def start(self) -> None:
        """The connection to the host has been asked for."""
        self.loop.add(self.server.fileno(), EDGES, self.on_server)

    def on_server(self, bits: int) -> None:
        if self.connected or self._on_connect():
            self._on_bits(bits, self.server, self.down, self.up)

    def on_client(self, bits: int) -> None:
        self._on_bits(bits, self.client, self.up, self.down)

    def _on_bits(self, bits: int, end: socket.socket, out_of: Half, into: Half) -> None:
        if bits & _ARRIVED:
            if bits & select.EPOLLRDHUP:
                out_of.ended = True
            self._run(out_of)
        if bits & select.EPOLLOUT and into.waiting:
            self._run(into)
        if bits & select.EPOLLERR and end.fileno() >= 0 and end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            # Nobody reads any more from an end that has said its last word, so that a reset would go unnoticed.
            self.close(broken=True)

    def _on_connect(self) -> bool:
        failure = self.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure:
            self.close(broken=True)
            return False
        self.connected = True
        self.deadline = self.loop.now + self._port.times.idle
        # Only now, for what the client has sent meanwhile counts as an edge at registration.
        self.loop.add(self.client.fileno(), EDGES, self.on_client)
        return True

    def _run(self, half: Half) -> None:
        if half.eof:
            return
        before = half.moved
        try:
            more = half.pump()
            self._count(half, half.moved - before)
            if half.eof:
                self._on_eof(half)
            elif more:
                self.loop.soon(lambda: self._go_on(half))
        except OSError:
            self._count(half, half.moved - before)
            self.close(broken=True)

    def _go_on(self, half: Half) -> None:
        if self.client.fileno() >= 0:
            self._run(half)

    def _count(self, half: Half, moved: int) -> None:
        if moved:
            if half is self.up:
                self._port.tally.up += moved
            else:
                self._port.tally.down += moved
            times = self._port.times
            self.deadline = self.loop.now + (times.half_close if self.up.eof or self.down.eof else times.idle)

    def _on_eof(self, half: Half) -> None:
        if self.up.eof and self.down.eof:
            self.close()
            return
        half.into.shutdown(socket.SHUT_WR)
        self.deadline = self.loop.now + self._port.times.half_close

    def close(self, broken: bool = False) -> None:
        """Both ends, once. `broken` lets them know that not everything came through."""
        if self.client.fileno() < 0:
            return
        for end in (self.client, self.server):
            self.loop.forget(end.fileno())
            if broken:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.client.close()
        self.server.close()
        self.up.close()
        self.down.close()
        self._port.on_closed(self)


class TcpPort:
    """One listening port of a route."""

    def __init__(
        self,
        *,
        loop: Loop,
        listener: socket.socket,
        target: tuple[str, int],
        source: str,
        sources: SourceFilter,
        limits: ConnectionLimits,
        tally: Tally,
        times: Times,
        pool: PipePool,
        view: memoryview,
        on_open: Callable[[Relay], None],
        on_close: Callable[[Relay], None],
    ) -> None:
        self.loop = loop
        self.listener = listener
        self.outside_port: int = listener.getsockname()[1]
        self.target = target
        self.tally = tally
        self.times = times
        self.pool = pool
        self.view = view
        self._source = source
        self._sources = sources
        self._limits = limits
        self._on_open = on_open
        self._on_close = on_close
        loop.add(listener.fileno(), select.EPOLLIN, self._accept)

    def close(self) -> None:
        self.loop.forget(self.listener.fileno())
        self.listener.close()

    def on_closed(self, relay: Relay) -> None:
        self.tally.open -= 1
        self._limits.give_back(relay.peer[0])
        self._on_close(relay)

    def _accept(self, bits: int) -> None:
        for _ in range(ACCEPT_BATCH):
            try:
                client, peer = self.listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    # Waiting connections stay with the kernel until something was closed, and are not asked for
                    # again and again meanwhile.
                    self.loop.pause(self.listener.fileno(), select.EPOLLIN)
                    return
                continue
            self._take(client, peer)

    def _take(self, client: socket.socket, peer: tuple[str, int]) -> None:
        if not self._sources.allows(peer[0]) or not self._limits.take(peer[0]):
            self.tally.refused += 1
            _break(client)
            return
        self.tally.connections += 1
        self.tally.open += 1
        try:
            client.setblocking(False)
            server = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError:
            self.tally.open -= 1
            self._limits.give_back(peer[0])
            _break(client)
            return
        relay = Relay(self, client, peer, server)
        self._on_open(relay)
        try:
            prepare(server)
            server.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            server.bind((self._source, 0))
            failure = server.connect_ex(self.target)
            if failure not in (0, errno.EINPROGRESS):
                raise OSError(failure, os.strerror(failure))
            relay.start()
        except OSError:
            relay.close(broken=True)


def _break(client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()


def prepare(sock: socket.socket) -> None:
    """What either end of a connection has; those that are accepted have it from their listener."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)

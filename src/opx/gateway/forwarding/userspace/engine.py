"""A worker's routes: opens and closes their ports, ends what is idle, tells of traffic and origins."""

import errno
import os
import socket
from collections.abc import Callable, Sequence

from opx.gateway.forwarding.interface import Address, AskedOrigin, Origin, Traffic, WantedRoute
from opx.gateway.forwarding.rules import Protocol, Route
from opx.gateway.forwarding.userspace.limits import ConnectionLimits, SourceFilter, Tally
from opx.gateway.forwarding.userspace.loop import Loop
from opx.gateway.forwarding.userspace.pipes import PipePool
from opx.gateway.forwarding.userspace.steering import steer_by_source
from opx.gateway.forwarding.userspace.tcp import Relay, TcpPort, Times, prepare
from opx.gateway.forwarding.userspace.udp import Flow, UdpPort
from opx.gateway.forwarding.userspace.wire import EnginePolicy

BACKLOG = 4096
"""Connections that wait to be accepted; the kernel cuts it down to net.core.somaxconn."""
MAX_LISTENING = 1024
"""Ports of one rule: each is a socket here."""
UDP_BUFFER = 1024 * 1024
MAX_DATAGRAM = 65536
TICK_MIN, TICK_MAX = 0.05, 5.0
"""Seconds between two looks for what is idle: a quarter of the shortest limit, within these."""

Connection = Relay | Flow


class _Open:
    """A route in force."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self.tally = Tally()
        self.ports: list[TcpPort | UdpPort] = []
        self.connections: set[Connection] = set()

    def close(self) -> None:
        for port in self.ports:
            port.close()
        for connection in list(self.connections):
            connection.close()


class Engine:
    """One worker's. Owns the loop."""

    def __init__(self, policy: EnginePolicy) -> None:
        self._policy = policy
        limits = policy.forwarding
        self._times = Times(limits.connect_limit, limits.idle_limit, limits.half_close_limit)
        shortest = min(limits.connect_limit, limits.idle_limit, limits.half_close_limit, limits.udp_idle_limit)
        self.loop = Loop(min(TICK_MAX, max(TICK_MIN, shortest / 4)), self._on_tick)
        self._limits = ConnectionLimits(max(1, limits.connections // policy.workers), limits.connections_per_source)
        self._view = memoryview(bytearray(max(policy.buffer, MAX_DATAGRAM)))
        self._pipes = PipePool(policy.pipes, policy.buffer)
        self._routes: dict[int, _Open] = {}
        self.on_tick: Callable[[], None] = lambda: None

    # --- orders

    def apply(self, wanted: Sequence[WantedRoute]) -> dict[int, str]:
        """Make exactly these be in force; returns why some are not."""
        routes = {one.key: one.route for one in wanted}
        for key in [key for key, one in self._routes.items() if routes.get(key) != one.route]:
            self._routes.pop(key).close()
        problems = {}
        for key, route in routes.items():
            if key not in self._routes:
                try:
                    self._routes[key] = self._open(route)
                except _Problem as problem:
                    problems[key] = str(problem)
        return problems

    def in_force(self) -> dict[int, Route]:
        return {key: one.route for key, one in self._routes.items()}

    def traffic(self) -> dict[int, Traffic]:
        return {
            key: Traffic(tally.connections, tally.open, tally.up, tally.down, tally.refused)
            for key, tally in ((key, one.tally) for key, one in self._routes.items())
        }

    def origins(self, protocol: Protocol, asked: Sequence[AskedOrigin]) -> list[list[Origin]]:
        """For each that is asked for all that fit. Connections are gone through once, however many are asked for."""
        wanted = {source for source, _ in asked}
        found: dict[Address, list[tuple[Address, Origin]]] = {}
        for key, one in self._routes.items():
            if one.route.protocol is not protocol:
                continue
            for connection in one.connections:
                if (local := _local(connection)) in wanted:
                    origin = Origin(*connection.peer, connection.port.outside_port, key)
                    found.setdefault(local, []).append((connection.port.target, origin))
        return [
            [origin for target, origin in found.get(source, ()) if host is None or target == host]
            for source, host in asked
        ]

    def close(self) -> None:
        for one in self._routes.values():
            one.close()
        self._routes.clear()

    # --- ports

    def _open(self, route: Route) -> _Open:
        if not route.snat:
            raise _Problem("without SNAT the kernel must translate: it takes the nftables driver")
        if len(route.ports) > MAX_LISTENING:
            raise _Problem(f"{len(route.ports)} ports are a socket each; the userspace driver takes {MAX_LISTENING}")
        made = _Open(route)
        sources = SourceFilter(route.sources)
        for port in route.ports.each():
            try:
                made.ports.append(self._port(made, route, port, sources))
            except OSError as error:
                made.close()
                raise _Problem(_why(route, port, error)) from None
        return made

    def _port(self, one: _Open, route: Route, port: int, sources: SourceFilter) -> TcpPort | UdpPort:
        target = (str(route.host), route.port_at_host(port))
        source = str(self._policy.forwarding.inside)
        if route.protocol is Protocol.TCP:
            return TcpPort(
                loop=self.loop,
                listener=self._listener(socket.SOCK_STREAM, port),
                target=target,
                source=source,
                sources=sources,
                limits=self._limits,
                tally=one.tally,
                times=self._times,
                pool=self._pipes,
                view=self._view,
                on_open=one.connections.add,
                on_close=one.connections.discard,
            )
        return UdpPort(
            loop=self.loop,
            listener=self._listener(socket.SOCK_DGRAM, port),
            target=target,
            source=source,
            sources=sources,
            limits=self._limits,
            tally=one.tally,
            idle=self._policy.forwarding.udp_idle_limit,
            view=self._view,
            on_open=one.connections.add,
            on_close=one.connections.discard,
        )

    def _listener(self, kind: socket.SocketKind, port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
        try:
            shared = self._policy.workers > 1
            if shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if kind is socket.SOCK_STREAM:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                prepare(sock)
            else:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER)
            sock.bind((str(self._policy.forwarding.outside), port))
            if kind is socket.SOCK_STREAM:
                sock.listen(BACKLOG)
            if shared:
                steer_by_source(sock, self._policy.workers)
        except OSError:
            sock.close()
            raise
        return sock

    # --- time

    def _on_tick(self) -> None:
        now = self.loop.now
        for one in self._routes.values():
            late = [connection for connection in one.connections if connection.deadline < now]
            for connection in late:
                connection.close()
        self.on_tick()


class _Problem(Exception):
    """Why a route is not in force."""


def _local(connection: Connection) -> Address:
    """Where the host sees it come from; asked of the kernel only when somebody wants to know."""
    if isinstance(connection, Flow):
        return connection.local
    if connection.local is None:
        connection.local = connection.server.getsockname()
    return connection.local


def _why(route: Route, port: int, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"{route.protocol} port {port} is in use by another program of this machine"
        case errno.EACCES | errno.EPERM:
            return f"{route.protocol} port {port} is below 1024, and the gateway lacks the right to it"
        case errno.EADDRNOTAVAIL:
            return "the gateway's outside address is not an address of this machine"
        case errno.EMFILE:
            return "the forwarding process has no file descriptors left"
    return f"{route.protocol} port {port}: {os.strerror(error.errno or 0)}"

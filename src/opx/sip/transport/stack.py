"""One face of a program to the SIP world: its listeners on one address, and the user agent that they carry."""

import asyncio
import ipaddress
import logging
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from opx.sip.agent import UserAgent
from opx.sip.errors import RemoteProtocolError
from opx.sip.flow import Address, Destination, Flow, host_port
from opx.sip.message import Request, Response
from opx.sip.transport.clock import WheelClock
from opx.sip.transport.marking import mark
from opx.sip.transport.tcp import StreamConnection
from opx.sip.transport.udp import UdpListener

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """Bounds of a stack; times in seconds, sizes in bytes."""

    udp_buffer: int = 4 * 1024 * 1024
    connections: int = 10_000
    connections_per_source: int = 100
    unsent: int = 256 * 1024
    """What a peer may leave unread before its connection is cut."""
    stall: float = 15.0
    """How long a message on a stream may take from its first byte to its last."""
    connect: float = 5.0
    idle: float = 300.0
    """A connection on which nothing was read for so long is closed."""


class SipStack:
    """Carries `agent` on `address` over UDP and TCP. `attach` the agent, `start`, and `stop` in the end.

    `before_sending` runs before messages leave, once for all of a moment: the time to keep what they promise.
    """

    def __init__(
        self,
        clock: WheelClock,
        address: Address,
        *,
        transports: Sequence[str] = ("UDP", "TCP"),
        limits: TransportLimits | None = None,
        dscp: int = 0,
        before_sending: Callable[[], None] = lambda: None,
    ) -> None:
        self.clock = clock
        self.address = address
        self.limits = limits or TransportLimits()
        self._transports = transports
        self._dscp = dscp
        self._before_sending = before_sending
        self._loop = clock.loop
        self._agent: UserAgent | None = None
        self._udp: UdpListener | None = None
        self._server: asyncio.Server | None = None
        self._connections: dict[Flow, StreamConnection] = {}
        self._by_remote: dict[Address, Flow] = {}
        self._per_source: Counter[str] = Counter()
        self._serials = count(1)
        self._connecting: set[asyncio.Task[None]] = set()
        self._reading = False
        self._flush_due = False
        self._sweep: asyncio.TimerHandle | None = None

    # --- life

    def attach(self, agent: UserAgent) -> None:
        self._agent = agent

    async def start(self) -> None:
        """Listen. With port 0 the first transport's free port serves all. OSError when the address is taken."""
        if "UDP" in self._transports:
            self._udp = UdpListener(
                self.address,
                self._on_datagram,
                self._on_keepalive,
                self._on_batch,
                pulse=self.clock.pulse,
                buffer_bytes=self.limits.udp_buffer,
                dscp=self._dscp,
            )
            self.address = self._udp.local
        if "TCP" in self._transports:
            try:
                self._server = await self._loop.create_server(
                    lambda: self._connection(None), self.address[0], self.address[1], reuse_address=True
                )
            except OSError:
                await self.stop()
                raise
            # A tuple or a list, as the event loop has it.
            server: Any = self._server
            sockets = list(server.sockets)
            for listener in sockets:
                # What is accepted inherits it, from the answer to the very first packet on.
                mark(listener, self._dscp)
            self.address = sockets[0].getsockname()[:2]
        self._sweep = self._loop.call_later(self.limits.idle / 4, self._close_idle)

    async def stop(self) -> None:
        """Send what is still to be sent, close all connections and listeners."""
        self._flush()
        if self._sweep is not None:
            self._sweep.cancel()
        for task in list(self._connecting):
            task.cancel()
        for connection in list(self._connections.values()):
            connection.close()
        if self._server is not None:
            self._server.close()
        if self._udp is not None:
            self._udp.close()
        await asyncio.sleep(0)

    @property
    def connections(self) -> int:
        return len(self._connections)

    @property
    def dropped(self) -> int:
        """Datagrams that could not be sent."""
        return self._udp.dropped if self._udp is not None else 0

    # --- for the agent

    def wake(self) -> None:
        """The agent has something to send: now if a read is going on, which ends with sending, else soon."""
        if not self._reading and not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def flow_to(self, destination: Destination) -> Flow | None:
        """The way to an address; a TCP connection is shared with all that goes there, and made when there is none."""
        transport, host, port = destination
        udp = self._udp if transport == "UDP" else None
        if udp is not None and (known := udp.known_flow((host, port))) is not None:
            return known
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return None
        if udp is not None:
            return udp.flow_to((host, port))
        if transport == "TCP" and "TCP" in self._transports:
            return self._by_remote.get((host, port)) or self._connect((host, port))
        return None

    def is_open(self, flow: Flow) -> bool:
        """Whether something sent on `flow` can arrive: always for datagrams, while it lasts for a connection."""
        return flow.transport == "UDP" or flow in self._connections

    def close(self, flow: Flow) -> None:
        """Close a connection that is no longer wanted."""
        if (connection := self._connections.get(flow)) is not None:
            connection.close()

    # --- datagrams

    def _on_datagram(self, data: bytes, flow: Flow) -> None:
        if not self._reading:
            self._reading = True
            self.clock.read()
        try:
            self._the_agent().receive(data, flow)
        except Exception:
            # One datagram may not take the server down; what it did is ours to find in the log.
            log.exception("a message from %s was not handled", flow)

    def _on_keepalive(self, flow: Flow) -> None:
        self._the_agent().keepalive(flow)

    def _on_batch(self) -> None:
        self._reading = False
        self._flush()

    def _flush(self) -> None:
        self._flush_due = False
        if self._agent is None:
            return
        self._before_sending()
        for flow, data in self._agent.take_outgoing():
            if flow.transport == "UDP":
                if self._udp is not None:
                    self._udp.send(data, flow.remote)
            elif (connection := self._connections.get(flow)) is not None:
                connection.send(data)

    # --- connections

    def _connection(self, flow: Flow | None) -> StreamConnection:
        def flow_of(connection: StreamConnection, transport: asyncio.Transport) -> Flow | None:
            return flow or self._accept(connection, transport)

        return StreamConnection(self, flow_of, max_unsent=self.limits.unsent, stall_limit=self.limits.stall)

    def _accept(self, connection: StreamConnection, transport: asyncio.Transport) -> Flow | None:
        remote: Address = transport.get_extra_info("peername")[:2]
        if (
            len(self._connections) >= self.limits.connections
            or self._per_source[remote[0]] >= self.limits.connections_per_source
        ):
            log.warning("TCP %s: connection from %s refused, too many are open", host_port(self.address), remote[0])
            return None
        flow = Flow("TCP", self.address, remote, next(self._serials))
        self._hold(flow, connection)
        return flow

    def _hold(self, flow: Flow, connection: StreamConnection) -> None:
        self._connections[flow] = connection
        self._by_remote[flow.remote] = flow
        self._per_source[flow.remote[0]] += 1

    def _connect(self, remote: Address) -> Flow:
        flow = Flow("TCP", self.address, remote, next(self._serials))
        connection = self._connection(flow)
        connection.flow = flow
        self._hold(flow, connection)
        task = self._loop.create_task(self._open(flow, connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return flow

    async def _open(self, flow: Flow, connection: StreamConnection) -> None:
        sock = socket.socket(socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            mark(sock, self._dscp)
            sock.bind((self.address[0], 0))
            async with asyncio.timeout(self.limits.connect):
                await self._loop.sock_connect(sock, flow.remote)
                await self._loop.create_connection(lambda: connection, sock=sock)
        except asyncio.CancelledError:
            sock.close()
            raise
        except (OSError, TimeoutError) as error:
            log.info("%s cannot be reached: %s", flow, error)
            sock.close()
            connection.abort()

    def _close_idle(self) -> None:
        oldest = self._loop.time() - self.limits.idle
        for connection in [c for c in self._connections.values() if c.last_read < oldest]:
            connection.close()
        self._sweep = self._loop.call_later(self.limits.idle / 4, self._close_idle)

    # --- ConnectionOwner

    def on_stream_message(self, message: Request | Response, flow: Flow) -> None:
        if not self._reading:
            self._reading = True
            self.clock.read()
        try:
            self._the_agent().receive_message(message, flow)
        except Exception:
            log.exception("a message from %s was not handled", flow)

    def on_stream_keepalive(self, flow: Flow) -> None:
        self._the_agent().keepalive(flow)

    def on_stream_error(self, error: RemoteProtocolError, flow: Flow) -> None:
        self._the_agent().refuse(error, flow)

    def on_stream_read(self) -> None:
        self._on_batch()

    def on_stream_closed(self, flow: Flow) -> None:
        if self._connections.pop(flow, None) is None:
            return
        if self._by_remote.get(flow.remote) == flow:
            del self._by_remote[flow.remote]
        self._per_source[flow.remote[0]] -= 1
        if self._per_source[flow.remote[0]] <= 0:
            del self._per_source[flow.remote[0]]
        self.clock.read()
        self._the_agent().connection_lost(flow)

    def _the_agent(self) -> UserAgent:
        assert self._agent is not None, "attach an agent before start"
        return self._agent

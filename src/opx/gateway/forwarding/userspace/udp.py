"""UDP through a worker: one socket toward the host for each outside address and port, for as long as it is used."""

import os
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass

from opx.gateway.forwarding.userspace.limits import ConnectionLimits, SourceFilter, Tally
from opx.gateway.forwarding.userspace.loop import Loop

BATCH = 64
"""Datagrams taken from one socket before others get their turn."""

Address = tuple[str, int]


@dataclass(slots=True, eq=False)
class Flow:
    """Datagrams between `peer` outside and the host."""

    port: "UdpPort"
    peer: Address
    sock: socket.socket
    deadline: float

    @property
    def local(self) -> Address:
        """Where the host sees them come from."""
        address: Address = self.sock.getsockname()
        return address

    def on_answer(self, bits: int) -> None:
        port = self.port
        for _ in range(BATCH):
            try:
                got = self.sock.recv_into(port.view)
            except BlockingIOError:
                return
            except OSError:
                # The host's "port unreachable" for a datagram of before.
                continue
            self.deadline = port.loop.now + port.idle
            port.tally.down += got
            port.send_out(port.view[:got], self.peer)

    def close(self) -> None:
        if self.sock.fileno() >= 0:
            self.port.loop.forget(self.sock.fileno())
            self.sock.close()
            self.port.on_closed(self)


class UdpPort:
    """One port of a route."""

    def __init__(
        self,
        *,
        loop: Loop,
        listener: socket.socket,
        target: Address,
        source: str,
        sources: SourceFilter,
        limits: ConnectionLimits,
        tally: Tally,
        idle: float,
        view: memoryview,
        on_open: Callable[[Flow], None],
        on_close: Callable[[Flow], None],
    ) -> None:
        self.loop = loop
        self.listener = listener
        self.outside_port: int = listener.getsockname()[1]
        self.target = target
        self.tally = tally
        self.idle = idle
        self.view = view
        self._source = source
        self._sources = sources
        self._limits = limits
        self._on_open = on_open
        self._on_close = on_close
        self._flows: dict[Address, Flow] = {}
        loop.add(listener.fileno(), select.EPOLLIN, self._on_datagrams)

    def close(self) -> None:
        self.loop.forget(self.listener.fileno())
        self.listener.close()

    def on_closed(self, flow: Flow) -> None:
        del self._flows[flow.peer]
        self.tally.open -= 1
        self._limits.give_back(flow.peer[0])
        self._on_close(flow)

    def send_out(self, data: memoryview, peer: Address) -> None:
        """To the outside; what the socket cannot take now is lost, as datagrams are."""
        try:
            self.listener.sendto(data, peer)
        except OSError:
            return

    def _on_datagrams(self, bits: int) -> None:
        for _ in range(BATCH):
            try:
                got, peer = self.listener.recvfrom_into(self.view)
            except BlockingIOError:
                return
            except OSError:
                continue
            flow = self._flows.get(peer) or self._open(peer)
            if flow is None:
                self.tally.refused += 1
                continue
            flow.deadline = self.loop.now + self.idle
            try:
                flow.sock.send(self.view[:got])
            except OSError:
                continue
            self.tally.up += got

    def _open(self, peer: Address) -> Flow | None:
        if not self._sources.allows(peer[0]) or not self._limits.take(peer[0]):
            return None
        try:
            sock = self._connected()
        except OSError:
            self._limits.give_back(peer[0])
            return None
        flow = Flow(self, peer, sock, self.loop.now + self.idle)
        self._flows[peer] = flow
        self.tally.connections += 1
        self.tally.open += 1
        self._on_open(flow)
        self.loop.add(sock.fileno(), select.EPOLLIN, flow.on_answer)
        return flow

    def _connected(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            sock.bind((self._source, 0))
            failure = sock.connect_ex(self.target)
            if failure:
                raise OSError(failure, os.strerror(failure))
        except OSError:
            sock.close()
            raise
        return sock

"""SIP over UDP: one raw non-blocking socket, drained many datagrams per wake-up.

asyncio's datagram protocol costs about three times as much per packet.
"""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from opx.sip.flow import Address, Flow, host_port
from opx.sip.transport.marking import mark
from opx.sip.transport.pulse import Pulse

MAX_DATAGRAM = 65535
BATCH = 64
"""Datagrams read per wake-up, before timers and other sockets get their turn."""
MAX_QUEUED = 4096
"""Datagrams that wait while the kernel's send buffer is full; more are dropped, as the network would."""

MAX_FLOWS = 20_000
"""Peers whose flow is remembered; strangers may invent any number of them."""

_KEEPALIVE = frozenset(b"\r\n\0 ")

log = logging.getLogger(__name__)


class UdpListener:
    """A bound UDP socket. `on_batch` runs once after each batch of `on_datagram` calls."""

    def __init__(
        self,
        local: Address,
        on_datagram: Callable[[bytes, Flow], None],
        on_keepalive: Callable[[Flow], None],
        on_batch: Callable[[], None],
        *,
        pulse: Pulse,
        buffer_bytes: int,
        dscp: int = 0,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_datagram = on_datagram
        self._on_keepalive = on_keepalive
        self._on_batch = on_batch
        self._queue: deque[tuple[bytes, Address]] = deque()
        # One object per peer: thousands of its transactions hold it at a time.
        self._flows: dict[tuple[Any, ...], Flow] = {}
        self.dropped = 0
        self._socket = socket.socket(socket.AF_INET6 if ":" in local[0] else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.bind(local)
        except OSError:
            self._socket.close()
            raise
        self.local: Address = self._socket.getsockname()[:2]
        self._set_buffers(buffer_bytes)
        mark(self._socket, dscp)
        self._pulse = pulse
        pulse.add(self._socket.fileno(), self._drain, BATCH)

    def _set_buffers(self, wanted: int) -> None:
        for option, forced in ((socket.SO_RCVBUF, SO_RCVBUFFORCE), (socket.SO_SNDBUF, SO_SNDBUFFORCE)):
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, forced, wanted)
            except OSError:
                self._socket.setsockopt(socket.SOL_SOCKET, option, wanted)
        # The kernel reports twice what it was asked for, the rest being its own book-keeping.
        granted = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
        if granted < wanted:
            log.warning(
                "UDP %s: the kernel gives a receive buffer of %d bytes instead of %d; bursts of registrations may "
                "be lost (raise net.core.rmem_max)",
                host_port(self.local),
                granted,
                wanted,
            )

    def send(self, data: bytes, remote: Address) -> None:
        if self._queue:
            self._enqueue(data, remote)
            return
        try:
            self._socket.sendto(data, remote)
        except BlockingIOError:
            self._loop.add_writer(self._socket.fileno(), self._on_writable)
            self._enqueue(data, remote)
        except OSError as error:
            self.dropped += 1
            log.debug("UDP %s: cannot send to %s: %s", host_port(self.local), host_port(remote), error)

    def known_flow(self, remote: Address) -> Flow | None:
        """The way to a peer that something came from or went to lately."""
        return self._flows.get(remote)

    def flow_to(self, remote: tuple[Any, ...]) -> Flow:
        """The way to a peer, as the socket names it: address and port before all else."""
        if len(self._flows) >= MAX_FLOWS:
            self._flows.clear()
        flow = self._flows[remote] = Flow("UDP", self.local, remote[:2])
        return flow

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._pulse.remove(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()

    def _enqueue(self, data: bytes, remote: Address) -> None:
        if len(self._queue) >= MAX_QUEUED:
            self.dropped += 1
        else:
            self._queue.append((data, remote))

    def _on_writable(self) -> None:
        while self._queue:
            data, remote = self._queue[0]
            try:
                self._socket.sendto(data, remote)
            except BlockingIOError:
                return
            except OSError:
                self.dropped += 1
            self._queue.popleft()
        self._loop.remove_writer(self._socket.fileno())

    def _drain(self) -> int:
        receive = self._socket.recvfrom
        local = self.local
        flows = self._flows
        for taken in range(BATCH):
            try:
                data, remote = receive(MAX_DATAGRAM)
            except BlockingIOError:
                if not taken:
                    return 0
                break
            except OSError as error:
                log.debug("UDP %s: %s", host_port(local), error)
                continue
            flow = flows.get(remote) or self.flow_to(remote)
            if len(data) <= 4 and _KEEPALIVE.issuperset(data):
                self._on_keepalive(flow)
            else:
                self._on_datagram(data, flow)
        else:
            taken = BATCH
        self._on_batch()
        return taken


SO_SNDBUFFORCE = 32
"""Linux: a larger buffer than net.core.wmem_max allows, for who has CAP_NET_ADMIN."""
SO_RCVBUFFORCE = 33

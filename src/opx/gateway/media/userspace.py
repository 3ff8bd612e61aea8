"""The relay in userspace: two sockets per side and call, one look at the table per packet, one send.

Direct non-blocking reads from `loop.add_reader`; asyncio's datagram protocol costs about three times as much.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable

from opx.gateway.media.interface import (
    Address,
    MediaError,
    NoPorts,
    OnClosed,
    OnOpen,
    OnStats,
    RelayPolicy,
    RelayPorts,
    RelayStats,
    Side,
)
from opx.gateway.media.latch import Latch, Verdict
from opx.gateway.media.ports import PortPool
from opx.gateway.media.quality import SAMPLE_MASK, StreamMeter

MAX_PACKET = 2048
"""Bytes; larger ones are no telephony and are dropped."""
BATCH = 32
"""Packets read from one socket per wake-up, so that one busy call does not starve the others."""
BUFFER = 128 * 1024
BIND_TRIES = 16
SWEEP = 1.0
"""Seconds between two looks for silent calls."""

log = logging.getLogger(__name__)


class Leg:
    """One socket of a side: its RTP or its RTCP. `peer` is the leg that its packets leave by."""

    __slots__ = (
        "_buffer",
        "_loop",
        "_now",
        "_rtp",
        "call",
        "destination",
        "hinted",
        "latch",
        "meter",
        "peer",
        "send",
        "sock",
        "stats",
    )

    def __init__(
        self,
        call: "RelayedCall",
        sock: socket.socket,
        meter: StreamMeter,
        latch: Latch,
        rtp: bool,
        buffer: bytearray,
        now: Callable[[], float],
    ) -> None:
        self.call = call
        self.sock = sock
        self.meter = meter
        self.stats = meter.stats
        self.latch = latch
        self.destination: Address | None = None
        self.hinted = False
        self.send = sock.sendto
        self.peer = self
        self._rtp = rtp
        self._buffer = buffer
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self.on_readable)

    def on_readable(self) -> None:
        receive = self.sock.recvfrom_into
        buffer = self._buffer
        view = memoryview(buffer)
        stats = self.stats
        latch = self.latch
        peer = self.peer
        for _ in range(BATCH):
            try:
                size, source = receive(buffer)
            except BlockingIOError:
                return
            except OSError:
                # An ICMP error that an earlier packet met; the next read may well succeed.
                continue
            if source != latch.source and not self._learn(source):
                if latch.expected is None:
                    stats.unready += 1
                else:
                    stats.strangers += 1
                continue
            if size > MAX_PACKET or size < 8 or buffer[0] >> 6 != 2:
                stats.garbage += 1
                continue
            if self._rtp:
                packets = stats.packets = stats.packets + 1
                stats.octets += size
                self.call.heard = True
                if packets & SAMPLE_MASK == 1:
                    self.meter.look(buffer, size, self._now())
            else:
                stats.rtcp += 1
                self.meter.report(buffer, size, peer.meter.rate)
            destination = peer.destination
            if destination is None:
                stats.unready += 1
                continue
            try:
                peer.send(view[:size], destination)
            except OSError:
                stats.unsent += 1

    def _learn(self, source: Address) -> bool:
        if self.latch.judge(source, self._now()) is Verdict.STRANGER:
            return False
        if not self.hinted:
            self.destination = source
        if self._rtp:
            self.stats.latched = source
        return True

    def close(self) -> None:
        self._loop.remove_reader(self.sock.fileno())
        self.sock.close()


class RelayedCall:
    """The four sockets of a call."""

    __slots__ = ("heard", "held", "last_heard", "legs", "ports", "stats")

    def __init__(self, ports: RelayPorts, now: float) -> None:
        self.ports = ports
        self.stats = RelayStats()
        self.legs: dict[Side, tuple[Leg, Leg]] = {}
        self.heard = False
        self.held = False
        self.last_heard = now

    def close(self) -> None:
        for pair in self.legs.values():
            for leg in pair:
                leg.close()


class UserspaceDriver:
    """A MediaDriver that needs no rights. `now` in seconds of a monotonic clock."""

    def __init__(self, policy: RelayPolicy, now: Callable[[], float] = time.monotonic) -> None:
        self.on_silence: Callable[[str], None] = lambda call_id: None
        self.on_lost: Callable[[str], None] = lambda call_id: None
        self.on_closed: OnClosed = lambda call_id, stats: None
        self._policy = policy
        self._now = now
        self._calls: dict[str, RelayedCall] = {}
        self._pool = PortPool(*policy.ports, policy.reuse_delay)
        self._buffer = bytearray(MAX_PACKET + 1)
        self._sweep_timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._calls)

    async def start(self) -> None:
        self._schedule_sweep()

    async def stop(self) -> None:
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        for call_id in list(self._calls):
            self.close(call_id)

    async def drain(self) -> None:
        """Every order is carried out at once."""

    def open(self, call_id: str, on_open: OnOpen) -> None:
        try:
            ports: RelayPorts | None = self._open(call_id)
        except MediaError as error:
            log.warning("no media for call %s: %s", call_id, error)
            ports = None
        on_open(ports)

    def connect(self, call_id: str, side: Side, expected: str | None, hint: Address | None) -> None:
        if (call := self._calls.get(call_id)) is None:
            return
        now = self._now()
        call.last_heard = now
        rtp, rtcp = call.legs[side]
        for leg, target in ((rtp, hint), (rtcp, (hint[0], hint[1] + 1) if hint else None)):
            leg.latch.expect(expected, now)
            leg.hinted = target is not None
            # A side that names its place gets its packets there; any other where its first packet comes from.
            leg.destination = target or leg.latch.source

    def relatch(self, call_id: str, side: Side) -> None:
        if (call := self._calls.get(call_id)) is not None:
            for leg in call.legs[side]:
                leg.latch.relatch(self._now())

    def hold(self, call_id: str, on: bool) -> None:
        if (call := self._calls.get(call_id)) is not None:
            call.held = on
            call.last_heard = self._now()

    def stats(self, call_id: str, on_stats: OnStats) -> None:
        call = self._calls.get(call_id)
        on_stats(call.stats if call is not None else None)

    def close(self, call_id: str) -> None:
        call = self._calls.pop(call_id, None)
        if call is not None:
            call.close()
            for side in Side:
                self._pool.give_back(call.ports.of(side), self._now())
            self.on_closed(call_id, call.stats)

    def _open(self, call_id: str) -> RelayPorts:
        if call_id in self._calls:
            raise MediaError(f"call {call_id} has its ports already")
        now = self._now()
        set_port, set_sockets = self._bind(self._policy.set_side_address, now)
        try:
            icp_port, icp_sockets = self._bind(self._policy.icp_side_address, now)
        except MediaError:
            for sock in set_sockets:
                sock.close()
            self._pool.give_back(set_port, now)
            raise
        ports = RelayPorts(set_port, icp_port)
        call = RelayedCall(ports, now)
        for side, sockets in ((Side.SET, set_sockets), (Side.ICP, icp_sockets)):
            meter = StreamMeter(call.stats.of(side))
            call.legs[side] = (self._leg(call, meter, sockets[0], True), self._leg(call, meter, sockets[1], False))
        for index in (0, 1):
            one, other = call.legs[Side.SET][index], call.legs[Side.ICP][index]
            one.peer, other.peer = other, one
        self._calls[call_id] = call
        return ports

    def sweep(self) -> None:
        """Look for calls that went silent; the driver does it by itself once started."""
        now = self._now()
        for call_id, call in list(self._calls.items()):
            if call.heard or call.held:
                call.heard = False
                call.last_heard = now
            elif now - call.last_heard >= self._policy.silence_timeout:
                call.last_heard = now
                self.on_silence(call_id)

    def _schedule_sweep(self) -> None:
        def turn() -> None:
            self._schedule_sweep()
            self.sweep()

        self._sweep_timer = asyncio.get_running_loop().call_later(SWEEP, turn)

    def _leg(self, call: RelayedCall, meter: StreamMeter, sock: socket.socket, rtp: bool) -> Leg:
        latch = Latch(self._policy.latch_window)
        return Leg(call, sock, meter, latch, rtp, self._buffer, self._now)

    def _bind(self, address: str, now: float) -> tuple[int, tuple[socket.socket, socket.socket]]:
        """An even port and the next one, both bound. NoPorts when none can be had."""
        for _ in range(BIND_TRIES):
            port = self._pool.take(now)
            try:
                return port, self._bind_pair(address, port)
            except OSError as error:
                log.warning("media port %s:%d cannot be used: %s", address, port, error)
                self._pool.set_aside(port, now)
        raise NoPorts(f"none of {BIND_TRIES} media ports could be bound on {address}")

    def _bind_pair(self, address: str, port: int) -> tuple[socket.socket, socket.socket]:
        rtp = self._socket(address, port)
        try:
            return rtp, self._socket(address, port + 1)
        except OSError:
            rtp.close()
            raise

    def _socket(self, address: str, port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            if self._policy.dscp:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, self._policy.dscp << 2)
            sock.bind((address, port))
        except OSError:
            sock.close()
            raise
        return sock

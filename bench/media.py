"""Packets per second of CPU and added delay of the media relay, beside rtpengine in userspace (no kernel module).

Calls of G.711: 172 bytes every 20 ms in each direction. The load generator stamps each packet with its time of
sending; the kernel's receive timestamp ends the measurement, so that the generator's own slowness is not counted in.
The relay on one processor, both ends of all calls on the other. OPX's worker latches to the phone as in service.
"""

import asyncio
import select
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

from figures import Goal, Metric
from harness import Bench, Contender, PinnedProgram, Plan, Void, cpu_seconds, on_core, run, server_core
from opx.gateway.media.client import WorkerPool
from opx.gateway.media.interface import RelayPolicy, Side
from peers.rtpengine import Rtpengine
from support.media import opened
from support.network import LoopbackNetwork, claim_network
from support.programs import wait_until

CALLS = 60
FRAME = 0.02
STAMP = struct.Struct("!Q")
HEADER = struct.Struct("!BBHII")
PAYLOAD = 160
SO_TIMESTAMPNS = 35
MOST_LOST = 0.005
"""Share of packets whose loss makes a run void."""

Address = tuple[str, int]


def _socket(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.bind((host, 0))
    sock.setblocking(False)
    return sock


@dataclass
class Stream:
    """One end of a call."""

    sock: socket.socket
    to: Address = ("", 0)
    sequence: int = 0
    received: int = 0

    def send(self) -> None:
        self.sequence += 1
        header = HEADER.pack(0x80, 0, self.sequence & 0xFFFF, self.sequence * PAYLOAD, 7)
        self.sock.sendto(header + STAMP.pack(time.time_ns()) + bytes(PAYLOAD - STAMP.size), self.to)


@dataclass
class Traffic:
    """Both ends of all calls."""

    network: LoopbackNetwork
    phones: list[Stream] = field(default_factory=list)
    pbxs: list[Stream] = field(default_factory=list)
    delays: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.phones = [Stream(_socket(self.network.at("30.1"))) for _ in range(CALLS)]
        self.pbxs = [Stream(_socket(self.network.at("20.20"))) for _ in range(CALLS)]
        self._streams = {stream.sock.fileno(): stream for stream in (*self.phones, *self.pbxs)}
        self._poll = select.epoll()
        for descriptor in self._streams:
            self._poll.register(descriptor, select.EPOLLIN)

    def close(self) -> None:
        self._poll.close()
        for stream in self._streams.values():
            stream.sock.close()

    def connect(self, index: int, outside: Address, inside: Address) -> None:
        self.phones[index].to = outside
        self.pbxs[index].to = inside

    def latch(self) -> None:
        """The phones speak first, until every PBX has heard its phone."""
        wait_until(self._latched, lambda: "the relay's first packets")

    def _latched(self) -> bool:
        for phone, pbx in zip(self.phones, self.pbxs, strict=True):
            if not pbx.received:
                phone.send()
        self._drain(0.05)
        return all(pbx.received for pbx in self.pbxs)

    def run(self, seconds: float) -> int:
        """Packets that arrived in so many seconds of conversation. Void when too many were lost."""
        sent = 0
        arrived = sum(stream.received for stream in self._streams.values())
        self.delays.clear()
        streams = [stream for pair in zip(self.phones, self.pbxs, strict=True) for stream in pair]
        step = FRAME / len(streams)
        due = time.monotonic()
        end = due + seconds
        while due < end:
            for stream in streams:
                while (left := due - time.monotonic()) > 0:
                    self._drain(left)
                stream.send()
                sent += 1
                due += step
        self._drain(0.2)
        arrived = sum(stream.received for stream in self._streams.values()) - arrived
        if arrived < sent * (1 - MOST_LOST):
            raise Void(f"{sent - arrived} of {sent} packets were lost")
        return arrived

    def _drain(self, timeout: float) -> None:
        for descriptor, _ in self._poll.poll(timeout, 64):
            stream = self._streams[descriptor]
            while True:
                try:
                    data, control, _, _ = stream.sock.recvmsg(2048, 64)
                except BlockingIOError:
                    break
                stream.received += 1
                seconds, nanoseconds = struct.unpack("@qq", control[0][2])
                self.delays.append(seconds * 10**9 + nanoseconds - STAMP.unpack_from(data, HEADER.size)[0])


def _figures(traffic: Traffic, seconds: float, cpu: float, arrived: int) -> Mapping[str, float]:
    cuts = quantiles(traffic.delays, n=100)
    return {"packets": arrived / cpu, "delay, median": cuts[49] / 1000, "delay, 99 %": cuts[98] / 1000}


def opx(seconds: float) -> Mapping[str, float]:
    with traffic_on_a_network() as traffic, asyncio.Runner() as runner:
        network = traffic.network
        policy = RelayPolicy(network.at("10.1"), network.at("20.1"), (20000, 20999))
        pool = WorkerPool(policy, 1)
        with on_core(server_core()):
            runner.run(pool.start())

        async def open_all() -> None:
            for index, pbx in enumerate(traffic.pbxs):
                ports = await opened(pool, f"c{index}")
                pool.connect(f"c{index}", Side.SET, network.at("30.1"), None)
                pool.connect(f"c{index}", Side.ICP, network.at("20.20"), pbx.sock.getsockname())
                traffic.connect(
                    index, (network.at("10.1"), ports.set_side_port), (network.at("20.1"), ports.icp_side_port)
                )
            await pool.drain()

        runner.run(open_all())
        traffic.latch()
        before = cpu_seconds(pool.pids[0])
        arrived = traffic.run(seconds)
        used = cpu_seconds(pool.pids[0]) - before
        runner.run(pool.stop())
        return _figures(traffic, seconds, used, arrived)


def rtpengine(seconds: float) -> Mapping[str, float]:
    with traffic_on_a_network() as traffic, ExitStack() as stack:
        network = traffic.network
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="opx-bench-")))
        outside, inside, control = network.at("10.1"), network.at("20.1"), (network.at("10.1"), 2223)
        arguments = [
            *("rtpengine", "--config-file=none", "--table=-1", "--foreground", "--log-stderr", "--log-level=3"),
            *(f"--interface=out/{outside}", f"--interface=in/{inside}", f"--listen-ng={control[0]}:{control[1]}"),
            *("--port-min=20000", "--port-max=20999", "--num-threads=1", f"--pidfile={folder}/pid"),
        ]
        server = stack.enter_context(PinnedProgram(arguments, folder / "output.txt", core=server_core()))
        engine = Rtpengine(control)
        stack.callback(engine.close)
        wait_until(lambda: engine.ping() or not server.running, lambda: server.text)
        for index, (phone, pbx) in enumerate(zip(traffic.phones, traffic.pbxs, strict=True)):
            ports = engine.open(f"c{index}", phone.sock.getsockname(), pbx.sock.getsockname())
            traffic.connect(index, (outside, ports[0]), (inside, ports[1]))
        traffic.latch()
        before = server.cpu_seconds()
        arrived = traffic.run(seconds)
        return _figures(traffic, seconds, server.cpu_seconds() - before, arrived)


@contextmanager
def traffic_on_a_network() -> Iterator[Traffic]:
    network = claim_network()
    traffic = Traffic(network)
    try:
        yield traffic
    finally:
        traffic.close()
        network.release()


BENCH = Bench(
    "media",
    f"relayed packets per second of CPU and added delay, {CALLS} calls of G.711",
    (
        Metric("packets", "per CPU second"),
        Metric("delay, median", "us", higher_is_better=False),
        Metric("delay, 99 %", "us", higher_is_better=False),
    ),
    (Contender("OPX", opx), Contender("rtpengine", rtpengine, ("rtpengine",))),
    (Goal("packets", 0.8, "rtpengine"),),
    full=Plan(rounds=5, seconds=10.0),
    quick=Plan(rounds=3, seconds=4.0),
)

if __name__ == "__main__":
    sys.exit(run(BENCH))

"""What every media driver does, whichever it is; with real sockets."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from opx.gateway.media.client import WorkerPool
from opx.gateway.media.interface import (
    MediaDriver,
    RelayPolicy,
    RelayPorts,
    RelayStats,
    Side,
    stats_of,
)
from opx.gateway.media.userspace import UserspaceDriver
from opx.rtp.packets import Packet
from support.media import closed, opened, ports_of
from support.network import LoopbackNetwork
from support.programs import PATIENCE

Address = tuple[str, int]
PORTS = (20000, 20039)


def packet(number: int) -> bytes:
    return Packet(0, number, 160 * number, 7, bytes([number]) * 160).encode()


class Peer:
    """A socket that sends and receives RTP."""

    def __init__(self, host: str, port: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, port))
        self.socket.setblocking(False)

    @property
    def address(self) -> Address:
        address: Address = self.socket.getsockname()
        return address

    def send(self, data: bytes, to: Address) -> None:
        self.socket.sendto(data, to)

    async def receive(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await asyncio.get_running_loop().sock_recv(self.socket, 2048)

    def nothing(self) -> bool:
        try:
            self.socket.recv(2048)
        except BlockingIOError:
            return True
        return False


class Rig:
    """A driver with one open call, and sockets on both sides."""

    def __init__(self, driver: MediaDriver, network: LoopbackNetwork) -> None:
        self.driver = driver
        self.network = network
        self.silent: list[str] = []
        self.lost: list[str] = []
        driver.on_silence = self.silent.append
        driver.on_lost = self.lost.append
        self.phone = Peer(network.at("30.1"))
        self.pbx = Peer(network.at("20.20"), 6100)
        self.stranger = Peer(network.at("66.6"))

    async def open(self) -> RelayPorts:
        self.ports = await opened(self.driver, "c1")
        return self.ports

    async def connect(self) -> None:
        self.driver.connect("c1", Side.SET, self.network.at("30.1"), None)
        self.driver.connect("c1", Side.ICP, *(self.pbx.address[0], self.pbx.address))
        await self.driver.drain()

    @property
    def outside(self) -> Address:
        return self.network.at("10.1"), self.ports.set_side_port

    @property
    def inside(self) -> Address:
        return self.network.at("20.1"), self.ports.icp_side_port

    async def latched(self) -> None:
        """Both ways stand."""
        await self.open()
        await self.connect()
        self.phone.send(packet(1), self.outside)
        assert await self.pbx.receive() == packet(1)
        self.pbx.send(packet(2), self.inside)
        assert await self.phone.receive() == packet(2)

    async def until(self, true: Callable[[RelayStats], bool]) -> RelayStats:
        """The counters, once they say so."""
        async with asyncio.timeout(PATIENCE):
            while (stats := await stats_of(self.driver, "c1")) is None or not true(stats):
                await asyncio.sleep(0.01)
        return stats


@pytest.fixture(params=["in process", "one worker", "two workers"])
async def rig(request: pytest.FixtureRequest, loopback: LoopbackNetwork) -> AsyncIterator[Rig]:
    policy = RelayPolicy(loopback.at("10.1"), loopback.at("20.1"), PORTS, silence_timeout=1.0, reuse_delay=0.0)
    workers = {"in process": 0, "one worker": 1, "two workers": 2}[request.param]
    driver: MediaDriver = WorkerPool(policy, workers) if workers else UserspaceDriver(policy)
    await driver.start()
    yield Rig(driver, loopback)
    await driver.stop()


async def test_audio_goes_both_ways_once_the_phone_has_spoken(rig: Rig) -> None:
    await rig.latched()
    stats = await closed(rig.driver, "c1")
    assert (stats.from_set.packets, stats.from_icp.packets) == (1, 1)
    assert stats.from_set.latched == rig.phone.address


async def test_ports_are_even_with_rtcp_on_the_next(rig: Rig) -> None:
    ports = await rig.open()
    assert ports.set_side_port % 2 == ports.icp_side_port % 2 == 0
    await rig.connect()
    phone, pbx = Peer(rig.network.at("30.1")), Peer(rig.network.at("20.20"), 6101)
    phone.send(b"\x80\xc8" + bytes(26), (rig.outside[0], ports.set_side_port + 1))
    assert (await pbx.receive())[1] == 0xC8
    assert (await closed(rig.driver, "c1")).from_set.rtcp == 1


async def test_a_stranger_is_never_heard_before_or_after_the_phone(rig: Rig) -> None:
    await rig.open()
    await rig.connect()
    rig.stranger.send(packet(9), rig.outside)
    await rig.until(lambda stats: stats.from_set.strangers == 1)
    rig.phone.send(packet(1), rig.outside)
    assert await rig.pbx.receive() == packet(1)
    rig.stranger.send(packet(9), rig.outside)
    await rig.until(lambda stats: stats.from_set.strangers == 2)
    rig.pbx.send(packet(2), rig.inside)
    assert await rig.phone.receive() == packet(2)
    assert rig.stranger.nothing() and rig.pbx.nothing()


async def test_after_the_latch_the_same_address_from_another_port_is_a_stranger(rig: Rig) -> None:
    await rig.latched()
    other = Peer(rig.network.at("30.1"))
    other.send(packet(9), rig.outside)
    await rig.until(lambda stats: stats.from_set.strangers == 1)
    assert rig.pbx.nothing()


async def test_packets_of_the_pbx_before_the_latch_go_nowhere(rig: Rig) -> None:
    await rig.open()
    await rig.connect()
    rig.pbx.send(packet(2), rig.inside)
    await rig.until(lambda stats: stats.from_icp.unready == 1)
    assert rig.phone.nothing() and rig.stranger.nothing()


async def test_a_relatch_lets_the_phone_come_from_a_new_port(rig: Rig) -> None:
    await rig.latched()
    rig.driver.relatch("c1", Side.SET)
    await rig.driver.drain()
    other = Peer(rig.network.at("30.1"))
    other.send(packet(3), rig.outside)
    assert await rig.pbx.receive() == packet(3)
    rig.pbx.send(packet(4), rig.inside)
    assert await other.receive() == packet(4)


async def test_the_pbx_may_move_its_media(rig: Rig) -> None:
    await rig.latched()
    other = Peer(rig.network.at("20.101"), 6200)
    rig.driver.connect("c1", Side.ICP, other.address[0], other.address)
    await rig.driver.drain()
    rig.phone.send(packet(3), rig.outside)
    assert await other.receive() == packet(3)


async def test_what_is_no_rtp_is_dropped(rig: Rig) -> None:
    await rig.latched()
    for garbage in (b"", b"\x00\x01" + bytes(18), b"\x80", bytes([0x80]) * 2049):
        rig.phone.send(garbage, rig.outside)
    stats = await rig.until(lambda stats: stats.from_set.garbage == 4)
    assert stats.from_set.packets == 1
    assert rig.pbx.nothing()


async def test_silence_both_ways_is_reported_but_not_on_hold(rig: Rig) -> None:
    await rig.latched()
    rig.driver.hold("c1", True)
    await rig.driver.drain()
    # On a busy machine a second may have passed before it was held.
    rig.silent.clear()
    await opened(rig.driver, "c2")
    async with asyncio.timeout(PATIENCE):
        while "c2" not in rig.silent:
            await asyncio.sleep(0.02)
        assert "c1" not in rig.silent
        rig.driver.hold("c1", False)
        while "c1" not in rig.silent:
            await asyncio.sleep(0.02)


async def test_a_closed_call_is_unknown_and_its_ports_are_closed(rig: Rig) -> None:
    await rig.latched()
    await closed(rig.driver, "c1")
    assert await stats_of(rig.driver, "c1") is None
    Peer(*rig.outside)


async def test_exhausted_ports_are_none_and_come_back(rig: Rig) -> None:
    count = 0
    while await ports_of(rig.driver, f"n{count}") is not None:
        count += 1
    assert count >= 8
    await closed(rig.driver, "n0")
    await opened(rig.driver, "again")


async def test_a_call_that_is_closed_before_its_ports_are_there_keeps_none(rig: Rig) -> None:
    answers: list[RelayPorts | None] = []
    for _ in range(3):
        for number in range(8):
            rig.driver.open(f"n{number}", answers.append)
            rig.driver.close(f"n{number}")
        await rig.driver.drain()
    assert len(answers) == 24
    assert await ports_of(rig.driver, "n0") is not None


async def test_a_port_that_another_program_holds_is_passed_over(rig: Rig) -> None:
    held = Peer(rig.network.at("10.1"), PORTS[0])
    ports = await rig.open()
    assert ports.set_side_port != held.address[1]


async def test_a_worker_that_dies_loses_its_calls_and_comes_back(loopback: LoopbackNetwork) -> None:
    policy = RelayPolicy(loopback.at("10.1"), loopback.at("20.1"), PORTS)
    pool = WorkerPool(policy, 1)
    lost: list[str] = []
    pool.on_lost = lost.append
    await pool.start()
    await opened(pool, "c1")
    os.kill(pool.pids[0], signal.SIGKILL)
    await _until(lambda: _is(lost == ["c1"]))
    async with asyncio.timeout(PATIENCE):
        while await ports_of(pool, "c2") is None:
            await asyncio.sleep(0.05)
    await pool.stop()


async def _is(value: bool) -> bool:
    return value


async def _until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await true():
            await asyncio.sleep(0.02)

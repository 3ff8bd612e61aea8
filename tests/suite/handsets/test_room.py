"""Room for connections: who finds none waits, and what is told of one that has ended is not believed."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from opx.config import SettingsFile
from opx.suite.handsets.origins import Asked, Connection, Origins
from opx.suite.handsets.server import Admission
from opx.suite.handsets.service import HandsetService
from opx.suite.handsets.settings import HandsetLimits
from support.network import LoopbackNetwork
from support.suite_store import suite_file

GATEWAY = "192.168.20.1"


def settings(folder: Path, network: LoopbackNetwork) -> SettingsFile:
    more = '[handsets]\nlan = ["127.0.0.0/8"]\n[handsets.limits]\nconnections = 1\n'
    return suite_file(folder, network.at("20.10"), more)


async def test_who_comes_when_all_is_full_is_served_after_the_others(tmp_path: Path, loopback: LoopbackNetwork) -> None:
    service = HandsetService(settings(tmp_path, loopback))
    await service.start()
    try:
        address = loopback.at("20.10")
        _, first = await asyncio.open_connection(address, 8203)
        await until_open(service, 1)
        reader, second = await asyncio.open_connection(address, 8203)
        second.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        third_reader, third = await asyncio.open_connection(address, 8203)
        third.close()
        assert service.admission.open == 1, "nobody else was let in"
        first.close()
        assert (await reader.read()).startswith(b"HTTP/1.1 404")
        second.close()
        assert await third_reader.read() == b""
        await until_open(service, 0)
    finally:
        await service.stop()


async def until_open(service: HandsetService, count: int) -> None:
    async with asyncio.timeout(30.0):
        while service.admission.open != count:
            await asyncio.sleep(0.01)


async def test_a_handshake_that_comes_to_nothing_gives_its_room_back(tmp_path: Path, loopback: LoopbackNetwork) -> None:
    service = HandsetService(settings(tmp_path, loopback))
    await service.start()
    try:
        for _ in range(3):
            reader, writer = await asyncio.open_connection(loopback.at("20.10"), 8202)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            await reader.read()
            writer.close()
            await until_open(service, 0)
    finally:
        await service.stop()


def test_one_host_may_have_so_many_and_all_behind_the_gateway_more() -> None:
    admission = Admission(HandsetLimits(connections_per_host=1), lambda: GATEWAY)
    first = admission.admit("192.168.20.7")
    assert first is not None and admission.admit("192.168.20.7") is None
    first.leave()
    first.leave()
    assert admission.open == 0 and admission.admit("192.168.20.7") is not None
    assert all(admission.admit(GATEWAY) is not None for _ in range(3))


async def test_what_is_told_of_a_connection_that_has_ended_meanwhile_is_not_believed() -> None:
    """Its port of the gateway may be another phone's by then."""
    ended, lasting = (Connection((GATEWAY, port), ("192.168.20.10", 8202), True) for port in (2, 3))

    async def look_up(asked: Sequence[Asked]) -> Sequence[str]:
        ended.closed = True
        return ["198.51.100.99"] * len(asked)

    origins = Origins(look_up, 5.0)
    found = [*await asyncio.gather(origins.of(ended), origins.of(lasting))]
    assert found == ["", "198.51.100.99"]
    await origins.stop()


def test_a_seat_is_wanted_while_there_is_no_room() -> None:
    admission = Admission(HandsetLimits(connections=2), lambda: GATEWAY)
    first, second = admission.admit(GATEWAY), admission.admit(GATEWAY)
    assert first is not None and second is not None and first.wanted
    second.leave()
    assert not first.wanted

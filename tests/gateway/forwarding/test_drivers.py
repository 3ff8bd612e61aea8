"""What every forwarding driver does, whichever it is; with real sockets, and in network namespaces where the kernel
forwards."""

import asyncio
import contextlib
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from harness import cpu_seconds
from opx.gateway.forwarding.rules import Protocol
from opx.gateway.forwarding.userspace.driver import UserspaceDriver
from support.forwarding import Hosts, Network, receive, receive_all, send, until
from support.forwarding_rig import Rig, origin_of
from support.namespaces import lab_missing, missing
from support.network import LoopbackNetwork

NO_KERNEL = missing() or lab_missing()
BULK = bytes(range(256)) * 32768
"""8 MB, which no socket's buffer holds."""


@pytest.fixture(
    params=[
        "one worker",
        "two workers",
        pytest.param("nftables", marks=pytest.mark.skipif(bool(NO_KERNEL), reason=NO_KERNEL)),
    ]
)
def hosts(request: pytest.FixtureRequest, loopback: LoopbackNetwork) -> Iterator[tuple[str, Hosts]]:
    if request.param == "nftables":
        with Network() as network:
            yield request.param, network
        return
    at = loopback.at
    made = Hosts(at("10.1"), at("20.1"), at("20.10"), (at("30.1"), at("30.2")))
    yield request.param, made
    made.close()


@pytest.fixture
async def rig(hosts: tuple[str, Hosts], tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(*hosts, tmp_path)
    yield made
    await made.driver.stop()


async def test_the_host_sees_the_inside_address_and_origin_gives_the_outside_one(rig: Rig) -> None:
    listener = rig.hosts.listener(8185)
    await rig.start(rig.hosts.route(1, "8185"))
    client, server, source = await rig.through(8185, listener)
    assert source[0] == rig.hosts.inside
    expected = origin_of(client, 8185, 1)
    assert await rig.driver.origin(Protocol.TCP, source, (rig.hosts.host, 8185)) == expected
    assert await rig.driver.origin(Protocol.TCP, source, None) == expected
    assert await rig.driver.origin(Protocol.UDP, source, None) is None
    asked = [((source[0], 1), (rig.hosts.host, 8185)), (source, (rig.hosts.host, 8185)), (source, (rig.hosts.host, 1))]
    assert await rig.driver.origins(Protocol.TCP, asked) == [None, expected, None]
    assert await rig.driver.origin(Protocol.TCP, (source[0], source[1] ^ 1), None) is None
    await send(client, b"question")
    assert await receive(server) == b"question"
    await send(server, b"answer")
    assert await receive(client) == b"answer"


async def test_a_source_port_that_two_hosts_see_is_nobodys_without_the_hosts_port(rig: Rig) -> None:
    first, second = rig.hosts.listener(8185), rig.hosts.listener(8186)
    await rig.start(rig.hosts.route(1, "8185"), rig.hosts.route(2, "8186"))
    one, _, source = await rig.through(8185, first)
    if rig.in_kernel:
        # It keeps a client's port where it can: two clients with one port stay apart by the host's port alone.
        other = rig.hosts.client(1, port=one.getsockname()[1])
        await asyncio.get_running_loop().sock_connect(other, (rig.hosts.outside, 8186))
        _, seen = await rig.hosts.accept(second)
        assert seen == source
        assert await rig.driver.origin(Protocol.TCP, source, None) is None
        found = await rig.driver.origin(Protocol.TCP, source, (rig.hosts.host, 8186))
        assert found == origin_of(other, 8186, 2)
    found = await rig.driver.origin(Protocol.TCP, source, (rig.hosts.host, 8185))
    assert found == origin_of(one, 8185, 1)


async def test_bulk_goes_both_ways_at_once_and_arrives_whole(rig: Rig) -> None:
    listener = rig.hosts.listener(8185)
    await rig.start(rig.hosts.route(1, "8185"))
    client, server, _ = await rig.through(8185, listener)

    async def upload(sock: socket.socket) -> None:
        await send(sock, BULK)
        sock.shutdown(socket.SHUT_WR)

    _, _, at_server, at_client = await asyncio.gather(
        upload(client), upload(server), receive_all(server), receive_all(client)
    )
    assert at_server == BULK and at_client == BULK
    traffic = await rig.traffic()
    assert traffic.connections == 1
    # The kernel counts headers, too.
    assert traffic.bytes_up >= len(BULK) and traffic.bytes_down >= len(BULK)
    if not rig.in_kernel:
        assert (traffic.bytes_up, traffic.bytes_down) == (len(BULK), len(BULK))


async def test_one_end_may_fall_silent_while_the_other_goes_on(rig: Rig) -> None:
    listener = rig.hosts.listener(8185)
    await rig.start(rig.hosts.route(1, "8185"))
    client, server, _ = await rig.through(8185, listener)
    await send(client, b"that is all")
    client.shutdown(socket.SHUT_WR)
    assert await receive_all(server) == b"that is all"
    for number in range(3):
        await send(server, b"%d" % number)
        assert await receive(client) == b"%d" % number
    server.close()
    assert await receive(client) == b""


async def test_an_end_that_does_not_read_holds_the_other_one_up(rig: Rig) -> None:
    listener = rig.hosts.listener(8185)
    await rig.start(rig.hosts.route(1, "8185"))
    client, server, _ = await rig.through(8185, listener)
    sent = 0
    part = bytes(65536)
    # Nobody reads, so that this stops once all buffers on the way are full.
    for _ in range(4096):
        try:
            async with asyncio.timeout(1.0):
                await asyncio.get_running_loop().sock_sendall(client, part)
        except TimeoutError:
            break
        sent += len(part)
    assert sent < 128 * 1024 * 1024
    got = 0
    while got < sent:
        got += len(await receive(server, 1 << 20))


async def test_what_breaks_at_one_end_breaks_at_the_other(rig: Rig) -> None:
    listener = rig.hosts.listener(8185)
    await rig.start(rig.hosts.route(1, "8185"))
    reset = b"\1\0\0\0\0\0\0\0"
    client, server, _ = await rig.through(8185, listener)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    server.close()
    with pytest.raises(ConnectionResetError):
        await receive(client)
    client, server, _ = await rig.through(8185, listener)
    client.shutdown(socket.SHUT_WR)
    assert await receive(server) == b""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    client.close()
    # The server, which only sends, hears of it, although the client had said its last word.
    with pytest.raises(OSError, match=r"reset|[Bb]roken"):
        while True:
            await send(server, b"more")
            await asyncio.sleep(0.01)


async def test_where_nobody_listens_at_the_host_a_client_is_told_at_once(rig: Rig) -> None:
    await rig.start(rig.hosts.route(1, "8185"))
    with pytest.raises(ConnectionError):
        client = await rig.hosts.connect(8185)
        await receive(client)
        raise ConnectionResetError  # an end in good order would be wrong; only the userspace driver has to accept first


async def test_lists_and_ranges_lead_to_the_same_port_or_all_to_one(rig: Rig) -> None:
    at_8187, at_7000 = rig.hosts.listener(8187), rig.hosts.listener(7000)
    await rig.start(rig.hosts.route(1, "8186, 8187"), rig.hosts.route(2, "9000-9003, 9100", host_port=7000))
    await rig.through(8187, at_8187)
    for port in (9000, 9003, 9100):
        client, _, source = await rig.through(port, at_7000)
        found = await rig.driver.origin(Protocol.TCP, source, (rig.hosts.host, 7000))
        assert found == origin_of(client, port, 2)
    assert not await rig.served(9004, at_7000)


async def test_only_the_allowed_sources_are_served(rig: Rig) -> None:
    listener = rig.hosts.listener(8185)
    await rig.start(rig.hosts.route(1, "8185", sources=f"{rig.hosts.clients[0]} 192.0.2.0/24"))
    assert await rig.served(8185, listener, 0)
    assert not await rig.served(8185, listener, 1)
    assert (await rig.traffic()).refused >= 1
    assert (await rig.traffic()).connections == 1


async def test_one_source_has_no_more_connections_than_it_may_and_others_have_theirs(rig: Rig) -> None:
    listener = rig.hosts.listener(8185)
    await rig.start(rig.hosts.route(1, "8185"), rig.hosts.route(2, "8186", host_port=8185), connections_per_source=2)
    first, first_at_host, _ = await rig.through(8185, listener)
    await rig.through(8186, listener)
    assert not await rig.served(8185, listener)
    assert await rig.served(8185, listener, 1)
    assert (await rig.traffic()).refused >= 1
    first.close()
    assert await receive(first_at_host) == b""
    first_at_host.close()
    await until(lambda: rig.served(8185, listener))


@pytest.mark.parametrize("hosts", ["one worker", "two workers"], indirect=True)
async def test_all_together_have_no_more_connections_than_there_may_be(rig: Rig) -> None:
    listener = rig.hosts.listener(8185)
    total = 4
    await rig.start(rig.hosts.route(1, "8185"), connections=total)
    held = 0
    for which in (0, 1) * total:
        client = rig.hosts.client(which)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(0.7):
                await asyncio.get_running_loop().sock_connect(client, (rig.hosts.outside, 8185))
                await asyncio.get_running_loop().sock_accept(listener)
            held += 1
    # Several workers have equal shares, which sources need not fill equally.
    assert held == total if "two" not in rig.kind else 0 < held <= total


async def test_a_rule_that_is_gone_ends_its_connections_and_takes_no_new_ones(rig: Rig) -> None:
    listener = rig.hosts.listener(8185)
    kept, gone = rig.hosts.route(1, "8185"), rig.hosts.route(2, "8186", host_port=8185)
    await rig.start(kept, gone)
    stays, stays_at_host, _ = await rig.through(8185, listener)
    ends, _, _ = await rig.through(8186, listener)
    await rig.driver.apply([kept])
    assert await rig.driver.in_force() == {1: kept.route}
    await send(stays, b"still")
    assert await receive(stays_at_host) == b"still"
    await _is_over(ends)
    assert not await rig.served(8186, listener)
    assert await rig.served(8185, listener)


async def test_a_rule_that_leads_elsewhere_now_takes_nobody_along(rig: Rig) -> None:
    before, after = rig.hosts.listener(7001), rig.hosts.listener(7002)
    await rig.start(rig.hosts.route(1, "8185", host_port=7001))
    client, _, _ = await rig.through(8185, before)
    wanted = rig.hosts.route(1, "8185", host_port=7002)
    await rig.driver.apply([wanted])
    assert await rig.driver.in_force() == {1: wanted.route}
    await _is_over(client)
    assert await rig.served(8185, after)
    assert (await rig.traffic()).connections >= 1


async def test_sources_that_are_no_longer_allowed_lose_their_connections(rig: Rig) -> None:
    listener = rig.hosts.listener(8185)
    await rig.start(rig.hosts.route(1, "8185"))
    client, _, _ = await rig.through(8185, listener)
    await rig.driver.apply([rig.hosts.route(1, "8185", sources="192.0.2.0/24")])
    await _is_over(client)


async def _is_over(client: socket.socket) -> None:
    """However it hears of it: at once, or when it writes."""
    with contextlib.suppress(OSError):
        while True:
            await send(client, b"more")
            async with asyncio.timeout(0.2):
                if not await asyncio.get_running_loop().sock_recv(client, 100):
                    return


async def test_datagrams_of_each_client_are_a_flow_of_their_own(rig: Rig) -> None:
    host = rig.hosts.listener(5000, socket.SOCK_DGRAM)
    await rig.start(rig.hosts.route(1, "5004, 5006", protocol=Protocol.UDP, host_port=5000))
    loop = asyncio.get_running_loop()
    clients = [rig.hosts.client(which, socket.SOCK_DGRAM) for which in (0, 1, 0)]
    ports = (5004, 5004, 5006)
    seen = []
    for number, (client, port) in enumerate(zip(clients, ports, strict=True)):
        for round_ in range(3):
            text = b"%d/%d" % (number, round_)
            await loop.sock_sendto(client, text, (rig.hosts.outside, port))
            async with asyncio.timeout(10):
                data, source = await loop.sock_recvfrom(host, 2048)
            assert data == text and source[0] == rig.hosts.inside
            await loop.sock_sendto(host, b"re " + data, source)
            async with asyncio.timeout(10):
                answer, came_from = await loop.sock_recvfrom(client, 2048)
            assert (answer, came_from) == (b"re " + text, (rig.hosts.outside, port))
        seen.append(source)
        found = await rig.driver.origin(Protocol.UDP, source, (rig.hosts.host, 5000))
        assert found == origin_of(client, port, 1)
    assert len(set(seen)) == 3
    traffic = await rig.traffic()
    assert (traffic.connections, traffic.open) == (3, 3)
    assert traffic.bytes_up >= 27 and traffic.bytes_down >= 27 + 27


async def test_what_nobody_uses_is_given_up(rig: Rig) -> None:
    listener, host = rig.hosts.listener(8185), rig.hosts.listener(5000, socket.SOCK_DGRAM)
    await rig.start(
        rig.hosts.route(1, "8185"),
        rig.hosts.route(2, "5000", protocol=Protocol.UDP),
        idle_limit=1,
        half_close_limit=1,
        udp_idle_limit=1,
    )
    await rig.through(8185, listener)
    client = rig.hosts.client(0, socket.SOCK_DGRAM)
    await asyncio.get_running_loop().sock_sendto(client, b"x", (rig.hosts.outside, 5000))
    await receive(host)

    async def none_open() -> bool:
        traffic = await rig.driver.traffic()
        return (traffic[1].connections, traffic[2].connections) == (1, 1) and not (traffic[1].open or traffic[2].open)

    await until(none_open)


async def test_a_connection_in_use_outlives_the_idle_limit(rig: Rig) -> None:
    listener = rig.hosts.listener(8185)
    await rig.start(rig.hosts.route(1, "8185"), idle_limit=2, half_close_limit=2)
    client, server, _ = await rig.through(8185, listener)
    end = asyncio.get_running_loop().time() + 5
    while asyncio.get_running_loop().time() < end:
        await send(client, b"x")
        assert await receive(server) == b"x"
        await asyncio.sleep(0.25)
    assert (await rig.traffic()).open == 1


async def test_a_thousand_connections_are_carried_at_once(rig: Rig) -> None:
    listener = rig.hosts.listener(8185)
    await rig.start(rig.hosts.route(1, "8185"))
    loop = asyncio.get_running_loop()
    clients, servers = [], []
    for number in range(1000):
        clients.append(await rig.hosts.connect(8185, number % 2))
        servers.append((await rig.hosts.accept(listener))[0])
    assert (await rig.traffic()).open == 1000
    for number, client in enumerate(clients):
        await loop.sock_sendall(client, b"%d" % number)
    seen = await asyncio.gather(*(receive(server) for server in servers))
    assert sorted(map(int, seen)) == list(range(1000))
    for server, data in zip(servers, seen, strict=True):
        await loop.sock_sendall(server, data)
    assert [int(data) for data in await asyncio.gather(*(receive(client) for client in clients))] == list(range(1000))


async def test_what_is_in_force_is_said_and_a_stop_takes_it_away(rig: Rig) -> None:
    listener = rig.hosts.listener(8185)
    wanted = [
        rig.hosts.route(1, "8185, 9000-9010", sources="192.0.2.0/24 " + rig.hosts.clients[0]),
        rig.hosts.route(2, "5000", protocol=Protocol.UDP, host_port=6000),
    ]
    await rig.start(*wanted)
    assert await rig.driver.in_force() == {one.key: one.route for one in wanted}
    assert await rig.served(8185, listener)
    await rig.driver.apply([])
    assert await rig.driver.in_force() == {} == await rig.driver.traffic()
    assert not await rig.served(8185, listener)
    assert await rig.driver.apply(wanted) == {}
    assert await rig.served(8185, listener)
    await rig.driver.stop()
    assert not await rig.served(8185, listener)


async def test_a_gateway_that_comes_back_takes_over_what_is_in_force(rig: Rig) -> None:
    listener = rig.hosts.listener(8185)
    wanted = rig.hosts.route(1, "8185")
    await rig.start(wanted)
    client, server, source = await rig.through(8185, listener)
    # As a new process would, while the one before has not stopped.
    rig.driver = rig.new_driver()
    await rig.driver.start()
    assert await rig.driver.apply([wanted]) == {}
    assert await rig.driver.in_force() == {1: wanted.route}
    assert await rig.driver.origin(Protocol.TCP, source, None) == origin_of(client, 8185, 1)
    await send(client, b"still")
    assert await receive(server) == b"still"
    assert await rig.served(8185, listener)


@pytest.mark.parametrize("hosts", ["one worker"], indirect=True)
async def test_a_worker_without_file_descriptors_waits_for_some_and_does_not_spin(rig: Rig) -> None:
    listener = rig.hosts.listener(8185)
    await rig.start(rig.hosts.route(1, "8185"))
    assert isinstance(rig.driver, UserspaceDriver)
    (worker,) = rig.driver.pids
    in_use = len(list(Path(f"/proc/{worker}/fd").iterdir()))
    # Room for two connections, which have two sockets each, and for the half of a third.
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (in_use + 5, in_use + 5))
    clients = [await rig.hosts.connect(8185) for _ in range(4)]
    held = [(await rig.hosts.accept(listener))[0] for _ in range(2)]
    before = cpu_seconds(worker)
    await asyncio.sleep(1)
    assert cpu_seconds(worker) - before < 0.5
    for client in clients[:2]:
        client.close()
    for server in held:
        server.close()
    # Of the other two one may have been broken off for want of its second socket; the kernel keeps the rest.
    server, _ = await rig.hosts.accept(listener)
    await send(server, b"welcome")

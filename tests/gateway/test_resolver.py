"""Names of ICPs, asked of a DNS server of the test's own."""

from collections.abc import AsyncIterator

import dns.rcode
import pytest
import pytest_asyncio

from opx.gateway.repository import NodeAddress
from opx.gateway.resolver import MAX_NODES, LookupFailed, Resolver
from opx.sip.flow import Destination
from opx.sip.locating import Candidate
from support.dns_server import DnsServer, dns_server
from support.network import LoopbackNetwork

PBX = NodeAddress("pbx.example", None, "UDP")
TIMEOUT = 0.3
"""For questions that nobody answers; others do not wait for it."""


@pytest_asyncio.fixture
async def server(loopback: LoopbackNetwork) -> AsyncIterator[DnsServer]:
    async with dns_server(loopback.at("0.53")) as server:
        yield server


def resolver(server: DnsServer, timeout: float = 10.0) -> Resolver:
    return Resolver([server.address], timeout)


def at(host: str, port: int = 5060, priority: int = 0, weight: int = 0, transport: str = "UDP") -> Candidate:
    return Candidate(Destination(transport, host, port), priority, weight)


async def test_srv_records_are_asked_for_first_and_their_targets_are_nodes(server: DnsServer) -> None:
    server.put("_sip._udp.pbx.example", "SRV", "10 60 5070 a.pbx.example.", "20 5 5060 b.pbx.example.", ttl=120)
    server.put("a.pbx.example", "A", "10.0.0.21", ttl=90)
    server.put("b.pbx.example", "A", "10.0.0.22", "10.0.0.23", ttl=600)
    located = await resolver(server).locate(PBX)
    assert located.candidates == (
        at("10.0.0.21", 5070, 10, 60),
        at("10.0.0.22", 5060, 20, 5),
        at("10.0.0.23", 5060, 20, 5),
    )
    assert located.ttl == 90
    assert ("pbx.example", "A") not in server.asked


async def test_over_tcp_the_records_of_tcp_count(server: DnsServer) -> None:
    server.put("_sip._udp.pbx.example", "SRV", "1 1 5060 a.pbx.example.")
    server.put("_sip._tcp.pbx.example", "SRV", "1 1 5062 a.pbx.example.")
    server.put("a.pbx.example", "A", "10.0.0.21")
    located = await resolver(server).locate(NodeAddress("pbx.example", None, "TCP"))
    assert located.candidates == (at("10.0.0.21", 5062, 1, 1, "TCP"),)


@pytest.mark.parametrize("exists", [False, True])
async def test_without_srv_records_the_addresses_of_the_name_are_nodes(server: DnsServer, exists: bool) -> None:
    if exists:
        server.put("_sip._udp.pbx.example", "TXT", '"nothing of use"')
    server.put("pbx.example", "A", "10.0.0.22", "10.0.0.21", ttl=45)
    located = await resolver(server).locate(PBX)
    assert located.candidates == (at("10.0.0.21"), at("10.0.0.22"))
    assert located.ttl == 45


async def test_a_port_that_is_given_leaves_srv_records_out(server: DnsServer) -> None:
    server.put("_sip._udp.pbx.example", "SRV", "1 1 5070 a.pbx.example.")
    server.put("pbx.example", "A", "10.0.0.21")
    located = await resolver(server).locate(NodeAddress("pbx.example", 5080, "UDP"))
    assert located.candidates == (at("10.0.0.21", 5080),)
    assert server.asked == [("pbx.example", "A")]


async def test_the_shortest_ttl_on_the_way_counts(server: DnsServer) -> None:
    server.put("pbx.example", "CNAME", "real.example.", ttl=20)
    server.put("real.example", "A", "10.0.0.21", ttl=600)
    located = await resolver(server).locate(NodeAddress("pbx.example", 5060, "UDP"))
    assert (located.candidates, located.ttl) == ((at("10.0.0.21"),), 20)


async def test_a_target_of_a_dot_says_that_there_is_no_server(server: DnsServer) -> None:
    server.put("_sip._udp.pbx.example", "SRV", "0 0 5060 .")
    server.put("pbx.example", "A", "10.0.0.21")
    assert (await resolver(server).locate(PBX)).candidates == ()


async def test_a_name_that_there_is_not_has_no_servers(server: DnsServer) -> None:
    assert (await resolver(server).locate(PBX)).candidates == ()


async def test_a_target_without_an_address_is_left_out(server: DnsServer) -> None:
    server.put("_sip._udp.pbx.example", "SRV", "1 1 5060 a.pbx.example.", "2 1 5060 b.pbx.example.")
    server.put("b.pbx.example", "A", "10.0.0.22")
    assert (await resolver(server).locate(PBX)).candidates == (at("10.0.0.22", 5060, 2, 1),)


async def test_addresses_that_no_host_has_are_left_out(server: DnsServer) -> None:
    server.put("pbx.example", "A", "0.0.0.0", "224.0.0.1", "255.255.255.255", "10.0.0.21")
    assert (await resolver(server).locate(PBX)).candidates == (at("10.0.0.21"),)


async def test_the_number_of_servers_of_a_name_is_bounded(server: DnsServer) -> None:
    server.put("pbx.example", "A", *(f"10.0.1.{number}" for number in range(40)))
    assert len((await resolver(server).locate(PBX)).candidates) == MAX_NODES


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
async def test_a_name_server_in_trouble_is_a_failure_and_not_an_answer(
    server: DnsServer, rcode: dns.rcode.Rcode
) -> None:
    server.rcode = rcode
    with pytest.raises(LookupFailed, match=r"no name server answers|no usable answer"):
        await resolver(server, TIMEOUT).locate(PBX)


async def test_a_name_server_that_is_silent_is_given_up(server: DnsServer) -> None:
    server.silent = True
    with pytest.raises(LookupFailed, match="no name server answers"):
        await resolver(server, TIMEOUT).locate(PBX)


async def test_the_next_name_server_is_asked_when_one_is_silent(loopback: LoopbackNetwork, server: DnsServer) -> None:
    async with dns_server(loopback.at("0.54")) as dead:
        dead.silent = True
        server.put("pbx.example", "A", "10.0.0.21")
        located = await Resolver([dead.address, server.address], 10.0).locate(NodeAddress("pbx.example", 5060, "UDP"))
    assert located.candidates == (at("10.0.0.21"),)


async def test_the_hosts_file_of_the_machine_is_asked_when_dns_knows_nothing() -> None:
    located = await Resolver((), TIMEOUT).locate(NodeAddress("localhost", 5060, "UDP"))
    assert at("127.0.0.1") in located.candidates

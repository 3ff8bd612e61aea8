"""A gateway that finds its ICP by name: DNS, resolver, signalling and sockets together."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from opx.gateway.repository import NodeAddress
from support.dns_server import dns_server
from support.live import LiveSite, live_site
from support.network import LoopbackNetwork
from support.programs import PATIENCE

NAME = NodeAddress("pbx.example", None, "UDP")


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.01)


def nodes(site: LiveSite) -> list[str]:
    (link,) = site.gateway.signalling.links
    return [str(node) for node in link.in_order(1)]


async def named(site: LiveSite) -> None:
    await site.gateway.repository.put_icp("Node 1", "SIP PBX", NAME.host, None, "UDP")
    await site.gateway.reload()


async def test_the_nodes_of_an_icp_are_those_of_its_srv_records(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with dns_server(loopback.at("0.53")) as dns:
        dns.put("_sip._udp.pbx.example", "SRV", "20 0 5060 b.pbx.example.", "10 0 5070 a.pbx.example.")
        dns.put("a.pbx.example", "A", loopback.at("20.31"))
        dns.put("b.pbx.example", "A", loopback.at("20.20"))
        extra = f'[dns]\nnameservers = ["{dns.address}"]\ntimeout = 3600\n'
        async with live_site(loopback, tmp_path, extra_gateway=extra) as site:
            await named(site)
            await until(lambda: len(nodes(site)) == 2 or any("is down" in text for text in site.texts()))
            # The first one does not exist: the PBX node of the site is the second.
            await until(lambda: nodes(site) == [f"{loopback.at('20.20')}:5060"])
            node = site.gateway.signalling.links[0].best(1)
            assert node is not None and node.domain == "pbx.example"
            assert not any("cannot be resolved" in text for text in site.texts())


async def test_a_name_that_dns_does_not_know_is_on_the_timeline_and_stops_nothing(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    async with dns_server(loopback.at("0.53")) as dns:
        extra = f'[dns]\nnameservers = ["{dns.address}"]\ntimeout = 3600\n'
        async with live_site(loopback, tmp_path, extra_gateway=extra) as site:
            await named(site)
            said = "ICP Node 1: pbx.example cannot be resolved: DNS knows no such server"
            await until(lambda: said in site.texts())
            assert nodes(site) == []


async def test_a_change_is_taken_over_at_once_while_dns_is_silent(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with dns_server(loopback.at("0.53")) as dns:
        dns.silent = True
        extra = f'[dns]\nnameservers = ["{dns.address}"]\ntimeout = 3600\n'
        async with live_site(loopback, tmp_path, extra_gateway=extra) as site:
            await named(site)
            await until(lambda: bool(dns.asked))
            assert nodes(site) == []
            await site.gateway.repository.put_icp("Node 1", "SIP PBX", site.pbx_address, None, "UDP")
            await site.gateway.reload()
            await until(lambda: nodes(site) == [f"{site.pbx_address}:5060"])

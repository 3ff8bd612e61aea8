"""A PBX of two nodes that we did not write: sipp plays both, and the phone."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from opx.gateway.repository import NodeAddress
from support.live import LiveSite, live_site
from support.network import LoopbackNetwork
from support.programs import PATIENCE, OutsideProgram, needs_program
from support.sipp import Sipp
from support.sipp_nodes import REFUSES, TAKES, node, received

pytestmark = needs_program("sipp")

FAST = "[icps]\nprobe_interval = 1\nprobe_patience = 0.5\n"


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.02)


async def ended(program: OutsideProgram) -> int:
    return await asyncio.to_thread(program.wait)


class Cluster:
    """The gateway's only ICP is a PBX at two addresses."""

    def __init__(self, site: LiveSite, folder: Path) -> None:
        self.site = site
        self.folders = (folder / "one", folder / "two")
        self.addresses = (site.network.at("20.31"), site.network.at("20.32"))
        self.phone = Sipp(
            folder / "phone", local=site.network.at("30.7"), pbx=site.outside, number="tw1", password="set-1-Secret"
        )

    def node(self, number: int, scenario: str) -> OutsideProgram:
        return node(self.folders[number], self.addresses[number], scenario, "1001", "icp-1001-Secret")

    async def configure(self) -> None:
        first, second = self.addresses
        repository = self.site.gateway.repository
        await repository.put_icp("Node 1", "SIP PBX", first, 5060, "UDP", [NodeAddress(second, 5060)])
        await self.site.gateway.reload()

    def at(self, number: int) -> bool:
        """Whether the phone is registered at that node."""
        icps = self.site.gateway.signalling.icps
        found = icps.node_of(1)
        return icps.registered(1) and found is not None and found.destination.host == self.addresses[number]

    async def register(self) -> None:
        with self.phone.register() as registering:
            assert await ended(registering) == 0, registering.text

    async def call(self) -> None:
        with self.phone.call("1002", 500) as calling:
            assert await ended(calling) == 0, calling.text
        await until(lambda: len(self.site.gateway.signalling.calls) == 0)


async def test_a_call_that_one_node_refuses_is_taken_by_the_other(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_site(loopback, tmp_path, extra_gateway=FAST) as site:
        cluster = Cluster(site, tmp_path)
        with cluster.node(0, REFUSES), cluster.node(1, TAKES):
            await cluster.configure()
            await cluster.register()
            assert cluster.at(0)
            one, two = cluster.folders
            await cluster.call()
            await until(lambda: received(two, "BYE") == 1)
        assert received(one, "INVITE") == 1
        assert received(two, "INVITE") == 2, "the second one answers its challenge"
        assert any("answered 503, trying node" in text for text in site.texts())


async def test_the_other_node_takes_over_when_one_dies_and_hands_back_when_it_is_there_again(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    async with live_site(loopback, tmp_path, extra_gateway=f"{FAST}failback_after = 1\n") as site:
        cluster = Cluster(site, tmp_path)
        with cluster.node(1, TAKES):
            with cluster.node(0, TAKES):
                await cluster.configure()
                await cluster.register()
                assert cluster.at(0)
            await until(lambda: cluster.at(1))
            await cluster.call()
            await until(lambda: received(cluster.folders[1], "BYE") == 1)
            with cluster.node(0, TAKES):
                await until(lambda: cluster.at(0))
                await cluster.call()
                await until(lambda: received(cluster.folders[0], "BYE") == 1)

"""Gateway and suite as the programs that their owner starts, on a loopback network of a test's own."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from opx.config import SettingsFile
from opx.gateway.opening import open_repository
from opx.gateway.records import IcpSpec
from opx.gateway.settings import GatewaySettings
from opx.gateway.webservices.records import GUIDE_PERMISSIONS, ConsumerSpec
from opx.gateway.webservices.repository import WebServicesRepository
from opx.kept.bulletin import Handler, tell
from opx.suite.gateway_link.exchange import TokenExchange
from opx.suite.opening import open_sites
from opx.suite.provisioning.repository import ProvisioningRepository
from opx.suite.settings import SuiteSettings
from opx.suite.sites.records import GatewaySpec
from opx.suite.topics import SITES
from support.network import LoopbackNetwork
from support.programs import PATIENCE, OutsideProgram

CONSUMER = ConsumerSpec("MiVoice Office Application Suite", "MiVOAppSuite", GUIDE_PERMISSIONS)
PORT = 8443


class Silent:
    """A bulletin for who tells by `RealSite.tell`."""

    def subscribe(self, topic: str, handler: Handler) -> None:
        """Nothing is heard."""

    def publish(self, topic: str, keys: Sequence[str] = ()) -> None:
        """Nothing is said."""


class RealSite:
    """`gateway` and `suite` run while they are entered on `stack`; what an administrator does is done in their
    databases, and told, as their commands do it."""

    def __init__(self, folder: Path, network: LoopbackNetwork, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.network = network
        self._stack = stack

    @property
    def inside(self) -> str:
        return self.network.at("20.1")

    @property
    def node(self) -> str:
        return self.network.at("20.20")

    async def open(self, suite_more: str = "", gateway_more: str = "") -> None:
        """Their settings files, and their databases for the test."""
        gateway_text = f"""
[set_side]
address = "{self.network.at("10.1")}"
[icp_side]
address = "{self.inside}"
[media]
workers = 1
{gateway_more}"""
        suite_text = f'address = "{self.network.at("20.10")}"\n{suite_more}'
        (self.folder / "gateway.toml").write_text(gateway_text)
        (self.folder / "suite.toml").write_text(suite_text)
        gateway_settings = SettingsFile.read(self.folder / "gateway.toml").settings(GatewaySettings)
        self.repository, _ = await open_repository(gateway_settings)
        self._stack.push_async_callback(self.repository.close)
        self.web_services = WebServicesRepository(
            self.repository.engine, self.repository.sealer, gateway_settings.web_services
        )
        self.settings = SettingsFile.read(self.folder / "suite.toml").settings(SuiteSettings)
        self.sites = await open_sites(self.settings)
        self._stack.push_async_callback(self.sites.engine.dispose)
        self.kept = ProvisioningRepository(self.sites.engine)
        self.exchange = TokenExchange(self.sites, Silent(), self.settings.address)

    async def start(self, program: str) -> OutsideProgram:
        """`gateway` or `suite`, until it is ready; ended with the stack unless it has been before."""
        arguments = [sys.executable, "-m", "opx", program, "run", "--config", str(self.folder / f"{program}.toml")]
        running = self._stack.enter_context(OutsideProgram(arguments, self.folder / f"{program}.txt"))
        await asyncio.to_thread(running.wait_for, f"ready: {program}")
        return running

    async def tell(self, topic: str, keys: Sequence[object] = ()) -> None:
        await tell(self.settings.bulletin, topic, [str(key) for key in keys])

    # --- the guide's stages

    async def token(self, *, first: bool = True) -> None:
        """Stages 1 and 4: the gateway's address, its certificate, a consumer and a token."""
        if first:
            await self.sites.gateway.save(GatewaySpec(self.inside, PORT, rest_api=True))
            await self.web_services.set_started(True)
            _, secret = await self.web_services.add_consumer(CONSUMER)
            await self.sites.gateway.save_consumer(CONSUMER.name, CONSUMER.consumer_id, secret)
            await self.exchange.trust(await self.exchange.fingerprint())
        await self.exchange.request()
        (waiting, *_) = await self.web_services.temporary_tokens()
        await self.exchange.retrieve((await self.web_services.approve(waiting.id)).verifier or "")
        await self.tell(SITES)

    async def icp(self, host: str, name: str = "Node 1") -> int:
        """Stage 3; the ICP's id."""
        return (await self.repository.save_icp(IcpSpec(name, host, type="MiVoice Office 250")))[0].id

    # --- what comes of it

    async def until(self, so: Callable[[], Awaitable[object]], what: str = "it") -> None:
        """Look until it is so. AssertionError when it never is."""
        end = time.monotonic() + PATIENCE
        while not await so():
            assert time.monotonic() < end, f"waited in vain for {what}: {await self.kept.run()}"
            await asyncio.sleep(0.05)

    async def numbers(self) -> list[str]:
        """Of the extensions that the gateway has, by their names at the ICP."""
        return sorted(device.icp_username for device in await self.repository.devices())


@asynccontextmanager
async def real_site(
    folder: Path, network: LoopbackNetwork, suite_more: str = "", gateway_more: str = ""
) -> AsyncIterator[RealSite]:
    async with AsyncExitStack() as stack:
        site = RealSite(folder, network, stack)
        await site.open(suite_more, gateway_more)
        yield site


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(int(child))
    return found


def peak_memory(pid: int) -> int:
    """The most bytes that a program's processes have had in memory, each for itself, summed up."""
    total = 0
    for member in family(pid):
        for line in Path(f"/proc/{member}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                total += int(line.split()[1]) * 1024
    return total


def cpu_seconds(pid: int) -> float:
    """What a program's processes have used of processors so far."""
    ticks = 0
    for member in family(pid):
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")

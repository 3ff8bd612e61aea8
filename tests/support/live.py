"""A whole site on real sockets inside one process: gateway and PBX node on a loopback network of the test's own."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from opx.config import parse_settings
from opx.gateway.repository import DeviceSpec, Repository
from opx.gateway.service import GatewayService
from opx.gateway.settings import GatewaySettings
from opx.gateway.signalling.timeline import Entry
from opx.pbx.service import PbxService
from opx.pbx.settings import PbxSettings
from support.network import LoopbackNetwork
from support.postgres import DATABASES


@dataclass
class LiveSite:
    """Remote extensions 1001 ... are devices tw1 ... with password set-<n>-Secret; office ones register at the PBX.

    ICP-side passwords are icp-<number>-Secret.
    """

    network: LoopbackNetwork
    folder: Path
    remote: Sequence[int] = (1, 2)
    office: Sequence[str] = ("1101",)
    extra_gateway: str = ""
    extra_pbx: str = ""
    entries: list[Entry] = field(default_factory=list)
    pbx_events: list[str] = field(default_factory=list)

    @property
    def outside(self) -> str:
        return self.network.at("10.1")

    @property
    def inside(self) -> str:
        return self.network.at("20.1")

    @property
    def pbx_address(self) -> str:
        return self.network.at("20.20")

    def texts(self) -> list[str]:
        return [entry.text for entry in self.entries]

    async def start(self) -> None:
        await self.start_pbx()
        await self.start_gateway()

    async def stop(self) -> None:
        await self.gateway.stop()
        await self.pbx.stop()

    async def start_pbx(self) -> None:
        numbers = [f"100{n}" for n in self.remote] + list(self.office)
        extensions = "".join(
            f'[[extension]]\nnumber = "{number}"\npassword = "icp-{number}-Secret"\n' for number in numbers
        )
        text = f"""
address = "{self.pbx_address}"
database = "{self.folder}/pbx.db"
key_file = "{self.folder}/pbx.key"
certificates = "{self.folder}/pbx-certificates"
token_file = "{self.folder}/pbx.token"
{self.extra_pbx}
{extensions}"""
        settings = parse_settings(PbxSettings, text, "pbx.toml")
        self.pbx = PbxService(settings, on_event=self.pbx_events.append)
        await self.pbx.start()

    def gateway_text(self) -> str:
        """Its settings file."""
        return f"""
database = "{DATABASES.setting(self.folder / "gateway.db")}"
key_file = "{self.folder}/gateway.key"
control_socket = "{self.folder}/gateway.sock"
[set_side]
address = "{self.outside}"
[icp_side]
address = "{self.inside}"
{self.extra_gateway}"""

    def gateway_settings(self) -> GatewaySettings:
        return parse_settings(GatewaySettings, self.gateway_text(), "gateway.toml")

    async def start_gateway(self) -> None:
        self.gateway = GatewayService(self.gateway_settings(), on_entry=self.entries.append)
        await self.gateway.start()
        await self.fill(self.gateway.repository)
        await self.gateway.reload()

    async def fill(self, repository: Repository) -> None:
        """The ICP and the devices."""
        await repository.put_icp("Node 1", "MiVoice Office 250", self.pbx_address, 5060, "UDP")
        for n in self.remote:
            await repository.put_device(
                DeviceSpec(f"tw{n}", f"set-{n}-Secret", "Node 1", f"100{n}", f"icp-100{n}-Secret")
            )


@asynccontextmanager
async def live_site(network: LoopbackNetwork, folder: Path, **options: object) -> AsyncIterator[LiveSite]:
    """A started site; stopped on leaving, whatever happened."""
    site = LiveSite(network, folder, **options)  # type: ignore[arg-type]
    await site.start()
    try:
        yield site
    finally:
        await site.stop()


@asynccontextmanager
async def live_office(
    network: LoopbackNetwork, folder: Path, numbers: Sequence[str] = ("1101", "1102", "1103"), extra: str = ""
) -> AsyncIterator[LiveSite]:
    """A PBX node alone, with those extensions; `extra` is more of its settings file."""
    site = LiveSite(network, folder, remote=(), office=numbers, extra_pbx=extra)
    await site.start_pbx()
    try:
        yield site
    finally:
        await site.pbx.stop()

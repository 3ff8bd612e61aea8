"""A whole site as its owner runs it: PBX node, gateway and suite as real processes on a loopback network."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol as Interface
from typing import Self

from opx.config import load_settings
from opx.gateway.changes import tell
from opx.gateway.forwarding.repository import ForwardRepository
from opx.gateway.forwarding.rules import ForwardSpec, Ports, Protocol, parse_address
from opx.gateway.forwarding.site import site_of
from opx.gateway.opening import open_repository
from opx.gateway.repository import Repository
from opx.gateway.settings import GatewaySettings
from opx.gateway.webservices.records import (
    GUIDE_PERMISSIONS,
    NOTIFY,
    ORIGIN,
    REGISTRATIONS,
    Actor,
    ConsumerSpec,
    Permission,
)
from opx.gateway.webservices.repository import WebServicesRepository
from opx.gateway.webservices.service import WebServices
from opx.kept.bulletin import Handler
from opx.pinning import fetch_fingerprint
from opx.suite.gateway_link.exchange import TokenExchange
from opx.suite.opening import open_sites
from opx.suite.settings import SuiteSettings
from opx.suite.sites.records import GatewaySpec, Locations, NodeSpec, PbxSpec
from opx.suite.sites.repository import SiteRepository
from support.network import LoopbackNetwork
from support.programs import OutsideProgram

PBX_API = 8445
PBX, NODE = "MiVO 250", "Node 1"
CONSUMER = ("MiVoice Office Application Suite", "MiVOAppSuite")
PERMISSIONS = {
    **GUIDE_PERMISSIONS,
    ORIGIN: Permission.READ,
    REGISTRATIONS: Permission.READ,
    NOTIFY: Permission.READ_WRITE,
}
"""What the guide gives, and what lets the suite know true sources, see registrations and tell phones of changes."""
ADMINISTRATOR = Actor("test")


class Unheard:
    """A bulletin that nobody reads: the suite is not running yet."""

    def subscribe(self, topic: str, handler: Handler) -> None: ...
    def publish(self, topic: str, keys: Sequence[str] = ()) -> None: ...


class Program(Interface):
    """A started program."""

    def wait_for(self, text: str) -> None: ...
    @property
    def text(self) -> str: ...
    @property
    def pid(self) -> int: ...


Start = Callable[[Sequence[str], Path], "AbstractContextManager[Program]"]


def _start(arguments: Sequence[str], output: Path) -> AbstractContextManager[Program]:
    return OutsideProgram(arguments, output)


@dataclass
class WholeSite:
    """Addresses as in the demo. Extensions `numbers`, with password icp-<number>-Secret; `hot_desks` have PIN 4711.

    `more` are further lines of each program's settings file, by program. `start` runs a program; for tests it is an
    `OutsideProgram`, for benches a pinned one.
    """

    network: LoopbackNetwork
    folder: Path
    numbers: Sequence[str]
    hot_desks: Sequence[str] = ()
    more: dict[str, str] = field(default_factory=dict)
    start: Start = _start
    programs: dict[str, Program] = field(default_factory=dict)
    _running: ExitStack = field(default_factory=ExitStack)

    @property
    def outside(self) -> str:
        return self.network.at("10.1")

    @property
    def inside(self) -> str:
        return self.network.at("20.1")

    @property
    def suite(self) -> str:
        return self.network.at("20.10")

    @property
    def pbx(self) -> str:
        return self.network.at("20.20")

    def __enter__(self) -> Self:
        self.write_settings()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    # --- programs

    def run(self, *programs: str) -> None:
        """Start some of gateway, suite and pbx at once, and wait until they are ready."""
        for program in programs:
            arguments = [sys.executable, "-m", "opx", program, "run", "--config", str(self.settings(program))]
            started = self.start(arguments, self.folder / f"{program}.txt")
            self.programs[program] = self._running.enter_context(started)
        for program in programs:
            self.programs[program].wait_for("ready:")

    def settings(self, program: str) -> Path:
        return self.folder / f"{program}.toml"

    # --- the guide's stages, through the repositories

    async def set_up(self) -> None:
        """Stages 1 to 4, with PBX node and gateway running: afterwards the suite may start."""
        secret = await self._set_up_gateway()
        sites = await open_sites(self.suite_settings)
        try:
            await self._set_up_suite(sites, secret)
        finally:
            await sites.engine.dispose()

    @property
    def suite_settings(self) -> SuiteSettings:
        return load_settings(SuiteSettings, self.settings("suite"))

    async def _set_up_gateway(self) -> str:
        """Stages 2, 3 and the gateway's part of 4; the consumer's shared secret."""
        async with self._gateway() as (repository, services):
            await repository.put_icp(NODE, "MiVoice Office 250", self.pbx, 5060, "UDP")
            forwards = ForwardRepository(repository.engine, site_of(self.gateway_settings))
            await forwards.add(ForwardSpec(Protocol.TCP, Ports.parse("8202"), parse_address(self.suite)))
            await services.start(ADMINISTRATOR)
            _, secret = await services.add_consumer(ADMINISTRATOR, ConsumerSpec(*CONSUMER, PERMISSIONS))
        await tell(self.gateway_settings.control_socket)
        return secret

    async def _set_up_suite(self, sites: SiteRepository, secret: str) -> None:
        """Stage 1, and the suite's part of 4 with the administrator's at the gateway."""
        token = (self.folder / "pbx.token").read_text().strip()
        fingerprint = await fetch_fingerprint(self.pbx, PBX_API, self.suite)
        pbx = await sites.save_pbx(PbxSpec(PBX, "opx", f"https://{self.pbx}:{PBX_API}", fingerprint, token, "5.0.64"))
        await sites.save_node(NodeSpec(pbx.id, NODE, self.pbx, nat_address=self.outside, software="6.3 SP1"))
        await sites.save_locations(Locations(self.suite, self.outside))
        await sites.gateway.save(GatewaySpec(self.inside, rest_api=True))
        await sites.gateway.save_consumer(*CONSUMER, secret)
        exchange = TokenExchange(sites, Unheard(), self.suite)
        await exchange.trust(await exchange.fingerprint())
        await exchange.request()
        async with self._gateway() as (_, services):
            (asked,) = await services.temporary_tokens()
            approved = await services.approve(ADMINISTRATOR, asked.id)
        assert approved.verifier is not None
        await exchange.retrieve(approved.verifier)

    @property
    def gateway_settings(self) -> GatewaySettings:
        return load_settings(GatewaySettings, self.settings("gateway"))

    @asynccontextmanager
    async def _gateway(self) -> AsyncIterator[tuple[Repository, WebServices]]:
        settings = self.gateway_settings
        repository, _ = await open_repository(settings)
        try:
            kept = WebServicesRepository(repository.engine, repository.sealer, settings.web_services)
            yield repository, WebServices(kept)
        finally:
            await repository.close()

    # --- files

    def write_settings(self) -> None:
        folder = self.folder
        extensions = "".join(
            f'[[extension]]\nnumber = "{number}"\nname = "Extension {number}"\npassword = "icp-{number}-Secret"\n'
            for number in self.numbers
        )
        extensions += "".join(
            f'[[extension]]\nnumber = "{number}"\nname = "Hot desk {number}"\npassword = "icp-{number}-Secret"\n'
            'type = "SIP hot desk"\npin = "4711"\n'
            for number in self.hot_desks
        )
        texts = {
            "pbx": f"""\
address = "{self.pbx}"
database = "{folder}/pbx.db"
key_file = "{folder}/pbx.key"
certificates = "{folder}/pbx-certificates"
token_file = "{folder}/pbx.token"
{self.more.get("pbx", "")}
{extensions}""",
            "gateway": f"""\
database = "{folder}/gateway.db"
key_file = "{folder}/gateway.key"
control_socket = "{folder}/gateway.sock"
{self.more.get("gateway", "")}
[set_side]
address = "{self.outside}"
[icp_side]
address = "{self.inside}"
[certificates]
folder = "{folder}/gateway-certificates"
[forwarding]
driver = "userspace"
""",
            "suite": f"""\
address = "{self.suite}"
database = "{folder}/suite.db"
key_file = "{folder}/suite.key"
bulletin = "{folder}/suite.sock"
{self.more.get("suite", "")}
[certificates]
folder = "{folder}/suite-certificates"
""",
        }
        for program, text in texts.items():
            self.settings(program).write_text(text)

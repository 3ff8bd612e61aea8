"""A gateway's port forwarding in this process: its rules in a database, and hosts around it."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from opx.config import parse_settings
from opx.gateway.forwarding.reconciler import ForwardStatus, State
from opx.gateway.forwarding.repository import ForwardRepository
from opx.gateway.forwarding.rules import ForwardSpec
from opx.gateway.forwarding.service import Forwarding
from opx.gateway.forwarding.settings import ForwardingSettings
from opx.gateway.settings import GatewaySettings
from support.forwarding import Hosts, spec


def settings_for(hosts: Hosts, text: str = "") -> GatewaySettings:
    sides = f'[set_side]\naddress = "{hosts.outside}"\n[icp_side]\naddress = "{hosts.inside}"\n'
    return parse_settings(GatewaySettings, f"{sides}[forwarding]\ncheck_interval = 1\n{text}", "gateway.toml")


class Office:
    """A gateway's port forwarding, its rules, and the hosts around it."""

    def __init__(self, hosts: Hosts, folder: Path, rules: ForwardRepository, settings: ForwardingSettings) -> None:
        self.hosts = hosts
        self.rules = rules
        self.news: list[str] = []
        self.socket = folder / "gateway.sock"
        self.forwarding = Forwarding(settings, rules, self.socket, self.news.append)

    async def wanted(self, ports: str, **more: object) -> int:
        """A rule of that description, taken over."""
        (made,) = await self.rules.add(self.spec(ports, **more))
        await self.forwarding.changed()
        return made.id

    def spec(self, ports: str, **more: object) -> ForwardSpec:
        return spec(ports, self.hosts.host, **more)

    async def one(self, number: int) -> ForwardStatus:
        return next(one for one in (await self.forwarding.status()).rules if one.forward.id == number)

    async def is_in(self, number: int, state: State) -> bool:
        return (await self.one(number)).state is state

    @property
    def worker(self) -> int:
        driver = self.forwarding._userspace
        (pid,) = driver.pids
        return pid


Open = Callable[..., Awaitable[Office]]

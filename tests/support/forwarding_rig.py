"""A forwarding driver between clients and a host, whichever driver it is."""

import asyncio
import contextlib
import socket
from pathlib import Path

from opx.gateway.forwarding.interface import ForwardingDriver, Origin, Traffic, WantedRoute
from opx.gateway.forwarding.nftables.driver import NftablesDriver
from opx.gateway.forwarding.userspace.driver import UserspaceDriver
from opx.gateway.forwarding.userspace.wire import EnginePolicy
from support.forwarding import Address, Hosts


def origin_of(client: socket.socket, outside_port: int, key: int) -> Origin:
    address, port = client.getsockname()
    return Origin(address, port, outside_port, key)


class Rig:
    """A driver between clients and a host."""

    def __init__(self, kind: str, hosts: Hosts, folder: Path) -> None:
        self.kind = kind
        self.hosts = hosts
        self._folder = folder
        self.driver: ForwardingDriver

    @property
    def in_kernel(self) -> bool:
        return self.kind == "nftables"

    def new_driver(self, **policy: object) -> ForwardingDriver:
        made = self.hosts.policy(**policy)
        if self.in_kernel:
            return NftablesDriver(made)
        return UserspaceDriver(EnginePolicy(made, 2 if "two" in self.kind else 1, 65536, 64, 60), self._folder / "s")

    async def start(self, *wanted: WantedRoute, **policy: object) -> None:
        """`policy`: fields of ForwardingPolicy."""
        self.driver = self.new_driver(**policy)
        await self.driver.start()
        assert await self.driver.apply(wanted) == {}

    async def through(
        self, port: int, listener: socket.socket, which: int = 0
    ) -> tuple[socket.socket, socket.socket, Address]:
        """A connection: the client's end, the host's, and where the host sees it come from."""
        client = await self.hosts.connect(port, which)
        return client, *await self.hosts.accept(listener)

    async def served(self, port: int, listener: socket.socket, which: int = 0) -> bool:
        """Whether a connection reaches the host and something comes back."""
        client = self.hosts.client(which)
        loop = asyncio.get_running_loop()
        accepting = asyncio.create_task(loop.sock_accept(listener))
        try:
            # What the kernel drops in silence is tried again by TCP a second later.
            async with asyncio.timeout(0.7):
                await loop.sock_connect(client, (self.hosts.outside, port))
                made, _ = await asyncio.shield(accepting)
        except (OSError, TimeoutError):
            accepting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await accepting
            return False
        finally:
            client.close()
        made.close()
        return True

    async def traffic(self, key: int = 1) -> Traffic:
        return (await self.driver.traffic())[key]

"""Port forwarding in tests: a site, rules for it, and the hosts on both sides of a forwarding driver."""

import asyncio
import contextlib
import ipaddress
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from opx.gateway.forwarding.checking import OwnPort, Site
from opx.gateway.forwarding.interface import ForwardingPolicy, WantedRoute
from opx.gateway.forwarding.rules import ForwardSpec, PortRange, Ports, Protocol, parse_address, parse_sources
from opx.lab import namespaces

PATIENCE = 20.0
"""Seconds that a socket waits; a guard against hanging."""

Address = tuple[str, int]

SITE = Site(
    ipaddress.IPv4Address("203.0.113.10"),
    ipaddress.IPv4Address("192.168.20.1"),
    ipaddress.IPv4Network("192.168.20.0/24"),
    (5080, 5060),
    (
        OwnPort(Protocol.UDP, PortRange(20000, 30999), "voice"),
        OwnPort(Protocol.TCP, PortRange(8443, 8443), "its console"),
    ),
)


def spec(ports: str, host: str = "192.168.20.10", **more: object) -> ForwardSpec:
    """A rule to the host; `more` are fields of ForwardSpec."""
    return replace(ForwardSpec(Protocol.TCP, Ports.parse(ports), parse_address(host)), **more)  # type: ignore[arg-type]


@dataclass
class Hosts:
    """Clients outside, a host on the LAN, and the gateway between them; on loopback."""

    outside: str
    inside: str
    host: str
    clients: tuple[str, str]
    sockets: list[socket.socket] = field(default_factory=list)

    @contextlib.contextmanager
    def at(self, place: str) -> Iterator[None]:
        """Sockets made meanwhile belong to "client", "gateway" or "lan"."""
        yield

    def policy(self, **more: object) -> ForwardingPolicy:
        usual = ForwardingPolicy(
            ipaddress.IPv4Address(self.outside), ipaddress.IPv4Address(self.inside), 10_000, 5_000, 60, 60, 10, 60
        )
        return replace(usual, **more)  # type: ignore[arg-type]

    def route(
        self,
        key: int,
        ports: str,
        *,
        protocol: Protocol = Protocol.TCP,
        host_port: int | None = None,
        sources: str = "",
        snat: bool = True,
    ) -> WantedRoute:
        networks = parse_sources(sources)
        made = spec(ports, self.host, protocol=protocol, host_port=host_port, sources=networks, snat=snat)
        return WantedRoute(key, made.route)

    def client(self, which: int = 0, kind: socket.SocketKind = socket.SOCK_STREAM, port: int = 0) -> socket.socket:
        return self._socket("client", kind, (self.clients[which], port))

    def listener(self, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
        """At the host on the LAN."""
        made = self._socket("lan", kind, (self.host, port))
        if kind is socket.SOCK_STREAM:
            made.listen(4096)
        return made

    async def connect(self, port: int, which: int = 0) -> socket.socket:
        client = self.client(which)
        async with asyncio.timeout(PATIENCE):
            await asyncio.get_running_loop().sock_connect(client, (self.outside, port))
        return client

    async def accept(self, listener: socket.socket) -> tuple[socket.socket, Address]:
        """A connection at the host, and where it seems to come from."""
        async with asyncio.timeout(PATIENCE):
            made, source = await asyncio.get_running_loop().sock_accept(listener)
        made.setblocking(False)
        self.sockets.append(made)
        return made, source

    def close(self) -> None:
        for one in self.sockets:
            one.close()

    def _socket(self, place: str, kind: socket.SocketKind, address: Address) -> socket.socket:
        with self.at(place):
            made = socket.socket(socket.AF_INET, kind)
        self.sockets.append(made)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setblocking(False)
        made.bind(address)
        return made


async def receive(sock: socket.socket, size: int = 65536) -> bytes:
    """What arrives next; b"" at the end of the stream."""
    async with asyncio.timeout(PATIENCE):
        return await asyncio.get_running_loop().sock_recv(sock, size)


async def receive_all(sock: socket.socket) -> bytes:
    """Up to the end of the stream."""
    found = bytearray()
    while part := await receive(sock, 1 << 20):
        found += part
    return bytes(found)


async def send(sock: socket.socket, data: bytes) -> None:
    async with asyncio.timeout(PATIENCE):
        await asyncio.get_running_loop().sock_sendall(sock, data)


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Look at an observable state until it is so."""
    async with asyncio.timeout(PATIENCE):
        while not await true():
            await asyncio.sleep(0.02)


class Network(Hosts):
    """The same in network namespaces, so that the kernel forwards. While it is entered, the test is the gateway."""

    def __init__(self) -> None:
        super().__init__("198.51.100.10", "10.20.0.1", "10.20.0.20", ("198.51.100.7", "198.51.100.8"))
        self._holders: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        for place in ("client", "gateway", "lan"):
            # Each ends when its standard input does, whatever becomes of this process.
            self._holders[place] = subprocess.Popen(
                ["unshare", "--net", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        for holder in self._holders.values():
            assert holder.stdout is not None
            holder.stdout.readline()
        links = {
            "gateway": ((self.outside, "outside"), (self.inside, "inside")),
            "client": ((self.clients[0], "eth0"), (self.clients[1], "eth0")),
            "lan": ((self.host, "eth0"),),
        }
        with self.at("gateway"):
            run("ip", "link", "add", "outside", "type", "veth", "peer", "name", "eth0", "netns", self._pid("client"))
            run("ip", "link", "add", "inside", "type", "veth", "peer", "name", "eth0", "netns", self._pid("lan"))
        for place, addresses in links.items():
            with self.at(place):
                run("ip", "link", "set", "lo", "up")
                for address, interface in addresses:
                    run("ip", "addr", "add", f"{address}/24", "dev", interface)
                    run("ip", "link", "set", interface, "up")
        self._own = Path("/proc/thread-self/ns/net").open("rb")
        namespaces.join_file(self.space("gateway"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        namespaces.join_file(Path(f"/proc/self/fd/{self._own.fileno()}"))
        self._own.close()
        self.close()
        for holder in self._holders.values():
            holder.kill()
            holder.communicate()

    def space(self, place: str) -> Path:
        return Path(f"/proc/{self._pid(place)}/ns/net")

    def prefix(self, place: str) -> tuple[str, ...]:
        """What to put before a command so that it runs there."""
        return ("nsenter", f"--net={self.space(place)}")

    @contextlib.contextmanager
    def at(self, place: str) -> Iterator[None]:
        with Path("/proc/thread-self/ns/net").open("rb") as before:
            namespaces.join_file(self.space(place))
            try:
                yield
            finally:
                namespaces.join_file(Path(f"/proc/self/fd/{before.fileno()}"))

    def _pid(self, place: str) -> str:
        return str(self._holders[place].pid)


def run(*arguments: str, text: str = "") -> str:
    """A program's output. AssertionError when it fails."""
    done = subprocess.run(arguments, input=text, capture_output=True, text=True)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout

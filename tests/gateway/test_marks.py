"""DSCP (RFC 2474) of what the gateway sends: signalling of either side over UDP and TCP, and voice."""

import asyncio
import socket
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from opx.phone.softphone import Account, Softphone
from support.live import live_site
from support.network import LoopbackNetwork
from support.phones import playing, until
from support.programs import needs_root

SETTINGS = """
[media]
dscp = 34
"""
TCP, UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP
ALL_PROTOCOLS = 0x0003
ETHERNET_HEADER = 14


class Wire:
    """Packets on the loopback interface: DSCP values by sender, protocol and sender's port."""

    def __init__(self) -> None:
        self.seen: defaultdict[tuple[str, int, int], set[int]] = defaultdict(set)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
        self._socket.bind(("lo", 0))
        self._socket.setblocking(False)

    def read(self) -> None:
        """Take note of a packet that carries something: what a kernel sends while it connects is unmarked."""
        packet = self._socket.recv(65535)[ETHERNET_HEADER:]
        if packet[0] >> 4 != 4:
            return
        header, protocol = 4 * (packet[0] & 15), packet[9]
        length = int.from_bytes(packet[2:4], "big")
        content = header + (4 * (packet[header + 12] >> 4) if protocol == TCP else 8)
        if length > content:
            port = int.from_bytes(packet[header : header + 2], "big")
            self.seen[socket.inet_ntoa(packet[12:16]), protocol, port].add(packet[1] >> 2)

    @contextmanager
    def watched(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket.fileno(), self.read)
        try:
            yield
        finally:
            loop.remove_reader(self._socket.fileno())
            self._socket.close()


@needs_root()
@pytest.mark.parametrize(("transport", "protocol"), [("UDP", UDP), ("TCP", TCP)])
async def test_signalling_and_voice_are_marked_as_set(
    loopback: LoopbackNetwork, tmp_path: Path, transport: str, protocol: int
) -> None:
    wire = Wire()
    with wire.watched():
        async with live_site(loopback, tmp_path, extra_gateway="dscp = 10\n" + SETTINGS) as site:
            account = Account("tw1", "set-1-Secret", site.outside, transport=transport)
            phone = Softphone(account, loopback.at("30.1"), source=playing(440.0))
            await phone.start()
            phone.register()
            await until(phone.registered.is_set)
            call = phone.call("*9")
            await until(lambda: len(call.heard) > 1600)
            await phone.stop()
            outside, inside = site.outside, site.inside
    assert wire.seen[outside, protocol, 5060] == {24}
    assert wire.seen[inside, UDP, 5060] == {10}
    voice = [marks for (host, kind, port), marks in wire.seen.items() if host in (outside, inside) and port >= 20000]
    assert voice == [{34}, {34}]

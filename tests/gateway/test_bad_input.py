"""What comes malformed, too large or without end, on real sockets: its sender pays, and nobody else."""

import asyncio
import socket
from pathlib import Path

import pytest

from opx.phone.softphone import Account, Softphone
from opx.sip.parser import MAX_HEAD_BYTES
from support.live import LiveSite, live_site
from support.network import LoopbackNetwork
from support.programs import PATIENCE

OPTIONS = (
    b"OPTIONS sip:gateway SIP/2.0\r\nVia: SIP/2.0/%s 127.0.0.1:9;branch=z9hG4bK%d;rport\r\nFrom: <sip:x@y>;tag=1\r\n"
    b"To: <sip:gateway>\r\nCall-ID: c%d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


async def ask(site: LiveSite, data: bytes, *, answer: bool = True) -> bytes:
    """Send a datagram from a stranger's address; its answer, or b"" when the next valid request is answered first."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((site.network.at("66.6"), 0))
        stranger.setblocking(False)
        await loop.sock_sendto(stranger, data, (site.outside, 5060))
        if not answer:
            # The branch is this socket's own: a transaction's answers go where its first request came from.
            await loop.sock_sendto(stranger, OPTIONS % (b"UDP", stranger.getsockname()[1], 77), (site.outside, 5060))
        async with asyncio.timeout(PATIENCE):
            got = await loop.sock_recv(stranger, 65535)
        return b"" if not answer and b"c77" in got else got


async def calling(site: LiveSite) -> tuple[Softphone, object]:
    phone = Softphone(Account("tw1", "set-1-Secret", site.outside), site.network.at("30.1"))
    await phone.start()
    phone.register()
    call = phone.call("*9")
    async with asyncio.timeout(PATIENCE):
        await phone.tried.wait()
    call = phone.call("*9")
    async with asyncio.timeout(PATIENCE):
        await call.answered.wait()
    return phone, call


async def test_malformed_datagrams_cost_their_sender_400_or_silence_and_touch_no_call(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    async with live_site(loopback, tmp_path) as site:
        phone, _ = await calling(site)
        valid = OPTIONS % (b"UDP", 1, 1)
        for number, (old, new) in enumerate(
            [
                (b"CSeq: 1 OPTIONS", b"CSeq: 1 INVITE"),
                (b"Call-ID: c1\r\n", b""),
                (b"Content-Length: 0", b"Content-Length: 99"),
                (b"From: <sip:x@y>", b"From: <sip:x@y"),
                (b"To: <sip:gateway>", b"no header at all"),
            ]
        ):
            got = await ask(site, valid.replace(old, new).replace(b"z9hG4bK1", b"z9hG4bKm%d" % number))
            assert got.startswith(b"SIP/2.0 400 "), (old, got)
        assert (await ask(site, valid.replace(b"SIP/2.0\r\nVia", b"SIP/9.0\r\nVia"))).startswith(b"SIP/2.0 505 ")
        for noise in (b"\x00" * 100, b"GET / HTTP/1.1\r\n\r\n", b"SIP/2.0 abc\r\n\r\n", b"\xff" * 1000, b"A" * 60000):
            assert await ask(site, noise, answer=False) == b""
        assert len(phone.calls) >= 1
        assert len(site.gateway.signalling.calls) >= 1
        await phone.stop()


@pytest.mark.parametrize(
    "stream",
    [
        b"X-Endless: " + b"x" * (4 * MAX_HEAD_BYTES),
        b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 99999999\r\n\r\n",
        b"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=z9hG4bK1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
    ids=["endless headers", "huge body", "no Content-Length", "TLS on the plain port"],
)
async def test_a_stream_that_cannot_be_read_is_cut_off(
    loopback: LoopbackNetwork, tmp_path: Path, stream: bytes
) -> None:
    async with live_site(loopback, tmp_path) as site:
        reader, writer = await asyncio.open_connection(site.outside, 5060, local_addr=(loopback.at("66.6"), 0))
        writer.write(stream)
        async with asyncio.timeout(PATIENCE):
            rest = await _until_closed(reader)
        assert b" 200 " not in rest
        writer.close()
        assert site.gateway.set_stack.connections == 0


async def test_a_valid_request_before_the_broken_one_is_answered(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_site(loopback, tmp_path) as site:
        reader, writer = await asyncio.open_connection(site.outside, 5060)
        writer.write(OPTIONS % (b"TCP", 1, 1) + b"OPTIONS sip:x SIP/2.0\r\nContent-Length: -1\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            got = await _until_closed(reader)
        assert got.startswith(b"SIP/2.0 200 ")
        writer.close()


async def test_connections_of_one_source_are_bounded(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_site(loopback, tmp_path, extra_gateway="[limits]\nconnections_per_source = 3") as site:
        links = [
            await asyncio.open_connection(site.outside, 5060, local_addr=(loopback.at("66.6"), 0)) for _ in range(4)
        ]
        async with asyncio.timeout(PATIENCE):
            closed = await asyncio.wait(
                [asyncio.create_task(_until_closed(reader)) for reader, _ in links],
                return_when=asyncio.FIRST_COMPLETED,
            )
        assert len(closed[0]) == 1
        other, writer = await asyncio.open_connection(site.outside, 5060, local_addr=(loopback.at("66.7"), 0))
        writer.write(OPTIONS % (b"TCP", 1, 1))
        async with asyncio.timeout(PATIENCE):
            assert (await other.readline()).startswith(b"SIP/2.0 200")
        for task in closed[1]:
            task.cancel()
        for _, link in [*links, (other, writer)]:
            link.close()


async def _until_closed(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""

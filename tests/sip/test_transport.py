"""The asyncio shells on real sockets."""

import asyncio
import logging
import socket

import pytest

from opx.sip.agent import UserAgent
from opx.sip.errors import RemoteProtocolError
from opx.sip.exchange import Outcome
from opx.sip.flow import Destination, Flow
from opx.sip.message import Request, Response
from opx.sip.transactions import Failure, ServerTransaction
from opx.sip.transport import SipStack, TransportLimits, WheelClock
from support.network import LoopbackNetwork
from support.programs import PATIENCE


class Peer:
    """A stack whose user agent answers OPTIONS."""

    def __init__(self, clock: WheelClock, host: str, **options: object) -> None:
        self.stack = SipStack(clock, (host, 5060), **options)  # type: ignore[arg-type]
        self.agent = UserAgent(self, clock.wheel, self.stack)
        self.stack.attach(self.agent)
        self.keepalives = 0
        self.lost: list[Flow] = []
        self.outcomes: list[Outcome] = []

    def on_request(self, transaction: ServerTransaction) -> None:
        self.agent.answer_options(transaction)

    def on_refused(self, flow: Flow, error: RemoteProtocolError) -> None:
        """Not looked at here."""

    def on_connection_lost(self, flow: Flow) -> None:
        self.lost.append(flow)

    def on_keepalive(self, flow: Flow) -> None:
        self.keepalives += 1

    async def ask(self, transport: str, host: str) -> Outcome:
        options = Request.new("OPTIONS", f"sip:{host}")
        for name, value in (
            ("max-forwards", "70"),
            ("from", "<sip:a@b>;tag=1"),
            ("to", f"<sip:{host}>"),
            ("call-id", "c"),
            ("cseq", "1 OPTIONS"),
        ):
            options.add(name, value)
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.agent.exchange(options, Destination(transport, host, 5060), done.set_result)
        async with asyncio.timeout(PATIENCE):
            return await done


async def two(network: LoopbackNetwork, **options: object) -> tuple[WheelClock, Peer, Peer]:
    clock = WheelClock()
    one, other = Peer(clock, network.at("1.1"), **options), Peer(clock, network.at("1.2"), **options)
    await one.stack.start()
    await other.stack.start()
    clock.start()
    return clock, one, other


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
async def test_requests_and_answers_go_over_each_transport(loopback: LoopbackNetwork, transport: str) -> None:
    clock, one, other = await two(loopback)
    answer = await one.ask(transport, loopback.at("1.2"))
    assert isinstance(answer, Response) and answer.status == 200
    assert await one.ask(transport, loopback.at("1.2"))
    assert one.stack.connections == other.stack.connections == (1 if transport == "TCP" else 0)
    await one.stack.stop()
    await other.stack.stop()
    clock.stop()


async def test_a_refused_connection_fails_the_request_at_once(loopback: LoopbackNetwork) -> None:
    clock, one, other = await two(loopback)
    assert await one.ask("TCP", loopback.at("1.3")) is Failure.TRANSPORT
    assert len(one.lost) == 1
    await one.stack.stop()
    await other.stack.stop()
    clock.stop()


async def test_a_ping_on_a_connection_gets_its_pong(loopback: LoopbackNetwork) -> None:
    clock, one, other = await two(loopback)
    reader, writer = await asyncio.open_connection(loopback.at("1.1"), 5060)
    writer.write(b"\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        assert await reader.readexactly(2) == b"\r\n"
    assert one.keepalives == 1
    writer.close()
    await one.stack.stop()
    await other.stack.stop()
    clock.stop()


async def test_a_message_that_drips_in_too_slowly_is_cut_off(loopback: LoopbackNetwork) -> None:
    clock, one, other = await two(loopback, limits=TransportLimits(stall=0.2))
    reader, writer = await asyncio.open_connection(loopback.at("1.1"), 5060)
    writer.write(b"OPTIONS sip:x SIP/2.0\r\nVia: ")
    async with asyncio.timeout(PATIENCE):
        try:
            assert await reader.read() == b""
        except ConnectionError:
            assert one.stack.connections == 0
    writer.close()
    await one.stack.stop()
    await other.stack.stop()
    clock.stop()


async def test_an_idle_connection_is_closed(loopback: LoopbackNetwork) -> None:
    clock, one, other = await two(loopback, limits=TransportLimits(idle=0.2))
    reader, writer = await asyncio.open_connection(loopback.at("1.1"), 5060)
    async with asyncio.timeout(PATIENCE):
        assert await reader.read() == b""
    writer.close()
    await one.stack.stop()
    await other.stack.stop()
    clock.stop()


async def test_a_receive_buffer_that_the_kernel_does_not_give_is_warned_of(
    loopback: LoopbackNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        clock, one, other = await two(loopback, limits=TransportLimits(udp_buffer=2**30))
    assert "the kernel gives a receive buffer of" in caplog.text
    await one.stack.stop()
    await other.stack.stop()
    clock.stop()


async def test_an_address_that_is_taken_is_an_error_at_the_start(loopback: LoopbackNetwork) -> None:
    clock, one, other = await two(loopback)
    with pytest.raises(OSError, match="in use"):
        await Peer(clock, loopback.at("1.1")).stack.start()
    await one.stack.stop()
    await other.stack.stop()
    clock.stop()


async def test_connections_of_either_end_carry_the_dscp_of_their_face(loopback: LoopbackNetwork) -> None:
    clock, one, other = await two(loopback, dscp=24)
    await one.ask("TCP", loopback.at("1.2"))
    for peer in (one, other):
        (connection,) = peer.stack._connections.values()
        assert connection._transport is not None
        sock = connection._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 24 << 2
    await one.stack.stop()
    await other.stack.stop()
    clock.stop()

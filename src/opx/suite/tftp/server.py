"""The TFTP server: a socket for requests, and one of its own for each file on its way (RFC 1350 section 4)."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from opx.suite.tftp.transfer import ErrorCode, ReadRequest, RequestError, Transfer, error, read_request

MAX_TRANSFERS = 64
"""At the same time; each has a socket and a block in memory. Who comes later is told to try again."""
MAX_PER_SOURCE = 4
MAX_WAITING = 16
"""Packets of one transfer that wait to be looked at; more are lost, as they may be anywhere."""

log = logging.getLogger(__name__)

Peer = tuple[str, int]


@dataclass(frozen=True, slots=True)
class OpenFile:
    """`stream` is closed by whoever reads it to its end."""

    stream: BinaryIO
    size: int


class Files(Protocol):
    """What there is to read."""

    async def open(self, name: str, source: str) -> OpenFile | None:
        """None when the phone at the address `source` gets no such file."""
        ...


class TftpServer:
    """`admits` says whether an address is of the LAN; nobody else is answered. `start`, then `stop`.

    `note` hears of each transfer: from where, which file, and "" or why it failed.
    """

    def __init__(
        self,
        files: Files,
        address: str,
        port: int,
        admits: Callable[[str], bool],
        note: Callable[[str, str, str], None] = lambda source, name, failure: None,
    ) -> None:
        self._files = files
        self._address = address
        self._port = port
        self._admits = admits
        self._note = note
        self._transport: asyncio.DatagramTransport | None = None
        self._running: dict[Peer, asyncio.Task[None]] = {}
        self._per_source: Counter[str] = Counter()

    async def start(self) -> None:
        """OSError when the port cannot be bound."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Door(self._requested), local_addr=(self._address, self._port)
        )

    async def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def port(self) -> int:
        assert self._transport is not None
        port: int = self._transport.get_extra_info("sockname")[1]
        return port

    def _requested(self, data: bytes, peer: Peer) -> None:
        if not self._admits(peer[0]) or peer in self._running:
            return
        try:
            request = read_request(data)
        except RequestError as problem:
            self._answer(problem.packet, peer)
            return
        if request is None:
            return
        if len(self._running) >= MAX_TRANSFERS or self._per_source[peer[0]] >= MAX_PER_SOURCE:
            self._answer(error(ErrorCode.OTHER, "busy, try again"), peer)
            self._note(peer[0], request.name, "too many files at once")
            return
        self._per_source[peer[0]] += 1
        task = asyncio.get_running_loop().create_task(self._serve(request, peer))
        self._running[peer] = task
        task.add_done_callback(lambda done: self._ended(peer))

    def _ended(self, peer: Peer) -> None:
        self._running.pop(peer, None)
        self._per_source[peer[0]] -= 1
        if not self._per_source[peer[0]]:
            del self._per_source[peer[0]]

    async def _serve(self, request: ReadRequest, peer: Peer) -> None:
        file = await self._files.open(request.name, peer[0])
        if file is None:
            self._answer(error(ErrorCode.NOT_FOUND, "not found"), peer)
            self._note(peer[0], request.name, "there is no such file for this phone")
            return
        try:
            transfer = Transfer(file.stream, file.size, request.options)
            await self._carry(transfer, peer)
            self._note(peer[0], request.name, transfer.failure)
        except RequestError as problem:
            self._answer(problem.packet, peer)
        except OSError as problem:
            log.warning("a file could not be sent by TFTP: %s", problem)
            self._note(peer[0], request.name, str(problem))
        finally:
            file.stream.close()

    async def _carry(self, transfer: Transfer, peer: Peer) -> None:
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING)

        def take(data: bytes, sender: Peer) -> None:
            if sender == peer and not arrived.full():
                arrived.put_nowait(data)
            elif sender != peer:
                transport.sendto(error(ErrorCode.UNKNOWN_TRANSFER, "unknown transfer"), sender)

        transport, _ = await loop.create_datagram_endpoint(lambda: _Door(take), local_addr=(self._address, 0))
        try:
            packet: bytes | None = transfer.start()
            deadline = 0.0
            while not transfer.done:
                if packet is not None:
                    transport.sendto(packet, peer)
                    deadline = loop.time() + transfer.timeout
                try:
                    async with asyncio.timeout_at(deadline):
                        packet = transfer.receive(await arrived.get())
                except TimeoutError:
                    packet = transfer.expire()
        finally:
            transport.close()

    def _answer(self, packet: bytes, peer: Peer) -> None:
        if self._transport is not None:
            self._transport.sendto(packet, peer)


class _Door(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes, Peer], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._take(data, (addr[0], addr[1]))

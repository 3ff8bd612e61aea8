"""The TFTP server, with curl as a stranger."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from pathlib import Path

from opx.suite.tftp.server import MAX_PER_SOURCE, OpenFile, TftpServer
from support.network import LoopbackNetwork
from support.programs import needs_program

FIRMWARE = bytes(range(256)) * 1000


class Shelf:
    """Files in memory; `asked` says who asked for what."""

    def __init__(self, **files: bytes) -> None:
        self.files = {name.replace("_", "."): data for name, data in files.items()}
        self.asked: list[tuple[str, str]] = []

    async def open(self, name: str, source: str) -> OpenFile | None:
        self.asked.append((name, source))
        data = self.files.get(name)
        return OpenFile(io.BytesIO(data), len(data)) if data is not None else None


@contextlib.asynccontextmanager
async def served(shelf: Shelf, address: str, *, lan: bool = True) -> AsyncIterator[tuple[TftpServer, list[str]]]:
    notes: list[str] = []
    server = TftpServer(shelf, address, 0, lambda source: lan, lambda source, name, why: notes.append(f"{name}: {why}"))
    await server.start()
    try:
        yield server, notes
    finally:
        await server.stop()


async def curl(*arguments: str) -> tuple[int, bytes]:
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output


@needs_program("curl")
async def test_curl_fetches_a_firmware_with_and_without_options(loopback: LoopbackNetwork) -> None:
    address = loopback.at("10.1")
    shelf = Shelf(fw_st=FIRMWARE)
    async with served(shelf, address) as (server, notes):
        for more in ((), ("--tftp-no-options",), ("--tftp-blksize", "1400")):
            status, got = await curl(*more, f"tftp://{address}:{server.port}/fw.st")
            assert (status, got == FIRMWARE) == (0, True), more
        assert notes == ["fw.st: "] * 3
        status, _ = await curl(f"tftp://{address}:{server.port}/none.st")
        assert status == 68  # CURLE_TFTP_NOTFOUND
        status, _ = await curl("--upload-file", str(Path(__file__)), f"tftp://{address}:{server.port}/x.cfg")
        assert status == 69  # CURLE_TFTP_PERM


class Asker(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.got: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.got.put_nowait(data)


async def ask(server: TftpServer, address: str, host: str) -> tuple[asyncio.DatagramTransport, Asker]:
    transport, asker = await asyncio.get_running_loop().create_datagram_endpoint(Asker, local_addr=(host, 0))
    transport.sendto(b"\0\1fw.st\0octet\0", (address, server.port))
    return transport, asker


async def test_one_source_holds_so_many_transfers_and_others_go_on(loopback: LoopbackNetwork) -> None:
    address = loopback.at("10.1")
    async with served(Shelf(fw_st=FIRMWARE), address) as (server, notes):
        askers = [await ask(server, address, loopback.at("10.2")) for _ in range(MAX_PER_SOURCE + 1)]
        answers = [await asker.got.get() for _, asker in askers]
        assert sum(answer[:2] == b"\0\3" for answer in answers) == MAX_PER_SOURCE
        assert sum(answer[:2] == b"\0\5" for answer in answers) == 1
        assert notes == ["fw.st: too many files at once"]
        other, asker = await ask(server, address, loopback.at("10.3"))
        assert (await asker.got.get())[:4] == b"\0\3\0\1"
        for transport, _ in [*askers, (other, asker)]:
            transport.close()


async def test_a_stranger_is_not_answered(loopback: LoopbackNetwork) -> None:
    address = loopback.at("10.1")
    shelf = Shelf(fw_st=FIRMWARE)
    admitted = {loopback.at("10.3")}
    server = TftpServer(shelf, address, 0, admitted.__contains__)
    await server.start()
    stranger, unheard = await ask(server, address, loopback.at("10.2"))
    known, heard = await ask(server, address, loopback.at("10.3"))
    # One socket takes them in order: the stranger's was dealt with when the other one is answered.
    assert (await heard.got.get())[:2] == b"\0\3"
    assert unheard.got.empty() and [source for _, source in shelf.asked] == [loopback.at("10.3")]
    stranger.close()
    known.close()
    await server.stop()

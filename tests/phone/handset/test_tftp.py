"""Reading by TFTP: from the suite's server on real sockets, and packet by packet in memory."""

import io
import struct

import pytest

from opx.phone.handset.tftp import NOT_FOUND, Reading, TftpError, fetch
from opx.suite.tftp.server import OpenFile, TftpServer
from support.network import LoopbackNetwork

IMAGE = bytes(range(256)) * 300


class Shelf:
    async def open(self, name: str, source: str) -> OpenFile | None:
        return OpenFile(io.BytesIO(IMAGE), len(IMAGE)) if name == "6930.st" else None


def data(number: int, content: bytes) -> bytes:
    return struct.pack("!HH", 3, number) + content


async def test_a_file_comes_whole_and_a_missing_one_is_told(loopback: LoopbackNetwork) -> None:
    server = TftpServer(Shelf(), loopback.at("20.10"), 0, lambda source: True)
    await server.start()
    try:
        assert await fetch(loopback.at("20.31"), loopback.at("20.10"), "6930.st", server.port) == IMAGE
        with pytest.raises(TftpError) as missing:
            await fetch(loopback.at("20.31"), loopback.at("20.10"), "6940.st", server.port)
        assert missing.value.code == NOT_FOUND
    finally:
        await server.stop()


def test_without_options_blocks_have_512_bytes_and_a_repeated_one_counts_once() -> None:
    reading = Reading("a")
    assert reading.first == b"\0\1a\0octet\0blksize\x001428\0"
    assert reading.receive(data(1, b"x" * 512)) == b"\0\4\0\1"
    assert reading.receive(data(1, b"x" * 512)) == b"\0\4\0\1"
    assert not reading.done
    assert reading.receive(data(2, b"y")) == b"\0\4\0\2"
    assert reading.done and reading.content == b"x" * 512 + b"y"


def test_a_block_size_is_agreed_on() -> None:
    reading = Reading("a")
    assert reading.receive(b"\0\6blksize\x001024\0") == b"\0\4\0\0"
    assert reading.receive(data(1, b"x" * 1023)) == b"\0\4\0\1"
    assert reading.done


@pytest.mark.parametrize(
    ("packet", "said"),
    [
        (b"\0\5\0\2Access violation\0", "Access violation"),
        (b"\0\1", "too short"),
        (b"\0\1ab", "kind 1"),
        (b"\0\6blksize\x009999\0", "not asked for"),
        (data(1, b"x" * 513), "too long"),
    ],
)
def test_what_a_server_may_not_send_ends_the_transfer(packet: bytes, said: str) -> None:
    with pytest.raises(TftpError, match=said):
        Reading("a").receive(packet)

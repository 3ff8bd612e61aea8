"""Cutting streams into messages, with every buffer bounded."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opx.sip.errors import RemoteProtocolError
from opx.sip.framing import Keepalive, StreamFramer
from opx.sip.message import Request, Response
from opx.sip.parser import MAX_HEAD_BYTES

ONE = b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP c;branch=z9hG4bK1\r\nContent-Length: 5\r\n\r\nhello"
TWO = b"SIP/2.0 200 OK\r\nCall-ID: x\r\nl: 0\r\n\r\n"


def everything(framer: StreamFramer) -> list[Request | Response | Keepalive]:
    items = []
    while (item := framer.next()) is not None:
        items.append(item)
    return items


@given(st.lists(st.integers(1, 60), max_size=40))
def test_how_the_bytes_are_cut_makes_no_difference(cuts: list[int]) -> None:
    stream = ONE + TWO + ONE
    framer = StreamFramer()
    found: list[Request | Response | Keepalive] = []
    position = 0
    for cut in [*cuts, len(stream)]:
        framer.feed(stream[position : position + cut])
        position += cut
        found += everything(framer)
    assert [type(item) for item in found] == [Request, Response, Request]
    assert isinstance(found[2], Request) and found[2].body == b"hello"
    assert framer.buffered == 0 and not framer.partial


def test_a_double_line_break_asks_and_a_single_one_answers() -> None:
    framer = StreamFramer()
    framer.feed(b"\r\n\r\n" + ONE + b"\r\n\r\n")
    found = everything(framer)
    assert found[0] is Keepalive.PING and found[2] is Keepalive.PING
    framer.feed(b"\r\n")
    assert everything(framer) == [Keepalive.PONG]


def test_endless_headers_are_cut_off_with_bounded_memory() -> None:
    framer = StreamFramer()
    with pytest.raises(RemoteProtocolError):
        while framer.buffered < 10 * MAX_HEAD_BYTES:
            framer.feed(b"X-Long: " + b"x" * 1000)
            framer.next()
    assert framer.buffered <= MAX_HEAD_BYTES + 1008


@pytest.mark.parametrize(
    "stream",
    [
        ONE.replace(b"Content-Length: 5\r\n", b""),
        ONE.replace(b"Content-Length: 5", b"Content-Length: 99999999"),
        ONE.replace(b"Content-Length: 5", b"Content-Length: five"),
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\rx",
    ],
)
def test_a_stream_whose_messages_cannot_be_told_apart_is_an_error(stream: bytes) -> None:
    framer = StreamFramer()
    framer.feed(stream)
    with pytest.raises(RemoteProtocolError):
        everything(framer)


@given(st.binary(max_size=600))
def test_nothing_but_the_parsers_own_error_escapes(data: bytes) -> None:
    framer = StreamFramer()
    framer.feed(data)
    with contextlib.suppress(RemoteProtocolError):
        everything(framer)


def test_a_head_that_drips_in_is_searched_once() -> None:
    class Counting(bytearray):
        searched = 0

        def find(self, sub: Any, start: Any = 0, end: Any = 2**31) -> int:
            Counting.searched += max(0, len(self) - start)
            return super().find(sub, start)

    framer = StreamFramer()
    framer._buffer = Counting()
    for index in range(len(ONE)):
        framer.feed(ONE[index : index + 1])
        framer.next()
    assert Counting.searched < 6 * len(ONE)

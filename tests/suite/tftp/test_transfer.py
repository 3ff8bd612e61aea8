"""A file on its way by TFTP, without any network."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opx.suite.tftp.transfer import MAX_BLOCK, TRIES, RequestError, Transfer, read_request


def acknowledge(number: int) -> bytes:
    return struct.pack(">HH", 4, number & 0xFFFF)


def transfer(data: bytes, **options: str) -> Transfer:
    return Transfer(io.BytesIO(data), len(data), options)


FATES = st.lists(st.sampled_from(["ok", "lost", "late", "twice"]), max_size=60)


class Client:
    """Puts blocks together as a phone does: what it has already it acknowledges again."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.expected = 1

    def take(self, packet: bytes) -> bytes:
        operation, number = struct.unpack_from(">HH", packet)
        if operation == 6:
            return acknowledge(0)
        if number == self.expected & 0xFFFF:
            self.received += packet[4:]
            self.expected += 1
        return acknowledge(number)


@given(st.binary(max_size=3000), st.integers(8, 600), FATES)
def test_all_of_a_file_arrives_whatever_the_network_loses(data: bytes, block: int, fates: list[str]) -> None:
    sending, client = transfer(data, blksize=str(block)), Client()
    packet: bytes | None = sending.start()
    fate = iter(fates)
    losses = 0
    while not sending.done:
        assert packet is not None
        happens = next(fate, "ok")
        # A phone is given up after so many losses in a row; fewer than that heal.
        losses = losses + 1 if happens in ("lost", "late") else 0
        if losses >= TRIES:
            happens, losses = "ok", 0
        if happens == "lost":
            packet = sending.expire()
        elif happens == "late":
            answer = client.take(packet)
            packet = sending.expire()
            packet = sending.receive(answer) or packet if not sending.done else None
        else:
            answer = client.take(packet)
            packet = sending.receive(answer)
            if happens == "twice":
                assert sending.receive(answer) is None
    assert (bytes(client.received), sending.failure) == (data, "")


def test_a_file_of_whole_blocks_ends_with_an_empty_one() -> None:
    sending = transfer(b"x" * 1024)
    assert sending.start()[:4] == b"\0\3\0\1"
    assert len(sending.receive(acknowledge(1)) or b"") == 516
    assert sending.receive(acknowledge(2)) == b"\0\3\0\3"
    assert sending.receive(acknowledge(3)) is None and sending.done and not sending.failure


def test_block_numbers_start_again_after_the_highest() -> None:
    sending, client = transfer(b"y" * 8 * 65_537, blksize="8"), Client()
    packet: bytes | None = sending.start()
    while packet is not None:
        packet = sending.receive(client.take(packet))
    assert sending.done and len(client.received) == 8 * 65_537


def test_options_are_answered_within_bounds() -> None:
    assert transfer(b"abc", blksize="65464", tsize="0", timeout="3", windowsize="9").start() == (
        f"\0\6blksize\0{MAX_BLOCK}\0timeout\0003\0tsize\0003\0".encode()
    )
    assert transfer(b"abc", timeout="200").start() == b"\0\3\0\1abc"
    for bad in ({"blksize": "7"}, {"blksize": "x"}, {"timeout": "0"}, {"timeout": "256"}):
        with pytest.raises(RequestError) as raised:
            transfer(b"", **bad)
        assert raised.value.packet[:4] == b"\0\5\0\x08"


def test_a_silent_phone_is_given_up() -> None:
    sending = transfer(b"abc")
    first = sending.start()
    assert [sending.expire() for _ in range(TRIES - 1)] == [first] * (TRIES - 1)
    assert sending.expire() is None and sending.done and "silent" in sending.failure
    assert sending.receive(acknowledge(1)) is None


def test_an_error_of_the_phone_ends_it() -> None:
    sending = transfer(b"abc")
    sending.start()
    assert sending.receive(b"\0\5\0\3disk full\0") is None
    assert sending.done and "disk full" in sending.failure


@given(st.binary(max_size=600))
def test_no_packet_upsets_the_reader(data: bytes) -> None:
    try:
        request = read_request(data)
    except RequestError as problem:
        assert problem.packet[:2] == b"\0\5"
    else:
        assert request is None or request.name.isprintable()
    sending = transfer(b"abc" * 400)
    sending.start()
    sending.receive(data)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\0\2startup.cfg\0octet\0", 2),
        (b"\0\1startup.cfg\0netascii\0", 4),
        (b"\0\1startup.cfg\0octet", 4),
        (b"\0\1startup.cfg\0octet\0blksize\0", 4),
        (b"\0\1" + b"x" * 200 + b"\0octet\0", 1),
        (b"\0\1caf\xc3\xa9\0octet\0", 1),
    ],
)
def test_what_is_not_served_is_refused_with_a_reason(data: bytes, code: int) -> None:
    with pytest.raises(RequestError) as raised:
        read_request(data)
    assert raised.value.packet[:4] == bytes((0, 5, 0, code)) and raised.value.packet.endswith(b"\0")


def test_a_request_is_read_with_its_options() -> None:
    request = read_request(b"\0\1/6930.st\0OCTET\0BLKSIZE\x001428\0")
    assert request is not None and request.name == "6930.st" and request.options == {"blksize": "1428"}

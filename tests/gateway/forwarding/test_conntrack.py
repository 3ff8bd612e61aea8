"""The kernel's table of connections as it is read: messages by the layout of linux/netfilter/nfnetlink_conntrack.h."""

import socket
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opx.gateway.forwarding.nftables.conntrack import Entry, Tuple, attributes, decode, encode_tuple
from opx.gateway.forwarding.rules import Protocol

ORIGINAL = Tuple(Protocol.TCP, ("203.0.113.7", 51000), ("198.51.100.10", 8202))
REPLY = Tuple(Protocol.TCP, ("10.20.0.10", 8202), ("10.20.0.1", 40123))
HEADER = struct.pack("!BBH", socket.AF_INET, 0, 0)
WRITTEN = (
    "34000180" "14000180" "08000100" "cb007107" "08000200" "c633640a"
    "1c000280" "05000100" "06000000" "06000200" "c7380000" "06000300" "200a0000"
)  # fmt: skip
"""The first tuple as the kernel writes it, on a machine whose numbers have the low byte first."""

addresses = st.tuples(st.ip_addresses(v=4).map(str), st.integers(0, 65535))
tuples = st.builds(Tuple, st.sampled_from(Protocol), addresses, addresses)


@pytest.mark.skipif(struct.pack("=H", 1) != b"\1\0", reason="the bytes below are those of another machine")
def test_a_tuple_is_written_as_the_kernel_reads_it() -> None:
    assert encode_tuple(1, ORIGINAL).hex() == WRITTEN


@given(tuples, tuples)
def test_a_connection_is_read_as_it_was_written(original: Tuple, reply: Tuple) -> None:
    assert decode(HEADER + encode_tuple(1, original) + encode_tuple(2, reply)) == Entry(original, reply)


def test_where_a_connection_goes_and_where_it_seems_to_come_from_are_in_its_reply() -> None:
    entry = Entry(ORIGINAL, REPLY)
    assert (entry.target, entry.seen_from) == (("10.20.0.10", 8202), ("10.20.0.1", 40123))


@given(st.binary(max_size=200))
@example(b"\4\0\1\0")
@example(struct.pack("=HH", 4, 0x8002) * 8)
def test_what_is_no_connection_is_none(data: bytes) -> None:
    attributes(data)
    decode(data)
    assert decode(HEADER + data) is None or len(data) >= 100


def test_other_families_and_protocols_are_left_out() -> None:
    both = encode_tuple(1, ORIGINAL) + encode_tuple(2, REPLY)
    assert decode(struct.pack("!BBH", socket.AF_INET6, 0, 0) + both) is None
    icmp = both.replace(struct.pack("=HHB", 5, 1, socket.IPPROTO_TCP), struct.pack("=HHB", 5, 1, socket.IPPROTO_ICMP))
    assert decode(HEADER + icmp) is None
    assert decode(HEADER + encode_tuple(1, ORIGINAL)) is None

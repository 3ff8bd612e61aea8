"""Keys in RTP (RFC 4733): what is sent, and what is made of what comes."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opx.rtp import tones
from opx.rtp.endpoint import RtpEndpoint
from opx.rtp.packets import Packet
from opx.rtp.telephone_events import KEYS, KeyReceiver, KeySender, TelephoneEvent
from support.network import LoopbackNetwork
from support.programs import PATIENCE


def packets_of(keys: str, *, start: int = 0) -> list[Packet]:
    """What the sender gives, as packets with payload type 101; a frame without one is left out."""
    sender, sent, tick = KeySender(), [], 0
    sender.press(keys)
    while sender.busy:
        frame = sender.next_frame()
        if frame is not None:
            stamp = (start + (tick - frame.start) * 160) & 0xFFFFFFFF
            sent.append(Packet(101, tick, stamp, 7, frame.event.encode(), frame.first))
        tick += 1
    return sent


def heard(packets: list[Packet]) -> str:
    receiver = KeyReceiver()
    return "".join(receiver.note(packet) or "" for packet in packets)


def test_a_key_grows_ends_three_times_and_is_marked_once() -> None:
    packets = packets_of("5")
    events = [TelephoneEvent.parse(packet.payload) for packet in packets]
    assert [event.duration for event in events] == [160, 320, 480, 640, 800, 960, 960, 960]
    assert [event.end for event in events] == [False] * 5 + [True] * 3
    assert [packet.marker for packet in packets] == [True] + [False] * 7
    assert {packet.timestamp for packet in packets} == {0}


def test_two_keys_have_times_of_their_own_with_a_pause_between() -> None:
    first, second = sorted({packet.timestamp for packet in packets_of("12")})
    assert second - first >= 960 + 320


@given(st.text(KEYS, min_size=1, max_size=20), st.integers(0, 2**32 - 1))
def test_keys_are_heard_as_they_were_pressed_at_any_time(keys: str, start: int) -> None:
    assert heard(packets_of(keys, start=start)) == keys


@given(st.lists(st.booleans(), min_size=24, max_size=24))
def test_a_key_survives_the_loss_of_all_its_packets_but_one(kept: list[bool]) -> None:
    packets = packets_of("123")
    left = [packet for packet, keep in zip(packets, kept, strict=True) if keep]
    expected = "".join(key for n, key in enumerate("123") if any(kept[8 * n : 8 * n + 8]))
    assert heard(left) == expected


def test_a_packet_of_an_earlier_key_that_comes_late_is_no_new_key() -> None:
    packets = packets_of("12")
    assert heard([*packets, packets[3]]) == "12"


@pytest.mark.parametrize("body", [b"", b"\x05", b"\x05\x0a\x00"])
def test_a_cut_off_event_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="cut off"):
        TelephoneEvent.parse(body)


def test_events_that_are_no_keys_are_not_heard() -> None:
    assert heard([Packet(101, 0, 0, 7, TelephoneEvent(16, False, 160).encode())]) == ""


@pytest.mark.parametrize("keys", ["x", "1 2", "é"])
def test_what_is_no_key_is_refused_before_anything_is_sent(keys: str) -> None:
    sender = KeySender()
    with pytest.raises(ValueError, match="no key of a telephone"):
        sender.press(keys)
    assert not sender.busy


@pytest.mark.parametrize("types", [(101, 101), (101, 96)], ids=["same payload types", "each its own"])
async def test_keys_go_from_endpoint_to_endpoint_beside_the_audio(
    loopback: LoopbackNetwork, types: tuple[int, int]
) -> None:
    one, two = RtpEndpoint(loopback.at("1.1")), RtpEndpoint(loopback.at("1.2"))
    keys: list[str] = []
    for endpoint, peer, own, other in ((one, two, types[0], types[1]), (two, one, types[1], types[0])):
        remote = (peer.rtp.getsockname()[0], peer.port)
        endpoint.connect(remote, "PCMU/8000", 0, events=other, own_events=own)
    two.on_key = keys.append
    one.play(lambda position: tones.sine(440, 160, start=position))
    one.press("0158#*")
    async with asyncio.timeout(PATIENCE):
        while len(keys) < 6:
            await asyncio.sleep(0.01)
    one.close()
    two.close()
    assert "".join(keys) == "0158#*"


async def test_an_endpoint_whose_peer_takes_no_events_presses_none(loopback: LoopbackNetwork) -> None:
    endpoint = RtpEndpoint(loopback.at("1.1"))
    endpoint.connect((loopback.at("1.2"), 4000), "PCMU/8000", 0)
    assert not endpoint.sends_keys
    with pytest.raises(ValueError, match="takes no telephone events"):
        endpoint.press("1")
    endpoint.close()

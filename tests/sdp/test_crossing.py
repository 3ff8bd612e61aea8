"""Two offers that answer each other."""

import pytest

from opx.sdp import Direction, Origin, SdpError, SessionDescription, agree, cross, encode, offer, parse

ONE, TWO = "192.0.2.1", "192.0.2.2"


def described(description: SessionDescription) -> SessionDescription:
    """As it comes over the wire."""
    return parse(encode(description))


def test_each_gets_the_others_address_and_both_speak_the_first_ones_codec() -> None:
    one = described(offer(ONE, 4000, origin=Origin.of(ONE, 1, 1), encodings=("PCMA/8000", "PCMU/8000")))
    two = described(offer(TWO, 5000, origin=Origin.of(TWO, 1, 1), encodings=("PCMU/8000", "PCMA/8000")))
    for_one, for_two = (described(answer) for answer in cross(one, two))
    first, second = agree(one, for_one), agree(two, for_two)
    assert (first.remote, second.remote) == ((TWO, 5000), (ONE, 4000))
    assert first.encoding == second.encoding == "PCMA/8000"


def test_payload_types_are_those_of_the_other_end() -> None:
    one = described(offer(ONE, 4000, origin=Origin.of(ONE, 1, 1)))
    two = parse(encode(offer(TWO, 5000, origin=Origin.of(TWO, 1, 1))).replace(b"101", b"96"))
    for_one, for_two = cross(one, two)
    first, second = agree(one, for_one), agree(two, for_two)
    assert (first.events, first.own_events) == (96, 101)
    assert (second.events, second.own_events) == (101, 96)


def test_who_is_on_hold_stays_on_hold() -> None:
    one = described(offer(ONE, 4000, origin=Origin.of(ONE, 1, 1), direction=Direction.SENDONLY))
    two = described(offer(TWO, 5000, origin=Origin.of(TWO, 1, 1)))
    for_one, for_two = cross(one, two)
    assert agree(one, for_one).direction is Direction.SENDONLY
    assert agree(two, for_two).direction is Direction.RECVONLY


def test_further_streams_are_refused_in_their_places() -> None:
    video = b"m=video 6000 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\n"
    one = parse(encode(offer(ONE, 4000, origin=Origin.of(ONE, 1, 1))) + video)
    two = described(offer(TWO, 5000, origin=Origin.of(TWO, 1, 1)))
    for_one, for_two = cross(one, two)
    assert [(media.kind, media.port) for media in for_one.media] == [("audio", 5000), ("video", 0)]
    assert len(for_two.media) == 1


@pytest.mark.parametrize(
    "change",
    [
        (b"m=audio 5000", b"m=audio 0"),
        (b"PCM", b"XCM"),
        (b"m=audio", b"m=image"),
        (b"RTP/AVP", b"RTP/SAVP"),
    ],
)
def test_without_a_codec_or_a_stream_in_common_there_is_none(change: tuple[bytes, bytes]) -> None:
    one = described(offer(ONE, 4000, origin=Origin.of(ONE, 1, 1)))
    two = parse(encode(offer(TWO, 5000, origin=Origin.of(TWO, 1, 1))).replace(*change))
    with pytest.raises(SdpError):
        cross(one, two)

"""Session descriptions: read, negotiated, and built anew for the other side."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opx.sdp import (
    AttributePolicy,
    Direction,
    Origin,
    SdpError,
    agree,
    answer,
    encode,
    offer,
    parse,
    rebuild,
)

TYPICAL = b"""v=0\r
o=alice 2890844526 2890844527 IN IP4 192.168.1.7\r
s=Alice's phone\r
i=secret project\r
u=http://192.168.1.7/\r
e=alice@192.168.1.7\r
c=IN IP4 192.168.1.7\r
b=AS:64\r
b=X-YZ:128\r
t=0 0\r
a=ice-ufrag:abcd\r
a=sendrecv\r
m=audio 49170 RTP/AVP 0 8 18 101\r
a=rtpmap:0 PCMU/8000\r
a=rtpmap:18 G729/8000\r
a=fmtp:18 annexb=no\r
a=rtpmap:101 telephone-event/8000\r
a=fmtp:101 0-16\r
a=ptime:20\r
a=rtcp:53020 IN IP4 192.168.1.7\r
a=candidate:1 1 UDP 2130706431 192.168.1.7 49170 typ host\r
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0\r
a=x-vendor:192.168.1.7\r
m=video 51372 RTP/AVP 31\r
a=rtpmap:31 H261/90000\r
"""

OURS = Origin.of("203.0.113.10", 42, 0)


def rebuilt(data: bytes) -> str:
    made = rebuild(parse(data), address="203.0.113.10", port=20000, origin=OURS, policy=AttributePolicy())
    return encode(made).decode()


def test_what_the_gateway_makes_of_a_typical_offer() -> None:
    assert rebuilt(TYPICAL).splitlines() == [
        "v=0",
        "o=- 42 0 IN IP4 203.0.113.10",
        "s=-",
        "c=IN IP4 203.0.113.10",
        "t=0 0",
        "m=audio 20000 RTP/AVP 0 8 18 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:18 G729/8000",
        "a=fmtp:18 annexb=no",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-16",
        "a=ptime:20",
        "a=sendrecv",
        "m=video 0 RTP/AVP 31",
    ]


def test_bandwidths_that_are_known_pass() -> None:
    media = TYPICAL.replace(b"a=rtpmap:0", b"b=AS:64\r\nb=X-YZ:9\r\na=rtpmap:0")
    assert "b=AS:64" in rebuilt(media) and "X-YZ" not in rebuilt(media)


@pytest.mark.parametrize(
    "parameters",
    ["host=10.0.0.1", "x=2001:db8::1", "host=pbx.office.example", "inline:c2VjcmV0", "url=http://x", "a=b\x85c"],
)
def test_format_parameters_that_could_carry_an_address_do_not_pass(parameters: str) -> None:
    assert parameters not in rebuilt(TYPICAL.replace(b"annexb=no", parameters.encode()))


def test_the_old_way_to_hold_is_told_the_new_way() -> None:
    held = TYPICAL.replace(b"c=IN IP4 192.168.1.7", b"c=IN IP4 0.0.0.0")
    assert "a=sendonly" in rebuilt(held)
    audio = parse(held).audio
    assert audio is not None and audio.held


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"nonsense",
        b"v=1\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\n",
        TYPICAL.replace(b"o=alice", b"x=alice"),
        TYPICAL.replace(b"49170 RTP", b"99999 RTP"),
        TYPICAL.replace(b"49170 RTP", b"x RTP"),
        TYPICAL.replace(b"c=IN IP4 192.168.1.7", b"c=IN IP4"),
        TYPICAL.replace(b"c=IN IP4 192.168.1.7", b"c=IN IP4 <bad>"),
        TYPICAL.replace(b"Alice's", b"Al\x00ce"),
        b"v=0\r\n" * 600,
        TYPICAL + b"a=" + b"x" * 20000,
    ],
)
def test_what_is_no_description_is_refused(broken: bytes) -> None:
    with pytest.raises(SdpError):
        parse(broken)


def test_lines_may_end_in_line_feeds_and_times_may_be_missing() -> None:
    loose = TYPICAL.replace(b"\r\n", b"\n").replace(b"t=0 0\n", b"")
    audio = parse(loose).audio
    assert audio is not None and audio.port == 49170


def test_a_description_without_media_cannot_be_rebuilt() -> None:
    with pytest.raises(SdpError):
        rebuilt(b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nt=0 0\r\n")


def test_offer_and_answer_agree_on_the_offerers_first_codec() -> None:
    theirs = parse(TYPICAL.replace(b"AVP 0 8 18", b"AVP 18 8 0"))
    ours = answer(theirs, "203.0.113.10", 20000, origin=OURS)
    agreed = agree(ours, theirs)
    assert (agreed.payload, agreed.encoding, agreed.events) == (8, "PCMA/8000", 101)
    assert agreed.remote == ("192.168.1.7", 49170)
    assert [media.port for media in ours.media] == [20000, 0]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("sendrecv", "sendrecv"), ("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive")],
)
def test_an_answer_mirrors_the_direction(theirs: str, ours: str) -> None:
    offered = parse(TYPICAL.replace(b"a=ptime:20", b"a=" + theirs.encode()))
    audio = answer(offered, "203.0.113.10", 20000, origin=OURS).audio
    assert audio is not None and audio.direction is Direction(ours)


def test_without_a_codec_in_common_there_is_no_answer() -> None:
    with pytest.raises(SdpError):
        answer(parse(TYPICAL.replace(b"AVP 0 8 18 101", b"AVP 18 101")), "203.0.113.10", 20000, origin=OURS)


def test_our_own_offer_is_read_back_the_same() -> None:
    made = offer("203.0.113.10", 20000, origin=OURS)
    assert parse(encode(made)) == made


def test_ipv6_addresses_are_read_and_written() -> None:
    six = TYPICAL.replace(b"c=IN IP4 192.168.1.7", b"c=IN IP6 2001:db8::7")
    audio = parse(six).audio
    assert audio is not None and audio.address == "2001:db8::7"
    assert b"IN IP6 2001:db8::1" in encode(offer("2001:db8::1", 20000, origin=Origin.of("2001:db8::1", 1, 1)))


@given(st.binary(max_size=300))
def test_nothing_but_its_own_error_escapes(data: bytes) -> None:
    for text in (data, TYPICAL + data, TYPICAL[: len(data)] + data):
        try:
            rebuilt(text)
        except SdpError:
            continue


LINE = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), max_size=40)


@given(st.lists(st.sampled_from("abceikmopstuvz").flatmap(lambda kind: LINE.map(lambda text: f"{kind}={text}"))))
def test_no_address_of_the_other_side_survives_whatever_it_writes(lines: list[str]) -> None:
    data = TYPICAL + "".join(f"{line} 192.168.1.7\r\n" for line in lines).encode()
    try:
        made = rebuilt(data)
    except SdpError:
        return
    assert "192.168.1.7" not in made
    for line in made.splitlines():
        assert line[:2] in ("v=", "o=", "s=", "c=", "t=", "m=", "a=", "b=")
        if line.startswith("a="):
            assert line[2:].partition(":")[0] in ("rtpmap", "fmtp", "ptime", "maxptime", *(d.value for d in Direction))

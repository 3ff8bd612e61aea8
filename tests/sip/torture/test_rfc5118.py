"""Every message of RFC 5118: IPv6 addresses where they may stand, and where they may not."""

from ipaddress import ip_address

import pytest

from opx import sdp
from opx.sip.errors import RemoteProtocolError
from opx.sip.headers import Via
from opx.sip.message import Request
from opx.sip.parser import parse, validate
from support.torture import RFC5118, Subject

ANSWERS = {
    "ipv6-good": 200,
    "ipv6-bad": 400,
    "port-ambiguous": 200,
    "port-unambiguous": 200,
    # The two BYEs are of dialogs that we do not know.
    "via-received-param-with-delim": 481,
    "via-received-param-no-delim": 200,
    "ipv6-in-sdp": 200,
    "mult-ip-in-header": 481,
    "mult-ip-in-sdp": 200,
    "ipv4-mapped-ipv6": 200,
    "ipv6-bug-abnf-3-colons": 200,
    "ipv6-correct-abnf-2-colons": 200,
}


def read(name: str) -> Request:
    message = parse(RFC5118[name].data)
    assert isinstance(message, Request)
    validate(message)
    return message


def read_description(name: str) -> sdp.SessionDescription:
    return sdp.parse(read(name).body)


def test_the_table_holds_every_message_of_the_rfc() -> None:
    assert list(ANSWERS) == list(RFC5118)
    assert len(RFC5118) == 12


@pytest.mark.parametrize("name", ANSWERS)
def test_a_user_agent_gives_one_answer_and_the_right_one(name: str) -> None:
    final = Subject().judge(RFC5118[name].data)
    assert final is not None
    assert final.status == ANSWERS[name]


@pytest.mark.parametrize("name", [name for name, status in ANSWERS.items() if status != 400])
def test_with_bare_line_feeds_as_in_the_archive_it_means_the_same(name: str) -> None:
    head, _, body = RFC5118[name].data.partition(b"\r\n\r\n")
    message = parse(head.replace(b"\r\n", b"\n") + b"\n\n" + body)
    assert list(message.items()) == list(read(name).items())


def test_ipv6_good() -> None:
    request = read("ipv6-good")
    assert (request.target.host, request.target.port) == ("2001:db8::10", None)
    assert (request.via.host, request.via.port) == ("2001:db8::9:1", None)
    assert request.contacts[0].uri.host == "2001:db8::1"


def test_ipv6_bad() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        read("ipv6-bad")
    assert caught.value.status == 400


def test_port_ambiguous() -> None:
    target = read("port-ambiguous").target
    assert (target.host, target.port) == ("2001:db8::10:5070", None)


def test_port_unambiguous() -> None:
    target = read("port-unambiguous").target
    assert (target.host, target.port) == ("2001:db8::10", 5070)


@pytest.mark.parametrize("name", ["via-received-param-with-delim", "via-received-param-no-delim"])
def test_via_received_param(name: str) -> None:
    via = read(name).via
    assert (via.host, via.received) == ("2001:db8::9:1", "2001:db8::9:255")


def test_ipv6_in_sdp() -> None:
    description = read_description("ipv6-in-sdp")
    assert [media.address for media in description.media] == ["2001:db8::20", "2001:db8::20"]


def test_ipv6_in_sdp_with_the_length_that_the_rfc_prints_is_too_short() -> None:
    printed = RFC5118["ipv6-in-sdp"].data.replace(b"Content-Length: 251", b"Content-Length: 268")
    final = Subject().judge(printed)
    assert final is not None
    assert final.status == 400


def test_mult_ip_in_header() -> None:
    vias = [Via.parse(value) for value in read("mult-ip-in-header").values("via")]
    assert [(via.transport, via.host, via.port) for via in vias] == [
        ("UDP", "2001:db8::9:1", 6050),
        ("UDP", "192.0.2.1", None),
        ("TCP", "2001:db8::9:255", None),
    ]
    assert vias[2].received == "192.0.2.200"


def test_mult_ip_in_sdp() -> None:
    description = read_description("mult-ip-in-sdp")
    assert [media.address for media in description.media] == ["192.0.2.1", "2001:db8::1"]


def test_ipv4_mapped_ipv6() -> None:
    request = read("ipv4-mapped-ipv6")
    assert (request.via.host, request.via.port) == ("::ffff:192.0.2.10", 19823)
    assert request.contacts[0].uri.host == "::ffff:192.0.2.2"
    wanted = ip_address("::ffff:192.0.2.2")
    assert {ip_address(media.address) for media in read_description("ipv4-mapped-ipv6").media} == {wanted}


@pytest.mark.parametrize("name", ["ipv6-bug-abnf-3-colons", "ipv6-correct-abnf-2-colons"])
def test_ipv6_abnf_bug(name: str) -> None:
    request = read(name)
    assert request.target.host == request.to.uri.host == "2001:db8::192.0.2.1"

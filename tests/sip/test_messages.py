"""Messages: tolerant in what is read, exact in what is written."""

import contextlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opx.sip.address import NameAddr
from opx.sip.errors import LocalProtocolError, RemoteProtocolError
from opx.sip.grammar import canonical, display_name, split_commas
from opx.sip.headers import Via
from opx.sip.message import Request, Response
from opx.sip.parser import MAX_HEAD_BYTES, MAX_HEADERS, parse, validate
from opx.sip.uri import Uri

INVITE = (
    b"INVITE sip:bob@biloxi.example SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP pc33.atlanta.example:5060;branch=z9hG4bKnashds8;rport\r\n"
    b"Max-Forwards: 70\r\n"
    b'From: "Alice, A." <sip:alice@atlanta.example>;tag=1928301774\r\n'
    b"To: Bob <sip:bob@biloxi.example>\r\n"
    b"Call-ID: a84b4c76e66710\r\n"
    b"CSeq: 314159 INVITE\r\n"
    b"Contact: <sip:alice@pc33.atlanta.example>\r\n"
    b"Content-Type: application/sdp\r\n"
    b"Content-Length: 4\r\n"
    b"\r\n"
    b"v=0\n"
)


def request(data: bytes = INVITE) -> Request:
    message = parse(data)
    assert isinstance(message, Request)
    validate(message)
    return message


def test_a_request_is_decoded_as_far_as_asked() -> None:
    message = request()
    assert (message.method, message.uri) == ("INVITE", "sip:bob@biloxi.example")
    assert message.branch == "z9hG4bKnashds8"
    assert message.cseq == (314159, "INVITE")
    assert (message.from_tag, message.to_tag) == ("1928301774", "")
    assert message.from_.display == "Alice, A."
    assert message.body == b"v=0\n"
    assert message.encode() == INVITE


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (b"Call-ID:", b"i:"),
        (b"Via:", b"v :"),
        (b"CSeq: 314159", b"cseq:314159"),
        (b"CSeq: 314159 INVITE", b"CSEQ:\t314159  INVITE "),
        (b"To: Bob <sip:bob@biloxi.example>", b"t:\r\n Bob\r\n\t<sip:bob@biloxi.example>"),
        (b"\r\n", b"\n"),
        (b"INVITE sip", b"\r\n\r\nINVITE sip"),
        (b"UDP pc33.atlanta.example:5060", b"UDP [2001:db8::1]:5060"),
    ],
)
def test_odd_but_lawful_ways_of_writing_are_read(written: bytes, meant: bytes) -> None:
    message = request(INVITE.replace(written, meant))
    assert message.cseq == (314159, "INVITE")
    assert message.call_id == "a84b4c76e66710"
    assert message.to.uri.user == "bob"
    assert message.from_tag == "1928301774"


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"SIP/2.0\r\n", b"SIP/7.0\r\n", 505),
        (b"CSeq: 314159 INVITE", b"CSeq: 314159 BYE", 400),
        (b"CSeq: 314159 INVITE", b"CSeq: 99999999999 INVITE", 400),
        (b"Call-ID: a84b4c76e66710\r\n", b"", 400),
        (b"Max-Forwards: 70", b"Max-Forwards: 300", 400),
        (b"Max-Forwards: 70", b"Max-Forwards: many", 400),
        (b"Content-Length: 4", b"Content-Length: 400", 400),
        (b"Content-Length: 4", b"Content-Length: -1", 400),
        (b"To: Bob <sip:bob@biloxi.example>", b"To: Bob <sip:bob@biloxi.example", 400),
        (b'"Alice, A."', b'"Alice, A.', 400),
        (b"Max-Forwards: 70", b"CSeq: 1 INVITE", 400),
        (b"Max-Forwards: 70", b"no colon here", 400),
    ],
)
def test_a_malformed_request_that_can_be_answered_is_answered(old: bytes, new: bytes, status: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        validate(parse(INVITE.replace(old, new, 1)))
    assert caught.value.status == status


@pytest.mark.parametrize("byte", [0x00, 0x07, 0x0B, 0x0D, 0x1B, 0x7F])
def test_a_control_byte_in_a_header_is_refused(byte: int) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(INVITE.replace(b"Bob", b"B" + bytes([byte]) + b"b"))


def test_what_lies_beyond_content_length_is_left_out() -> None:
    assert request(INVITE + b"more").body == b"v=0\n"


def test_headers_are_bounded() -> None:
    with pytest.raises(RemoteProtocolError):
        parse(INVITE.replace(b"Max-Forwards: 70", b"X: " + b"x" * MAX_HEAD_BYTES))
    with pytest.raises(RemoteProtocolError):
        parse(INVITE.replace(b"Max-Forwards: 70", b"X: x\r\n" * MAX_HEADERS + b"X: x"))


def test_a_reply_copies_what_it_must_and_nothing_else() -> None:
    reply = request().reply(180, to_tag="abc")
    assert [name for name, _ in reply.items()] == ["via", "from", "to", "call-id", "cseq"]
    assert reply.to_tag == "abc"
    assert reply.encode().startswith(b"SIP/2.0 180 Ringing\r\n")
    assert reply.encode().endswith(b"Content-Length: 0\r\n\r\n")
    assert request().reply(100, to_tag="abc").to_tag == ""


def test_a_reply_keeps_a_to_tag() -> None:
    tagged = INVITE.replace(b"To: Bob <sip:bob@biloxi.example>", b"To: Bob <sip:bob@biloxi.example>;tag=mine")
    assert request(tagged).reply(200, to_tag="other").to_tag == "mine"


def test_the_source_is_noted_in_the_topmost_via() -> None:
    message = request()
    message.stamp_source("192.0.2.1", 4711)
    assert message.via.received == "192.0.2.1"
    assert message.via.rport == "4711"
    assert message.branch == "z9hG4bKnashds8"


def test_a_forged_received_is_replaced() -> None:
    message = request(INVITE.replace(b";rport", b";received=10.0.0.1"))
    message.stamp_source("192.0.2.1", 4711)
    assert message.via.received == "192.0.2.1"


def test_a_via_with_the_true_address_needs_no_note() -> None:
    message = request(INVITE.replace(b"pc33.atlanta.example:5060", b"192.0.2.1:5060").replace(b";rport", b""))
    message.stamp_source("192.0.2.1", 5060)
    assert message.via.received is None


@pytest.mark.parametrize(
    "text",
    [
        "sip:alice@atlanta.example",
        "sips:alice:secret@atlanta.example:5061;transport=tcp?subject=x",
        "sip:[2001:db8::10]:5070;lr",
        "sip:+1-212;ext=3@gw.example;user=phone",
        "tel:+15551234;phone-context=example",
        "urn:service:sos",
        "sip:1001@192.0.2.1;opx=12",
    ],
)
def test_uris_are_written_as_they_were_read(text: str) -> None:
    assert str(Uri.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "alice", "sip:", "sip:@", "sip:a b@c", "sip:a@b:99999", "sip:a@[::1", "sip:a@b>", "1x:y"]
)
def test_what_is_no_uri_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Uri.parse(text)


def test_contacts_in_one_line_and_in_several_are_the_same() -> None:
    one = request(INVITE.replace(b"<sip:alice@pc33.atlanta.example>", b'"a, b" <sip:a@x;p=1>;q=0.5, <sip:b@y>'))
    several = request(
        INVITE.replace(
            b"Contact: <sip:alice@pc33.atlanta.example>", b'm: "a, b" <sip:a@x;p=1>;q=0.5\r\nContact: <sip:b@y>'
        )
    )
    assert one.contacts == several.contacts
    assert [c.uri.host for c in one.contacts] == ["x", "y"]


def test_without_angle_brackets_parameters_belong_to_the_header() -> None:
    address = NameAddr.parse("sip:a@x;tag=1")
    assert (address.tag, address.uri.params) == ("1", ())


TEXT = st.text(max_size=40)
BYTES = st.binary(max_size=400)


@given(BYTES)
def test_nothing_but_the_parsers_own_error_escapes_from_any_bytes(data: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        validate(parse(data))


@given(st.integers(0, len(INVITE) - 1), st.integers(0, len(INVITE) - 1), BYTES)
def test_nothing_but_the_parsers_own_error_escapes_from_broken_messages(start: int, end: int, junk: bytes) -> None:
    broken = INVITE[:start] + junk + INVITE[end:]
    try:
        message = parse(broken)
        validate(message)
        assert isinstance(message, Request | Response)
        for value in (message.contacts, message.expires, message.via, message.from_tag, message.values("contact")):
            assert value is not NotImplemented
    except RemoteProtocolError as error:
        if error.request is not None:
            try:
                error.request.stamp_source("192.0.2.1", 5060)
                encoded = error.request.reply(error.status, to_tag="x").encode()
            except RemoteProtocolError:
                return
            parse(encoded)


@given(BYTES)
def test_what_was_read_is_written_and_read_again_the_same(data: bytes) -> None:
    message = request(INVITE.replace(b"Content-Length: 4", b"Content-Length: %d" % len(data))[:-4] + data)
    again = parse(message.encode())
    assert list(again.items()) == list(message.items())
    assert again.body == message.body == data


@given(TEXT, TEXT)
def test_no_line_break_from_outside_reaches_a_header_that_we_write(name: str, value: str) -> None:
    message = Request.new("OPTIONS", "sip:x@y")
    try:
        message.add(name, value)
    except LocalProtocolError:
        return
    head = message.encode().split(b"\r\n\r\n")[0]
    assert head.count(b"\r\n") == 2
    assert not any(byte < 0x20 and byte not in b"\r\n\t" for byte in head)


@given(TEXT)
def test_any_display_name_is_written_safely_and_read_back(display: str) -> None:
    written = str(NameAddr(display, Uri.parse("sip:a@b")))
    message = Request.new("OPTIONS", "sip:x@y")
    message.add("from", written)
    if not any(ord(char) < 0x20 or char == "\x7f" for char in display):
        assert NameAddr.parse(written).display == display


@given(st.text(alphabet=string.ascii_letters + string.digits + "-.!%*_+`'~", min_size=1, max_size=20))
def test_names_are_canonical_whatever_their_case(name: str) -> None:
    assert canonical(name.upper()) == canonical(name.lower())
    assert canonical(display_name(canonical(name))) == canonical(name)


@given(st.lists(st.text(alphabet='ab"<>,;\\ ', max_size=8)))
def test_splitting_at_commas_never_fails(parts: list[str]) -> None:
    for part in split_commas(",".join(parts)):
        assert part == part.strip() != ""


def test_via_with_spaces_around_slashes() -> None:
    via = Via.parse("SIP / 2.0 / UDP first.example:4000;ttl=16;branch=z9hG4bKa7c6a8dlze.1")
    assert (via.transport, via.host, via.port, via.branch) == ("UDP", "first.example", 4000, "z9hG4bKa7c6a8dlze.1")

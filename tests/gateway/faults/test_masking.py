"""What of a message is shown, and what never is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opx.gateway.faults.masking import mask, readable
from opx.sip.message import Request
from opx.sip.parser import parse

SECRET = "Tr0ub4dor-3"
HEAD = (
    "INVITE sip:1002@gw.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\nFrom: <sip:tw1@gw>;tag=1\r\n"
    "To: <sip:1002@gw>\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\n"
)


def message(*headers: str, body: str = "", content_type: str = "application/sdp") -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    kind = f"Content-Type: {content_type}\r\n" if body else ""
    return f"{HEAD}{lines}{kind}Content-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    "header",
    [
        f'Authorization: Digest username="tw1", realm="r", nonce="{SECRET}", uri="sip:x", response="{SECRET}"',
        f'authorization:Digest response="{SECRET}"',
        f'Proxy-Authorization: Digest username="tw1",\r\n response="{SECRET}",\r\n\tcnonce="{SECRET}"',
        f"Authorization: Basic {SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"Authorization: {SECRET}",
        f'Authorization: response="{SECRET}"',
        f'Authentication-Info: rspauth="{SECRET}"',
        f"X-Auth-Token: {SECRET}",
        f"X-Password: {SECRET}",
        f"Contact: <sip:tw1:{SECRET}@10.0.0.1>",
        f"Refer-To: <sips:a:{SECRET}@b>",
        f"X-Link: https://u:{SECRET}@h/",
        f"Contact: <sip:tw1@10.0.0.1;pn-prid={SECRET}>",
        f'X-Custom: password="{SECRET}"; x=1',
    ],
)
def test_a_secret_in_a_header_is_masked_and_the_message_can_still_be_read(header: str) -> None:
    shown = mask(message(header))
    assert SECRET.encode() not in shown
    assert b"***" in shown
    read = parse(shown)
    assert isinstance(read, Request)
    assert (read.method, read.call_id) == ("INVITE", "c1")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (f"v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{SECRET}|2^20\r\na=sendrecv\r\n", "application/sdp"),
        (f"v=0\r\na=ice-ufrag:x\r\na=ice-pwd:{SECRET}\r\n", "application/sdp"),
        (f"v=0\r\nk=clear:{SECRET}\r\n", "application/sdp"),
        (f"Signal={SECRET[0]}\r\nDuration=160\r\n", "application/dtmf-relay"),
        (SECRET[0], "application/dtmf"),
        (f"<a><password>{SECRET}</password><x/></a>", "application/xml"),
        (f'<a token="{SECRET}"/>', "application/xml"),
        (f'{{"password": "{SECRET}"}}', "application/json"),
        (f"secret={SECRET}&a=b", "text/plain"),
    ],
)
def test_a_secret_in_a_body_is_masked_and_its_length_is_right(body: str, content_type: str) -> None:
    shown = parse(mask(message(body=body, content_type=content_type)))
    assert SECRET.encode() not in shown.body
    assert b"***" in shown.body
    assert shown.get("content-length") == str(len(shown.body))


def test_who_asks_for_what_stays() -> None:
    header = (
        'Authorization: Digest username="tw1", realm="opx-1", uri="sip:gw", algorithm=MD5, qop=auth, nc=00000002, '
        'nonce="n", cnonce="c", response="r"'
    )
    assert (
        'Authorization: Digest username="tw1", realm="opx-1", uri="sip:gw", algorithm=MD5, qop=auth, nc=00000002, '
        'nonce="***", cnonce="***", response="***"\r\n' in readable(message(header))
    )


def test_a_message_without_secrets_stays_as_it_is() -> None:
    body = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\nc=IN IP4 10.0.0.1\r\nm=audio 4000 RTP/AVP 8\r\na=sendrecv\r\n"
    plain = message(
        'WWW-Authenticate: Digest realm="opx-1", nonce="abc", qop="auth"',
        "Contact: <sip:tw1@192.168.1.7:5060;transport=tcp>",
        "User-Agent: Phone/1.0 (at 12:30:05)",
        body=body,
    )
    assert mask(plain) == plain


def test_what_is_no_message_at_all_is_no_trouble() -> None:
    assert mask(b"") == b""
    assert mask(b"\r\n\r\n") == b"\r\n\r\n"
    assert readable(b"\xff\xfe password=x1y2 \0") == "\\xff\\xfe password=*** \0"


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_no_bytes_break_it_or_bring_a_response_through(before: bytes, after: bytes) -> None:
    head = b"REGISTER sip:x SIP/2.0\r\nX: " + before.replace(b"\n", b" ").replace(b"\r", b" ") + b"\r\n"
    shown = mask(head + b'Authorization: Digest response="' + SECRET.encode() + b'"\r\n\r\n' + after)
    assert SECRET.encode() not in shown


@pytest.mark.parametrize(
    "piece", [b"a=", b"sip:a:", b"password", b'"', b"<token", b'Authorization: Digest a="\\', b"-"]
)
def test_the_work_grows_with_the_length_only(piece: bytes) -> None:
    mask(HEAD.encode() + b"X: " + piece * (16_000 // len(piece)) + b"\r\n\r\n" + piece * (60_000 // len(piece)))

"""Bodies: the description is found wherever it lawfully stands."""

import pytest

from opx.sip.answering import sdp_of
from opx.sip.errors import RemoteProtocolError
from opx.sip.message import Request
from opx.sip.multipart import MAX_NESTING, MAX_PARTS, Part, parts_of

SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n"


def multipart(*parts: tuple[str, bytes], boundary: str = "b") -> bytes:
    """Each part is its header lines and its content."""
    pieces = [f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n" for head, content in parts]
    return b"".join(pieces) + f"--{boundary}--\r\n".encode()


def invite(content_type: str, body: bytes, **headers: str) -> Request:
    request = Request.new("INVITE", "sip:a@b")
    request.add("content-type", content_type)
    for name, value in headers.items():
        request.add(name.replace("_", "-"), value)
    request.body = body
    return request


PLAIN = ("Content-Type: text/plain", b"Hello")
DESCRIBED = ("content-type: Application/SDP;charset=utf-8\r\nX: y", SDP)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/sdp", SDP),
        ("Application/SDP ; charset=utf-8", SDP),
        ("multipart/mixed;boundary=b", multipart(DESCRIBED)),
        ('multipart/mixed; boundary="b"', multipart(PLAIN, DESCRIBED, PLAIN)),
        ("Multipart/Mixed;boundary=b", b"a preamble\r\n" + multipart(DESCRIBED) + b"an epilogue"),
        ("multipart/signed;boundary=b", multipart(DESCRIBED, ("Content-Type: application/pkcs7-signature", b"\x30"))),
        ("multipart/mixed;boundary=b", multipart(("c:\r\n application/sdp", SDP))),
        ("multipart/mixed;boundary=b", multipart(DESCRIBED).replace(b"--b\r\n", b"--b \t\r\n")),
        (
            "multipart/mixed;boundary=o",
            multipart(
                PLAIN,
                ("Content-Type: multipart/alternative;boundary=i", multipart(DESCRIBED, boundary="i")),
                boundary="o",
            ),
        ),
    ],
)
def test_a_description_is_found(content_type: str, body: bytes) -> None:
    assert sdp_of(invite(content_type, body)) == SDP


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/sdp", b""),
        ("text/plain", SDP),
        ("multipart/mixed;boundary=b", multipart(PLAIN)),
        ("multipart/mixed;boundary=b", multipart(DESCRIBED).replace(b"--b--", b"")),
        ("multipart/mixed;boundary=other", multipart(DESCRIBED)),
        ("multipart/mixed", multipart(DESCRIBED)),
        (f"multipart/mixed;boundary={'b' * 71}", multipart(DESCRIBED, boundary="b" * 71)),
        ("multipart/mixed;boundary=b", multipart(("Content-Type: application/sdp\r\nContent-Encoding: gzip", SDP))),
        (
            "multipart/mixed;boundary=b",
            multipart(("Content-Type: application/sdp\r\nContent-Transfer-Encoding: base64", SDP)),
        ),
        (
            "multipart/mixed;boundary=b",
            multipart(("Content-Type: application/sdp\r\nContent-Disposition: early-session", SDP)),
        ),
        ("multipart/mixed;boundary=b", multipart(("", SDP))),
    ],
)
def test_anything_else_is_no_description(content_type: str, body: bytes) -> None:
    assert sdp_of(invite(content_type, body)) == b""


def test_of_a_choice_the_last_is_the_best() -> None:
    better = SDP.replace(b"s=-", b"s=better")
    body = multipart(DESCRIBED, ("Content-Type: application/sdp", better))
    assert sdp_of(invite("multipart/alternative;boundary=b", body)) == better
    assert sdp_of(invite("multipart/mixed;boundary=b", body)) == SDP


def test_a_part_tells_what_its_sender_says_of_it() -> None:
    icon = ("Content-Type: image/png\r\nContent-Disposition: icon;handling=Optional", b"\x89PNG")
    assert parts_of(invite("multipart/mixed;boundary=b", multipart(icon, DESCRIBED))) == [
        Part("image/png", "icon", "optional", True, b"\x89PNG"),
        Part("application/sdp", "session", "", True, SDP),
    ]


def test_a_description_that_is_no_session_is_none() -> None:
    assert sdp_of(invite("application/sdp", SDP, content_disposition="early-session")) == b""
    assert sdp_of(invite("application/sdp", SDP, content_disposition="session;handling=required")) == SDP


def test_parts_and_nesting_are_bounded() -> None:
    assert len(parts_of(invite("multipart/mixed;boundary=b", multipart(*[PLAIN] * MAX_PARTS)))) == MAX_PARTS
    nested = DESCRIBED
    for depth in range(MAX_NESTING):
        nested = (f"Content-Type: multipart/mixed;boundary=n{depth}", multipart(nested, boundary=f"n{depth}"))
    wide = [(f"Content-Type: multipart/mixed;boundary=i{i}", multipart(*[PLAIN] * 9, boundary=f"i{i}")) for i in (1, 2)]
    for body in (multipart(*[PLAIN] * (MAX_PARTS + 1)), multipart(nested), multipart(*wide)):
        with pytest.raises(RemoteProtocolError) as caught:
            parts_of(invite("multipart/mixed;boundary=b", body))
        assert caught.value.status == 513

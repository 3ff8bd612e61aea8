"""Home routers of the lab that rewrite SIP: recognised by the gateway, and what calls make of them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from opx.gateway.signalling.alg import Finding, in_registration
from opx.lab.lab import Lab, LabError
from opx.lab.mangling import inward, outward
from opx.lab.plan import HOMES, Alg
from opx.lab.site import EXTENSIONS
from opx.sip.message import Request
from opx.sip.parser import parse
from support.lab import LiveLab, live_lab, run_in
from support.namespaces import kernel_has_alg, needs_lab
from support.programs import OutsideProgram, needs_program, wait_until

PRIVATE, PUBLIC = "192.168.1.10", HOMES[0].public
CALL_MILLISECONDS = 3500
TONE = 700.0

INVITE = b"""\
INVITE sip:1101@198.51.100.10 SIP/2.0\r
v: SIP/2.0/UDP 192.168.1.10:5060;branch=z9hG4bK1;rport\r
From: <sip:home1@198.51.100.10>;tag=1\r
To: <sip:1101@198.51.100.10>\r
Call-ID: a7@192.168.1.10\r
CSeq: 1 INVITE\r
Contact: <sip:home1@192.168.1.10:5060>\r
Content-Type: application/sdp\r
Content-Length: 104\r
\r
v=0\r
o=- 1 1 IN IP4 192.168.1.10\r
s=192.168.1.10\r
c=IN IP4 192.168.1.10\r
t=0 0\r
m=audio 4000 RTP/AVP 0\r
"""


def lines_changed(alg: Alg) -> list[bytes]:
    before, after = INVITE.split(b"\r\n"), outward(INVITE, alg, PRIVATE, PUBLIC).split(b"\r\n")
    return [new for old, new in zip(before, after, strict=True) if old != new]


VIA = b"v: SIP/2.0/UDP 203.0.113.7:5060;branch=z9hG4bK1;rport"
CALL_ID = b"Call-ID: a7@203.0.113.7"
CONTACT = b"Contact: <sip:home1@203.0.113.7:5060>"
LENGTH = b"Content-Length: 102"
ORIGIN, CONNECTION = b"o=- 1 1 IN IP4 203.0.113.7", b"c=IN IP4 203.0.113.7"


def test_a_careless_router_forgets_contact() -> None:
    assert lines_changed(Alg.CARELESS) == [VIA, CALL_ID, LENGTH, ORIGIN, CONNECTION]


def test_a_breaking_router_leaves_the_length_wrong() -> None:
    assert lines_changed(Alg.BREAKING) == [VIA, CALL_ID, ORIGIN, CONNECTION]


def test_another_rewrites_contact_and_leaves_via() -> None:
    assert lines_changed(Alg.CONTACT) == [CONTACT, LENGTH, ORIGIN, CONNECTION]


@pytest.mark.parametrize("alg", [Alg.CARELESS, Alg.CONTACT])
def test_what_comes_back_is_as_the_phone_wrote_it(alg: Alg) -> None:
    head = INVITE.partition(b"\r\n\r\n")[0].replace(b"INVITE sip:1101@198.51.100.10 SIP/2.0", b"SIP/2.0 180 Ringing")
    sent = head.replace(b"Content-Length: 104", b"Content-Length: 0") + b"\r\n\r\n"
    assert inward(outward(sent, alg, PRIVATE, PUBLIC), alg, PRIVATE, PUBLIC) == sent


def test_a_request_to_the_public_contact_reaches_the_private_one() -> None:
    request = b"OPTIONS sip:home1@203.0.113.7:5060 SIP/2.0\r\nTo: <sip:home1@203.0.113.7:5060>\r\n\r\n"
    assert inward(request, Alg.CONTACT, PRIVATE, PUBLIC).startswith(b"OPTIONS sip:home1@192.168.1.10:5060 SIP/2.0\r\n")


SHOW = """
import socket, sys
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.bind(("192.0.2.1", 5060))
print("ready", flush=True)
data, source = one.recvfrom(65535)
sys.stdout.buffer.write(f"{source[0]} {source[1]}\\n".encode() + data + b"\\r\\nEND")
sys.stdout.flush()
"""
SEND = """
import socket
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.bind(("192.168.1.10", 5060))
text = '''REGISTER sip:192.0.2.1 SIP/2.0
Via: SIP/2.0/UDP 192.168.1.10:5060;branch=z9hG4bK1;rport
Max-Forwards: 70
From: <sip:home2@192.0.2.1>;tag=1
To: <sip:home2@192.0.2.1>
Call-ID: a7@192.168.1.10
CSeq: 1 REGISTER
Contact: <sip:home2@192.168.1.10:5060>
Content-Length: 0

'''
one.sendto(text.replace("\\n", "\\r\\n").encode(), ("192.0.2.1", 5060))
"""


@needs_lab()
def test_the_kernels_own_rewrites_everything_but_the_call_id_which_gives_it_away(tmp_path: Path) -> None:
    lab = Lab(tmp_path, {"home2": Alg.KERNEL})
    if not kernel_has_alg():
        with pytest.raises(LabError, match="may lack its SIP ALG"):
            lab.start()
        return
    view = lab.start()
    with OutsideProgram([*view.prefix("internet"), sys.executable, "-c", SHOW], tmp_path / "seen.txt") as server:
        server.wait_for("ready")
        run_in(view, "home2", SEND)
        server.wait_for("END")
    lab.stop()
    where, _, message = server.text.removeprefix("ready\n").removesuffix("\r\nEND").partition("\n")
    host, port = where.split()
    assert (host, port) != (HOMES[1].public, "5060")  # it is symmetric, too
    request = parse(message.replace("\r\n", "\n").replace("\n", "\r\n").encode())
    assert isinstance(request, Request)
    assert in_registration(request, (host, int(port))) == Finding(
        False, f"Via and Contact show the public address {host}:{port} but Call-ID the private {PRIVATE}"
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    with live_lab(tmp_path_factory.mktemp("lab"), "--alg", "home1=breaking", "--alg", "home2") as running:
        yield running


@needs_lab()
@needs_program("baresip", "sipp")
def test_a_careless_router_is_named_and_calls_go_on_both_ways(lab: LiveLab, tmp_path: Path) -> None:
    office = lab.office(tmp_path / "sipp")
    with office.register() as registering:
        assert registering.wait() == 0, registering.text
    with lab.phone(tmp_path / "baresip", "home2") as phone:
        phone.wait_for("200 OK")
        public = f"{HOMES[1].public}:5060"
        named = f"its home router rewrites SIP (ALG): Via shows the public address {public} but Contact the private"
        wait_until(lambda: named in lab.text, lambda: lab.text)
        with office.answer() as answering:
            phone.dial(EXTENSIONS["spare"])
            phone.hears(TONE)
            phone.command("hangup")
            assert answering.wait() == 0, answering.text
        with office.call(EXTENSIONS["home2"], CALL_MILLISECONDS) as calling:
            wait_until(lambda: len(phone.recordings()) == 2, lambda: phone.text)
            phone.hears(TONE)
            assert calling.wait() == 0, calling.text
        phone.command("quit")
        phone.wait()
    assert lab.text.count(named) == 1


@needs_lab()
@needs_program("baresip")
def test_calls_that_a_router_breaks_are_refused_and_said_to_be_unreadable(lab: LiveLab, tmp_path: Path) -> None:
    with lab.phone(tmp_path / "baresip", "home1") as phone:
        phone.wait_for("200 OK")
        phone.dial(EXTENSIONS["office"])
        phone.wait_for("400 ")
        phone.command("quit")
        phone.wait()
    assert f"a message from UDP {HOMES[0].public}:5060 could not be read: the body is shorter" in lab.text

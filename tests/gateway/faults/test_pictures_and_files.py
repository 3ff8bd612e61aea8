"""A call's messages as steps, as a picture, as a capture file, packed, and its record as CSV."""

import csv
import io
import ipaddress
import struct
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opx.gateway.control.protocol import Ladder, MediaFigures, StreamFigures
from opx.gateway.faults import pcap, spreadsheet
from opx.gateway.faults.ladder import ladder
from opx.gateway.faults.messages import CallTrace, SipMessage, from_wire, pack, to_wire, unpack
from opx.gateway.faults.picture import MAX_ROWS, svg
from opx.gateway.faults.records import CallRecord
from opx.gateway.media.interface import Side

SET, INSIDE = ("198.51.100.1", 5060), ("10.9.8.1", 5060)
PHONE, NODE, OTHER = ("203.0.113.7", 40001), ("10.9.8.20", 5060), ("10.9.8.21", 5060)


def message(
    start: str, side: Side, sent: bool, at: float, remote: tuple[str, int] = NODE, body: str = ""
) -> SipMessage:
    method = start.split()[0] if not start.startswith("SIP/") else "INVITE"
    text = (
        f"{start}\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK{at}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n"
        f"Call-ID: c\r\nCSeq: 1 {method}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    local = SET if side is Side.SET else INSIDE
    far = PHONE if side is Side.SET else remote
    return SipMessage(1_700_000_000.0 + at, side, sent, "UDP", local, far, text.encode())


CALL = (
    message("INVITE sip:1002@gw SIP/2.0", Side.SET, False, 0.0, body="v=0\r\nm=audio 4000 RTP/AVP 8\r\n"),
    message("SIP/2.0 100 Trying", Side.SET, True, 0.001),
    message("INVITE sip:1002@pbx SIP/2.0", Side.ICP, True, 0.002),
    message("INVITE sip:1002@pbx SIP/2.0", Side.ICP, True, 0.002),
    message("INVITE sip:1002@pbx2 SIP/2.0", Side.ICP, True, 5.0, OTHER),
    message("SIP/2.0 486 Busy Here", Side.ICP, False, 5.25, OTHER),
    message("SIP/2.0 486 Busy Here", Side.SET, True, 5.251),
)


def test_steps_lead_from_party_to_party_and_say_what_was_repeated_and_what_failed() -> None:
    shown = ladder(CALL)
    assert [(party.label, party.address) for party in shown.parties] == [
        ("Phone", "203.0.113.7:40001"),
        ("Gateway", ""),
        ("ICP", "10.9.8.20:5060"),
        ("ICP", "10.9.8.21:5060"),
    ]
    assert [(step.source, step.target, step.title) for step in shown.steps] == [
        (0, 1, "INVITE (SDP)"),
        (1, 0, "100 Trying"),
        (1, 2, "INVITE"),
        (1, 2, "INVITE"),
        (1, 3, "INVITE"),
        (3, 1, "486 Busy Here"),
        (1, 0, "486 Busy Here"),
    ]
    assert [step.repeated for step in shown.steps] == [False, False, False, True, False, False, False]
    assert [step.failure for step in shown.steps] == [False] * 5 + [True] * 2
    assert shown.steps[-1].after == pytest.approx(5.251, abs=1e-5)


def test_no_messages_make_an_empty_ladder() -> None:
    assert [party.label for party in ladder(()).parties] == ["Gateway"]
    ET.fromstring(svg(ladder(())))


def test_what_cannot_be_read_is_shown_as_it_begins() -> None:
    broken = replace(CALL[0], data=b"INVITE \x00\xff no SIP at all")
    (step,) = ladder((broken,)).steps
    assert step.title.startswith("unreadable: INVITE")
    ET.fromstring(svg(ladder((broken,))))


def test_the_picture_is_xml_with_an_arrow_for_each_message_that_leads_to_its_text() -> None:
    root = ET.fromstring(svg(ladder(CALL), links="#m"))
    links = [element.get("href") for element in root.iter("{http://www.w3.org/2000/svg}a")]
    assert links == [f"#m{number}" for number in range(1, 8)]
    text = " ".join(root.itertext())
    assert "INVITE (again)" in text
    assert "10.9.8.21:5060" in text
    assert "<script" not in svg(ladder(CALL)) and "style=" not in svg(ladder(CALL))


def test_a_picture_of_very_many_messages_stays_a_picture() -> None:
    many = tuple(replace(CALL[1], at=float(number)) for number in range(MAX_ROWS + 50))
    text = svg(ladder(many), standalone=True)
    root = ET.fromstring(text)
    assert "and 50 more" in " ".join(root.itertext())


@given(st.text(max_size=80), st.binary(max_size=80))
def test_nothing_that_a_stranger_sends_leaves_its_place_in_a_picture(start: str, data: bytes) -> None:
    hostile = f'INVITE sip:"><script>alert(1)</script>{start} SIP/2.0\r\n'.encode("utf-8", "surrogatepass") + data
    text = svg(ladder((replace(CALL[0], data=hostile),)), standalone=True)
    ET.fromstring(text)
    assert "<script" not in text


# --- packed


def test_what_was_packed_is_what_comes_back_and_small() -> None:
    trace = CallTrace(CALL, left_out=3)
    data = pack(trace)
    assert unpack(data) == trace
    assert len(data) < sum(len(one.data) for one in CALL) / 2
    assert from_wire(Ladder.model_validate_json(to_wire(trace).model_dump_json())) == trace


@pytest.mark.parametrize("data", [b"", b"2abc", b"1", b"1abc", pack(CallTrace(CALL))[:40]])
def test_damaged_messages_are_said_to_be_damaged(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"damaged|another release"):
        unpack(data)


# --- pcap, read by a reader of its own


def packets(data: bytes) -> Iterator[tuple[float, str, int, str, int, bytes]]:
    """Time, source, target and payload of each UDP packet; every checksum is checked."""
    magic, major, minor, _, _, _, link = struct.unpack_from("<IHHiIII", data)
    assert (magic, major, minor, link) == (0xA1B2C3D4, 2, 4, 101)
    at = 24
    while at < len(data):
        seconds, micros, size, original = struct.unpack_from("<IIII", data, at)
        packet = data[at + 16 : at + 16 + size]
        assert size == original == len(packet)
        at += 16 + size
        if packet[0] >> 4 == 4:
            head = packet[: (packet[0] & 15) * 4]
            assert fold(head) == 0xFFFF
            assert struct.unpack_from("!H", packet, 2)[0] == size
            source, target, rest = packet[12:16], packet[16:20], packet[len(head) :]
            pseudo = source + target + b"\0\x11" + struct.pack("!H", len(rest))
        else:
            assert packet[6] == 17
            source, target, rest = packet[8:24], packet[24:40], packet[40:]
            pseudo = source + target + struct.pack("!II", len(rest), 17)
        assert fold(pseudo + rest) == 0xFFFF
        from_port, to_port, length = struct.unpack_from("!HHH", rest)
        assert length == len(rest)
        names = str(ipaddress.ip_address(source)), str(ipaddress.ip_address(target))
        yield seconds + micros / 1e6, names[0], from_port, names[1], to_port, rest[8:]


def fold(data: bytes) -> int:
    total = sum(data[i] << 8 | (data[i + 1] if i + 1 < len(data) else 0) for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_a_capture_file_holds_every_message_with_its_time_and_addresses() -> None:
    found = list(packets(pcap.encode(CALL)))
    assert [one[5] for one in found] == [one.data for one in CALL]
    assert found[0][:5] == (1_700_000_000.0, *PHONE, *SET)
    assert found[2][1:5] == (*INSIDE, *NODE)
    assert found[5][0] == pytest.approx(1_700_000_005.25, abs=1e-5)


def test_ipv6_and_messages_too_large_for_a_datagram_make_packets_too() -> None:
    wide = replace(CALL[0], local=("2001:db8::1", 5060), remote=("2001:db8::2", 5062), transport="TCP")
    large = [replace(wide, data=b"x" * 80_000), replace(CALL[0], data=b"y" * 80_000), wide]
    found = list(packets(pcap.encode(large)))
    assert [one[1] for one in found] == ["2001:db8::2", "203.0.113.7", "2001:db8::2"]
    assert [len(one[5]) for one in found] == [65487, 65507, len(CALL[0].data)]


# --- CSV

RECORD = CallRecord(
    "c1", 1, "tw1", "Node 1", "outgoing", "1001", "1002", 1_700_000_000.0, 1_700_000_001.0, 1_700_000_002.0,
    1_700_000_062.5, "answered", "phone", 0, "the caller hung up", "UDP 203.0.113.7:40001", "Phone/1.0",
    "UDP 10.9.8.20:5060", "PCMA/8000",
)  # fmt: skip


def read(records: list[CallRecord]) -> list[dict[str, str]]:
    text = "".join(spreadsheet.lines(records))
    rows = list(csv.reader(io.StringIO(text)))
    assert all(len(row) == len(rows[0]) for row in rows)
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def test_a_record_is_a_line_with_its_times_and_figures() -> None:
    stream = StreamFigures(local="a:1", remote="b:2", packets=3000, lost=12, jitter=1.5, told_lost=4)
    media = MediaFigures(codec="PCMA/8000", set_side=stream, icp_side=StreamFigures(local="c:3", remote=""))
    plain, carried = read([RECORD, replace(RECORD, media=media, status=0)])
    assert plain["Started (UTC)"] == "2023-11-14 22:13:20"
    assert plain["Seconds talked"] == "60.5"
    assert plain["From phone: packets"] == ""
    assert carried["From phone: packets"] == "3000"
    assert (carried["From phone: lost"], carried["Phone reports: lost"]) == ("12", "4")
    assert (carried["From ICP: packets"], carried["ICP reports: jitter ms"]) == ("0", "")


@pytest.mark.parametrize(
    "name", ["=1+1", "+49301234", "-2", "@SUM(A1)", '=HYPERLINK("http://x","y")', "\t=1", "\r=1", " =1", "|cmd", "%0A"]
)
def test_no_cell_is_a_formula(name: str) -> None:
    (row,) = read([replace(RECORD, callee=name, device=name, reason=name, user_agent=name)])
    for column in ("Called party", "Device", "Reason", "Phone"):
        assert row[column].startswith("'"), row[column]


def test_quotes_commas_and_line_breaks_stay_in_their_cell() -> None:
    (row,) = read([replace(RECORD, reason='a "b", c\r\nd', caller="x\n=1")])
    assert row["Reason"] == 'a "b", c  d'
    assert row["Caller"] == "x =1"

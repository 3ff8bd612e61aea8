"""The pages about calls and alarms, with names and messages that mean no good."""

import csv
import io
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from opx.alarms import Alarm
from opx.gateway.control.protocol import (
    AskCall,
    AskCalls,
    AskLadder,
    CallDetails,
    CallPage,
    Done,
    HangUp,
    Ladder,
    LiveCall,
    MediaFigures,
    NotFound,
    Sent,
    StreamFigures,
    TryAlarm,
)
from opx.gateway.control.server import ControlServer, Handler
from opx.gateway.faults.masking import mask
from opx.gateway.faults.messages import CallTrace, SipMessage, pack, to_wire
from opx.gateway.faults.records import CallRecord
from opx.gateway.faults.repository import FaultsRepository, PackedLadder
from opx.gateway.media.interface import Side
from opx.gateway.web.service import WebService
from opx.web.accounts import Role
from support.console import SETTINGS, Visitor, open_console, signed_in

NOW = 1_700_000_000.0
EVIL = '"><script>alert(1)</script>'
STREAM = StreamFigures(local="203.0.113.10:20000", remote="198.51.100.7:4000", packets=3000, lost=17, jitter=2.25)
MEDIA = MediaFigures(codec="PCMA/8000", set_side=STREAM, icp_side=StreamFigures(local="192.168.20.1:20002", remote=""))
RECORD = CallRecord(
    "c0ffee", 1, "tw1", "Node 1", "outgoing", "1001", "1002", NOW, NOW + 1, NOW + 2, NOW + 62, "answered", "phone", 0,
    "the caller hung up", "UDP 198.51.100.7:5060", "Mitel/1.0", "UDP 192.168.20.20:5060", "PCMA/8000", MEDIA,
)  # fmt: skip


def message(start: str, sent: bool, at: float, side: Side = Side.SET, extra: str = "") -> SipMessage:
    raw = f"{start}\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n{extra}\r\n".encode()
    remote = ("198.51.100.7", 5060) if side is Side.SET else ("192.168.20.20", 5060)
    return SipMessage(NOW + at, side, sent, "UDP", ("203.0.113.10", 5060), remote, mask(raw))


TRACE = CallTrace(
    (
        message("INVITE sip:1002@gw SIP/2.0", False, 0.0, extra='Authorization: Digest response="s3cret"\r\n'),
        message("INVITE sip:1002@pbx SIP/2.0", True, 0.1, Side.ICP),
        message("SIP/2.0 486 Busy Here", False, 0.2, Side.ICP),
        message(f"SIP/2.0 486 {EVIL}", True, 0.3),
    )
)


@asynccontextmanager
async def console(folder: Path, settings: str = SETTINGS) -> AsyncIterator[tuple[WebService, FaultsRepository]]:
    async with open_console(folder, settings) as web:
        yield web, FaultsRepository(web.repository.engine)


async def read_only(web: WebService) -> Visitor:
    return await signed_in(web, "bob", Role.READ_ONLY)


async def test_calls_are_listed_searched_and_filtered(tmp_path: Path) -> None:
    async with console(tmp_path) as (web, faults):
        calls = [replace(RECORD, call_id=f"{n:x}", started_at=NOW + n, callee=f"20{n:02}") for n in range(30)]
        await faults.write([*calls, replace(RECORD, call_id="bad", outcome="refused", status=486, media=None)])
        visitor = await read_only(web)
        await visitor.get("/calls")
        assert "2029" in visitor.text and "2004" not in visitor.text
        assert "The gateway does not answer." in visitor.text
        await visitor.get("/calls?page=2")
        assert "2004" in visitor.text
        await visitor.get("/calls?outcome=refused")
        assert "486 Busy Here" in visitor.text and "2029" not in visitor.text
        await visitor.get("/calls?q=2007")
        assert "2007" in visitor.text and "2008" not in visitor.text
        await visitor.get("/calls?period=hour")
        assert "No call is like that." in visitor.text


async def test_one_call_shows_its_media_its_ladder_and_its_masked_messages(tmp_path: Path) -> None:
    async with console(tmp_path) as (web, faults):
        await faults.write([RECORD, PackedLadder("c0ffee", NOW, False, pack(TRACE))])
        visitor = await read_only(web)
        await visitor.get("/calls/c0ffee")
        for text in ("1001 called 1002", "talked for 1 min", "3000", "17", "2.2 ms", "nothing came", "486 Busy Here"):
            assert text in visitor.text, text
        assert visitor.html.count('<a href="#m') == 4 and 'id="m4"' in visitor.html
        assert "s3cret" not in visitor.html and "response=" in visitor.html
        assert "<script>alert" not in visitor.html
        assert "Hang up" not in visitor.text


async def test_what_strangers_call_themselves_is_text_on_every_page(tmp_path: Path) -> None:
    evil = replace(
        RECORD, caller=EVIL, callee=EVIL, device=EVIL, reason=EVIL, user_agent=EVIL, phone=EVIL, node=EVIL, codec=EVIL
    )
    async with console(tmp_path) as (web, faults):
        await faults.write([evil, Alarm("a", "icp-unreachable", EVIL, EVIL, NOW)])
        visitor = await read_only(web)
        for path in ("/calls", "/calls/c0ffee", "/alarms", f"/calls?q={EVIL}&outcome={EVIL}&sort={EVIL}&page={EVIL}"):
            answer = await visitor.get(path)
            assert answer.status_code == 200
            assert "<script>alert" not in visitor.html, path


async def test_files_of_a_call_can_be_downloaded(tmp_path: Path) -> None:
    async with console(tmp_path) as (web, faults):
        await faults.write([RECORD, PackedLadder("c0ffee", NOW, False, pack(TRACE))])
        visitor = await read_only(web)
        capture = await visitor.get("/calls/c0ffee/messages.pcap")
        assert capture.headers["content-type"] == "application/vnd.tcpdump.pcap"
        assert capture.content[:4] == b"\xd4\xc3\xb2\xa1" and b"s3cret" not in capture.content
        picture = await visitor.get("/calls/c0ffee/messages.svg")
        ET.fromstring(picture.text)
        assert 'filename="call-c0ffee.svg"' in picture.headers["content-disposition"]
        table = await visitor.get("/calls.csv?q=1002")
        (row,) = list(csv.DictReader(io.StringIO(table.text)))
        assert (row["Call"], row["From phone: lost"]) == ("c0ffee", "17")
        assert (await visitor.get("/calls.csv?q=nobody")).text.count("\n") == 1
        await visitor.get("/audit-log")
    entries = "downloaded call records", "downloaded a call's pcap file"
    admin_texts = visitor.text
    assert all(entry in admin_texts for entry in entries)


@pytest.mark.parametrize(
    "path", ["/calls/nothing", "/calls/dead", "/calls/dead/messages.pcap", "/calls/c0ffee/messages.exe"]
)
async def test_what_is_not_there_is_a_plain_page(tmp_path: Path, path: str) -> None:
    async with console(tmp_path) as (web, _):
        visitor = await read_only(web)
        assert (await visitor.get(path)).status_code in (404, 422)


async def test_without_a_sign_in_nothing_is_shown(tmp_path: Path) -> None:
    async with console(tmp_path) as (web, faults):
        await faults.write([RECORD])
        for path in ("/calls", "/calls.csv", "/calls/c0ffee", "/calls/c0ffee/messages.pcap", "/alarms"):
            answer = await Visitor(web).client.get(path)
            assert answer.status_code == 303 and "1002" not in answer.text, path


class Gateway:
    """A running one, with a call going on."""

    def __init__(self) -> None:
        self.hung_up: list[str] = []
        self.ways: dict[str, str] = {"e-mail": "", "webhook": "it answered 500"}
        self.live = LiveCall(
            call_id="beef", device_id=1, device="tw1", icp="Node 1", direction="incoming", caller=EVIL, callee="1001",
            state="answered", started_at=NOW, rang_at=NOW, answered_at=NOW, phone="UDP 198.51.100.7:5060",
            node="UDP 192.168.20.20:5060", codec="PCMA/8000", held=True,
        )  # fmt: skip

    async def calls(self, question: AskCalls) -> CallPage:
        return CallPage(items=(self.live,))

    async def call(self, question: AskCall) -> CallDetails:
        if question.call_id != "beef":
            raise NotFound("no such call")
        return CallDetails(call=self.live, media=MEDIA)

    async def ladder(self, question: AskLadder) -> Ladder:
        if question.call_id != "beef":
            raise NotFound("no such call")
        return to_wire(TRACE)

    async def hang_up(self, question: HangUp) -> Done:
        if self.hung_up:
            raise NotFound("no such call")
        self.hung_up.append(question.reason)
        return Done()

    async def test(self, question: TryAlarm) -> Sent:
        return Sent(ways=self.ways)

    @asynccontextmanager
    async def listening(self, web: WebService) -> AsyncIterator[None]:
        handlers = {
            "calls": Handler(AskCalls, self.calls),
            "call": Handler(AskCall, self.call),
            "ladder": Handler(AskLadder, self.ladder),
            "hang-up": Handler(HangUp, self.hang_up),
            "test-alarm": Handler(TryAlarm, self.test),
        }
        server = ControlServer(web.settings.control_socket, handlers)
        await server.start()
        try:
            yield
        finally:
            await server.stop()


async def test_a_call_going_on_is_shown_and_an_administrator_can_end_it(tmp_path: Path) -> None:
    gateway = Gateway()
    async with console(tmp_path) as (web, _), gateway.listening(web):
        visitor = await signed_in(web)
        await visitor.get("/calls")
        assert "on hold" in visitor.text and "<script>alert" not in visitor.html
        await visitor.get("/calls/beef")
        assert "PCMA/8000" in visitor.text and "486 Busy Here" in visitor.text
        await visitor.send("/calls/beef/hang-up")
        assert gateway.hung_up == ["hung up by ada in the console"]
        assert "The call is hung up." in visitor.text
        await visitor.get("/calls/beef")
        await visitor.send("/calls/beef/hang-up")
        assert "That call is over already." in visitor.text
        reader = await read_only(web)
        await reader.get("/calls/beef")
        assert "Hang up" not in reader.text


async def test_alarms_are_listed_and_a_trial_is_told_way_by_way(tmp_path: Path) -> None:
    gateway = Gateway()
    settings = SETTINGS + '\n[alarms]\nemail_to = ["office@example.com"]\nsmtp_host = "mail.example.com"\n'
    async with console(tmp_path, settings) as (web, faults), gateway.listening(web):
        await faults.write(
            [Alarm("a", "icp-unreachable", "Node 1", "no answer", NOW), Alarm("b", "overloaded", "", "x", NOW, NOW + 5)]
        )
        visitor = await signed_in(web)
        await visitor.get("/alarms")
        assert "Told by e-mail to office@example.com." in visitor.text
        assert "stands No node of the ICP answers: Node 1" in visitor.text
        assert "cleared Signalling is overloaded" in visitor.text
        await visitor.send("/alarms/test")
        assert "The trial alarm was delivered by e-mail." in visitor.text
        assert "did not arrive by webhook: it answered 500." in visitor.text

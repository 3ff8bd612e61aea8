"""Lines of phones, with util-linux's logger as a stranger."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opx.suite.syslog.message import MAX_TEXT, read_message
from opx.suite.syslog.receiver import BURST, LineBuffer, SyslogReceiver
from opx.suite.syslog.repository import KEPT, LogLine, PhoneLog
from support.network import LoopbackNetwork
from support.programs import needs_program
from support.suite_store import open_suite

MAC = "14:00:E9:12:34:56"


@pytest.mark.parametrize(
    ("line", "severity", "text"),
    [
        (r'<134>1 2026-11-25T02:00:00Z phone SIP 1 ID47 [ex@3 a="\]\""][b c=""] registered', 6, "SIP: registered"),
        ("<11>1 - - - - - - \ufeffüber", 3, "über"),
        ("<135>Nov 25 02:00:00 192.168.20.30 LINEMGR: off hook", 7, "LINEMGR: off hook"),
        ("<135>Nov  5 02:00:00 phone sip: x", 7, "sip: x"),
        ("<999>odd", 5, "<999>odd"),
        ("no priority\n", 5, "no priority"),
        ("<14>two\nlines\x1b[31m\x00", 6, "two lines [31m"),
    ],
)
def test_a_line_is_read_in_either_form(line: str, severity: int, text: str) -> None:
    message = read_message(line.encode())
    assert (message.severity, message.text) == (severity, text)


def test_a_line_may_name_its_phone() -> None:
    assert read_message(f"<14>Nov 25 02:00:00 h [{MAC}] started".encode()).mac == "1400E9123456"
    assert read_message(b"<14>14-00-e9-aa-bb-cc up").mac == "1400E9AABBCC"
    assert read_message(b"<14>call 001122334455667788 ended").mac == ""


@given(st.binary(max_size=3000))
def test_whatever_comes_is_plain_text_of_bounded_length(data: bytes) -> None:
    message = read_message(data)
    assert len(message.text) <= MAX_TEXT and (message.text.isprintable()) and 0 <= message.severity <= 7


OWNERS = {"192.168.20.31": "1400E9000001"}


def buffer_of_the_office() -> LineBuffer:
    return LineBuffer(lambda source: source.startswith(("192.168.", "127.")), lambda source: OWNERS.get(source, ""))


def test_a_flood_of_one_phone_is_cut_and_others_are_heard() -> None:
    buffer = buffer_of_the_office()
    kept = [buffer.take(b"<14>x", "192.168.20.31", 1000.0) for _ in range(BURST + 50)]
    assert sum(kept) == BURST and buffer.dropped == 50
    assert buffer.take(b"<14>y", "192.168.20.32", 1000.0)
    assert buffer.take(b"<14>z", "192.168.20.31", 1001.0)
    lines = buffer.drain()
    assert len(lines) == BURST + 2 and buffer.drain() == []
    assert {(line.source, line.mac) for line in lines} == {("192.168.20.31", "1400E9000001"), ("192.168.20.32", "")}


def test_nobody_outside_the_lan_is_heard() -> None:
    buffer = buffer_of_the_office()
    assert not buffer.take(b"<14>x", "203.0.113.9", 1000.0) and not buffer.take(b"", "192.168.20.31", 1000.0)
    assert buffer.drain() == [] and buffer.dropped == 0


def test_an_address_that_is_known_weighs_more_than_what_a_line_claims() -> None:
    buffer = buffer_of_the_office()
    buffer.take(f"<14>{MAC} up".encode(), "192.168.20.31", 1000.0)
    buffer.take(f"<14>{MAC} up".encode(), "192.168.20.99", 1000.0)
    assert [line.mac for line in buffer.drain()] == ["1400E9000001", "1400E9123456"]


@pytest.mark.usefixtures("each_database")
async def test_so_many_lines_of_a_phone_are_kept_the_newest(tmp_path: Path) -> None:
    async with open_suite(tmp_path) as sites:
        log = PhoneLog(sites.engine)
        many = [LogLine("1400E9000001", "192.168.20.31", float(at), 6, f"line {at}") for at in range(KEPT + 20)]
        await log.write(many)
        await log.write([LogLine("1400E9000002", "192.168.20.32", 5.0, 3, "other")])
        await log.write([LogLine("", "192.168.20.31", 2000.0, 3, "before it was known")])
        shown = await log.lines("1400E9000001", "192.168.20.31", limit=KEPT * 2)
        assert len(shown) == KEPT + 1
        assert [line.text for line in shown[:2]] == ["before it was known", f"line {KEPT + 19}"]
        assert shown[-1].text == "line 20"
        await log.forget("1400E9000001")
        assert [line.text for line in await log.lines("1400E9000001", "")] == []
        assert [line.text for line in await log.lines("1400E9000002", "")] == ["other"]


@needs_program("logger")
@pytest.mark.parametrize("form", ["--rfc3164", "--rfc5424"])
async def test_lines_of_a_stranger_arrive(loopback: LoopbackNetwork, form: str) -> None:
    written: list[LogLine] = []
    arrived = asyncio.Event()

    async def write(lines: Sequence[LogLine]) -> None:
        written.extend(lines)

    class Watched(LineBuffer):
        def take(self, data: bytes, source: str, now: float) -> bool:
            kept = super().take(data, source, now)
            arrived.set()
            return kept

    receiver = SyslogReceiver(Watched(lambda source: True, lambda source: ""), write, loopback.at("10.1"), 0)
    await receiver.start()
    arguments = ("--udp", "--server", loopback.at("10.1"), "--port", str(receiver.port), "--priority", "local0.err")
    process = await asyncio.create_subprocess_exec("logger", form, *arguments, "--tag", "sip", "registration refused")
    assert await process.wait() == 0
    await arrived.wait()
    await receiver.stop()
    assert [(line.severity, line.text) for line in written] == [(3, "sip: registration refused")]

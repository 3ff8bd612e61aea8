"""Which messages are kept for a call, how many, and at what price for all others."""

from itertools import count

import pytest

from opx.gateway.control.live import LiveView
from opx.gateway.faults import recorder
from opx.gateway.faults.recorder import REPEAT_WINDOW, CallMessages, CallRecorder, RecordPolicy
from opx.gateway.faults.records import CallRecord
from opx.gateway.media.interface import RelayStats, Side
from opx.gateway.signalling.traces import (
    MAX_FIRST,
    MAX_LAST,
    MAX_OCTETS,
    MAX_UNCLAIMED,
    MAX_UNCLAIMED_OCTETS,
    LegTrace,
    SideTap,
    Traced,
    call_id_of,
)
from opx.sip.flow import Flow
from opx.sip.parser import parse
from support.site import HOME, Site
from support.talking import talking

FLOW = Flow("UDP", ("198.51.100.1", 5060), ("203.0.113.7", 40001))


def sip(start: str, call_id: str, extra: str = "") -> bytes:
    return f"{start}\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nCall-ID: {call_id}\r\n{extra}\r\n".encode()


def tap() -> SideTap:
    times = count(1)
    return SideTap(Side.SET, lambda: float(next(times)))


def test_a_call_id_is_found_however_it_is_written() -> None:
    for line in (b"Call-ID: a@b", b"call-id:a@b", b"i: a@b", b"CALL-ID \t:  a@b  ", b"Call-ID:  a@b"):
        assert call_id_of(b"OPTIONS sip:x SIP/2.0\r\nVia: y\r\n" + line + b"\r\nTo: z\r\n\r\n") == b"a@b"
    assert call_id_of(b"OPTIONS sip:x SIP/2.0\nI: a@b\nTo: z\n\n") == b"a@b"
    for none in (b"", b"\r\n\r\n", b"OPTIONS sip:x SIP/2.0\r\nX-Call-ID: a\r\nvia: i:x\r\n\r\n"):
        assert call_id_of(none) == b""


def test_what_begins_no_call_is_let_go_at_once() -> None:
    side = tap()
    for start in ("REGISTER sip:x SIP/2.0", "SIP/2.0 200 OK", "OPTIONS sip:x SIP/2.0", "BYE sip:x SIP/2.0"):
        side.read(FLOW, sip(start, "r1"))
        side.sent(FLOW, sip(start, "r1"))
        side.read_message(FLOW, parse(sip(start, "r1")))
    assert len(side) == 0


def test_a_leg_holds_what_was_read_and_sent_from_its_invite_on() -> None:
    side = tap()
    side.read(FLOW, sip("INVITE sip:x SIP/2.0", "c1"))
    side.sent(FLOW, sip("SIP/2.0 100 Trying", "c1"))
    side.read_message(FLOW, parse(sip("ACK sip:x SIP/2.0", "c1")))
    side.read(FLOW, sip("ACK sip:x SIP/2.0", "other"))
    trace = side.claim("c1")
    side.sent(FLOW, sip("SIP/2.0 200 OK", "c1"))
    side.release(trace)
    side.read(FLOW, sip("BYE sip:x SIP/2.0", "c1"))
    assert [(one.sent, one.data.split()[0]) for one in trace.messages] == [
        (False, b"INVITE"),
        (True, b"SIP/2.0"),
        (False, b"ACK"),
        (True, b"SIP/2.0"),
    ]
    assert len(side) == 0


def test_what_was_read_is_kept_by_reference() -> None:
    side = tap()
    data = sip("INVITE sip:x SIP/2.0", "c1")
    side.read(FLOW, data)
    assert side.claim("c1").messages[0].data is data


def test_a_leg_that_is_claimed_before_its_first_message_gets_it() -> None:
    side = tap()
    trace = side.claim("c2")
    side.sent(FLOW, sip("INVITE sip:x SIP/2.0", "c2"))
    assert len(trace.messages) == 1


def test_invites_of_strangers_push_out_each_other_and_no_call() -> None:
    side = tap()
    side.read(FLOW, sip("INVITE sip:x SIP/2.0", "mine"))
    mine = side.claim("mine")
    for number in range(3 * MAX_UNCLAIMED):
        side.read(FLOW, sip("INVITE sip:x SIP/2.0", f"s{number}"))
    assert len(side) == MAX_UNCLAIMED + 1
    side.read(FLOW, sip("ACK sip:x SIP/2.0", "mine"))
    assert len(mine.messages) == 2


def test_a_long_leg_keeps_its_beginning_and_its_end() -> None:
    leg = LegTrace(Side.SET, b"c")
    for number in range(1000):
        leg.add(Traced(float(number), False, FLOW, b"x%d" % number))
    kept = [one.at for one in leg.messages]
    assert len(kept) == MAX_FIRST + MAX_LAST
    assert (kept[0], kept[MAX_FIRST - 1], kept[-1]) == (0.0, MAX_FIRST - 1.0, 999.0)
    assert leg.left_out == 1000 - MAX_FIRST - MAX_LAST


def test_strangers_fill_no_memory_with_large_invites_of_one_call_or_of_many() -> None:
    side = tap()
    for number in range(200):
        side.read(FLOW, sip("INVITE sip:x SIP/2.0", f"s{number % 4}", "X: " + "y" * (100 * number) + "\r\n"))
    legs = [side.claim(f"s{number}") for number in range(4)]
    assert all(0 < leg.octets <= MAX_UNCLAIMED_OCTETS for leg in legs)
    assert all(sum(len(one.data) for one in leg.messages) == leg.octets for leg in legs)
    assert all(leg.left_out for leg in legs)


def test_large_messages_do_not_fill_the_memory() -> None:
    leg = LegTrace(Side.SET, b"c")
    for number in range(100):
        leg.add(Traced(float(number), False, FLOW, b"x" * 60_000))
    assert sum(len(one.data) for one in leg.messages) <= MAX_OCTETS
    assert leg.messages[-1].at == 99.0
    assert leg.left_out == 100 - len(leg.messages)


# --- what the recorder makes of calls


class Recording:
    """A site whose calls are written down."""

    def __init__(self, **policy: float) -> None:
        self.records: list[CallRecord] = []
        self.kept: list[CallMessages] = []
        self.wall = 1_700_000_000.0
        made = CallRecorder(
            RecordPolicy(**policy),  # type: ignore[arg-type]
            on_record=self.records.append,
            on_messages=self.kept.append,
            wall=self.now,
        )
        self.site = Site(call_log=made)
        self.recorder = made
        made.attach(self.site.signalling, LiveView(self.site.signalling, self.clock, self.now))

    def clock(self) -> float:
        return self.site.wire.wheel.now

    def now(self) -> float:
        return self.wall + (self.site.wire.wheel.now if hasattr(self, "site") else 0.0)

    def traced(self) -> int:
        return sum(len(tap) for tap in self.site.signalling.traces.taps.values())


def test_a_call_that_was_hung_up_by_the_icp_says_so() -> None:
    here = Recording()
    phone = here.site.phone(1)
    phone.register()
    _, office = talking(here.site, phone)
    here.site.wire.advance(5.0)
    office.hang_up()
    here.site.wire.advance(0.1)
    (call_id,) = here.recorder._ending
    assert here.records == []
    here.site.signalling.calls.on_media_closed(call_id, RelayStats())
    (record,) = here.records
    assert (record.outcome, record.ended_by, record.direction) == ("answered", "icp", "outgoing")
    assert 4.9 < record.talked < 5.2
    assert record.codec == "PCMU/8000"
    assert record.media is not None and record.media.set_side.local.startswith("198.51.100.1:")


def test_a_call_whose_relay_never_counts_is_recorded_all_the_same() -> None:
    here = Recording()
    phone = here.site.phone(1)
    phone.register()
    talking(here.site, phone)[0].hang_up()
    here.site.wire.advance(10.0)
    (record,) = here.records
    assert (record.ended_by, record.media) == ("phone", None)
    here.site.signalling.calls.on_media_closed(record.call_id, RelayStats())
    assert len(here.records) == 1


def test_what_the_icp_refuses_is_recorded_with_what_the_phone_was_told() -> None:
    here = Recording()
    phone = here.site.phone(1)
    phone.register()
    here.site.icp.says["INVITE"] = (486, ())
    phone.call("1002")
    here.site.wire.advance(10.0)
    (record,) = here.records
    assert (record.outcome, record.ended_by, record.status) == ("refused", "icp", 486)
    assert record.status_text == "486 Busy Here"
    assert record.failed
    assert [messages.failed for messages in here.kept] == [True]


def test_a_call_that_nobody_could_take_up_for_want_of_ports_is_recorded() -> None:
    here = Recording()
    phone = here.site.phone(1)
    phone.register()
    here.site.desk.full = True
    phone.call("1002")
    here.site.wire.advance(0.1)
    (record,) = here.records
    assert (record.outcome, record.status, record.reason) == ("failed", 503, "no media ports are free")


def test_a_call_for_a_phone_that_is_not_there_is_recorded_as_incoming() -> None:
    here = Recording()
    phone = here.site.phone(1)
    phone.register()
    contact = here.site.icp.contacts["1001"]
    phone.registration.stop()
    here.site.wire.advance(0.1)
    here.site.icp.contacts["1001"] = contact
    here.site.icp.call("1001")
    here.site.wire.advance(0.1)
    (record,) = here.records
    assert (record.direction, record.caller, record.callee) == ("incoming", "1002", "1001")
    assert (record.outcome, record.status, record.node) == ("refused", 480, "UDP 10.9.8.20:5060")


def test_a_phone_that_dials_on_and_on_is_recorded_once_in_a_while() -> None:
    here = Recording()
    phone = here.site.phone(1)
    phone.register()
    here.site.icp.die()
    here.site.wire.advance(60.0)
    for _ in range(5):
        phone.call("1002")
        here.site.wire.advance(1.0)
    assert [record.status for record in here.records] == [503]
    here.site.wire.advance(REPEAT_WINDOW)
    phone.call("1002")
    here.site.wire.advance(10.0)
    assert len(here.records) == 2
    assert here.traced() == 0


def test_with_a_rate_of_none_only_failed_calls_are_kept() -> None:
    here = Recording(ladders_per_second=0.0, recent=0)
    phone = here.site.phone(1)
    phone.register()
    talking(here.site, phone)[0].hang_up()
    here.site.icp.says["INVITE"] = (486, ())
    phone.call("1003")
    here.site.wire.advance(10.0)
    assert [messages.failed for messages in here.kept] == [True]
    assert here.recorder.recent == {}


def test_recent_calls_hold_so_much_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Recording()
    phone = here.site.phone(1)
    phone.register()
    talking(here.site, phone)[0].hang_up()
    here.site.wire.advance(1.0)
    (first,) = here.recorder.recent.values()
    monkeypatch.setattr(recorder, "MAX_RECENT_OCTETS", 3 * first.octets)
    for _ in range(8):
        talking(here.site, phone)[0].hang_up()
        here.site.wire.advance(1.0)
    assert 1 < len(here.recorder.recent) <= 4
    assert first.call_id not in here.recorder.recent


def test_both_legs_of_a_call_are_kept_and_let_go_when_it_is_over() -> None:
    here = Recording()
    phone = here.site.phone(1)
    phone.register()
    assert here.traced() == 0
    talking(here.site, phone)[0].hang_up()
    here.site.wire.advance(10.0)
    assert here.traced() == 0
    (messages,) = here.kept
    assert sorted(leg.side for leg in messages.legs) == [Side.ICP, Side.SET]
    for leg in messages.legs:
        methods = [one.data.split()[0] for one in leg.messages]
        assert methods.count(b"INVITE") >= 1 and methods.count(b"BYE") == 1
        # The answer to the BYE comes after the call's end.
        assert leg.messages[-1].data.startswith(b"SIP/2.0 200")
        hosts = {one.flow.remote[0] for one in leg.messages}
        assert hosts == ({HOME} if leg.side is Side.SET else {"10.9.8.20"})


def test_under_load_only_some_calls_that_went_well_are_kept() -> None:
    here = Recording(ladders_per_second=2.0, recent=3)
    phone = here.site.phone(1)
    phone.register()
    for _ in range(20):
        talking(here.site, phone)[0].hang_up()
        here.site.wire.advance(0.1)
    here.site.wire.advance(20.0)
    assert len(here.records) == 20
    assert 2 <= len(here.kept) <= 8
    assert here.recorder.ladders_passed_over == 20 - len(here.kept)
    assert len(here.recorder.recent) == 3

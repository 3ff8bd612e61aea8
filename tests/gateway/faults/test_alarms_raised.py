"""Alarms: raised once, cleared when it lasts, and what there is alarm for."""

from opx.alarms import MAX_STANDING, Alarm, AlarmBoard
from opx.gateway.control.lag import LagMeter
from opx.gateway.faults.records import CallRecord
from opx.gateway.faults.watch import PORTS_QUIET, Watch, WatchPolicy
from opx.gateway.signalling.signalling import SignallingPolicy
from opx.gateway.signalling.timeline import Entry, Kind
from support.site import Site

ICP = ("icp-unreachable", "Node 1")


class Board(AlarmBoard):
    """With a clock that a test turns, and what it told."""

    def __init__(self, settle: float = 60.0) -> None:
        self.time = 1000.0
        self.told: list[tuple[str, Alarm]] = []
        super().__init__(
            lambda alarm: self.told.append(("raised", alarm)),
            lambda alarm: self.told.append(("cleared", alarm)),
            settle=settle,
            clock=lambda: self.time,
        )

    def after(self, seconds: float) -> None:
        self.time += seconds
        self.tick()

    def says(self) -> list[tuple[str, str, str]]:
        told, self.told = self.told, []
        return [(what, alarm.kind, alarm.subject) for what, alarm in told]


def test_an_alarm_is_told_once_and_cleared_when_its_cause_stayed_away() -> None:
    board = Board()
    for _ in range(5):
        board.raise_(*ICP, "no answer")
        board.after(5.0)
    assert board.says() == [("raised", *ICP)]
    board.clear(*ICP)
    board.after(59.0)
    assert board.says() == []
    assert len(board.standing) == 1
    board.after(1.0)
    ((what, alarm),) = board.told
    assert what == "cleared"
    assert (alarm.raised_at, alarm.cleared_at, alarm.cause) == (1000.0, 1025.0, "no answer")
    assert board.standing == []


def test_what_comes_and_goes_is_one_alarm() -> None:
    board = Board()
    for _ in range(20):
        board.raise_(*ICP, "no answer")
        board.after(10.0)
        board.clear(*ICP)
        board.after(10.0)
    assert board.says() == [("raised", *ICP)]


def test_alarms_of_one_kind_about_different_things_are_different_alarms() -> None:
    board = Board(settle=0.0)
    board.raise_("icp-unreachable", "Node 1", "")
    board.raise_("icp-unreachable", "Node 2", "")
    board.clear_others("icp-unreachable", ["Node 2"])
    board.after(1.0)
    assert [alarm.subject for alarm in board.standing] == ["Node 2"]


def test_what_stood_before_a_restart_is_not_told_again_but_its_end_is() -> None:
    board = Board(settle=0.0)
    board.restore([Alarm("a", *ICP, "no answer", 5.0)])
    board.raise_(*ICP, "no answer")
    assert board.says() == []
    board.clear(*ICP)
    board.after(1.0)
    assert board.told[0][1].alarm_id == "a"


def test_alarms_are_bounded() -> None:
    board = Board()
    for number in range(MAX_STANDING + 50):
        board.raise_("registration-refused", f"tw{number}", "")
    assert len(board.standing) == MAX_STANDING
    assert board.left_out == 50


# --- what there is alarm for


class Writer:
    failure = ""


class Watched:
    """A site that is looked at."""

    def __init__(self, **policy: object) -> None:
        self.site = Site(SignallingPolicy(**policy))  # type: ignore[arg-type]
        self.board = Board(settle=0.0)
        self.watch = Watch(self.board, WatchPolicy(refusals=3, refusal_window=600.0), clock=lambda: self.board.time)
        self.writer = Writer()
        self.lag = LagMeter()

    def look(self, seconds: float = 5.0) -> list[tuple[str, str, str]]:
        self.site.wire.advance(seconds)
        self.board.time += seconds
        self.watch.look(self.site.signalling, self.writer, self.lag)  # type: ignore[arg-type]
        return self.board.says()

    def refuse(self, text: str = "REGISTER from 203.0.113.7:5060 refused: wrong password") -> None:
        self.watch.entry(Entry(1, self.board.time, Kind.REFUSAL, text))


def test_an_icp_that_does_not_answer_is_cause_for_alarm_until_it_does() -> None:
    here = Watched()
    assert here.look() == []
    here.site.icp.die()
    assert here.look(60.0) == [("raised", *ICP)]
    assert "10.9.8.20:5060 does not answer" in here.board.standing[0].cause
    assert here.look() == []
    here.site.icp.revive()
    assert here.look(60.0) == [("cleared", *ICP)]


def test_an_alarm_about_an_icp_that_was_removed_goes() -> None:
    here = Watched()
    here.site.icp.die()
    here.look(60.0)
    here.site.icp_records, here.site.devices = [], []
    here.site.load()
    assert here.look() == [("cleared", *ICP)]


def test_the_last_licence_is_cause_for_alarm() -> None:
    here = Watched(licences=1)
    phone = here.site.phone(1)
    phone.register()
    assert here.look() == [("raised", "licences-exhausted", "")]
    phone.registration.stop()
    assert here.look() == [("cleared", "licences-exhausted", "")]


def test_a_device_that_is_refused_again_and_again_is_named() -> None:
    here = Watched()
    for _ in range(2):
        here.refuse()
        assert here.look(60.0) == []
    here.refuse()
    assert here.look(60.0) == [("raised", "registration-refused", "tw1")]
    assert here.board.standing[0].cause.endswith("wrong password")
    here.watch.entry(Entry(1, here.board.time, Kind.REGISTRATION, "registered from 203.0.113.7:5060 over UDP"))
    assert here.look() == [("cleared", "registration-refused", "tw1")]


def test_refusals_that_are_far_apart_or_of_calls_are_no_cause() -> None:
    here = Watched()
    for _ in range(10):
        here.refuse()
        here.refuse("call to 1002: too many calls")
        here.refuse("MESSAGE to 1002: the ICP does not answer")
        assert here.look(400.0) == []


def test_a_device_that_gave_up_is_forgotten() -> None:
    here = Watched()
    for _ in range(3):
        here.refuse()
        here.look(60.0)
    assert [alarm.subject for alarm in here.board.standing] == ["tw1"]
    assert here.look(700.0) == [("cleared", "registration-refused", "tw1")]


def test_a_call_without_media_ports_is_cause_for_alarm_for_a_while() -> None:
    here = Watched()
    values = dict.fromkeys(CallRecord.__slots__, "") | {"reason": "no media ports are free", "device": "tw1"}
    here.watch.record(CallRecord(**values))  # type: ignore[arg-type]
    assert here.look() == [("raised", "media-ports-exhausted", "")]
    assert here.look(PORTS_QUIET) == [("cleared", "media-ports-exhausted", "")]


def test_a_database_that_cannot_be_written_and_a_slow_loop_are_cause_for_alarm() -> None:
    here = Watched()
    here.writer.failure = "OperationalError"
    for _ in range(10):
        here.lag.note(0.7)
    assert sorted(here.look()) == [("raised", "database-unwritable", ""), ("raised", "overloaded", "")]
    here.writer.failure = ""
    here.lag.note(0.0)
    assert sorted(here.look()) == [("cleared", "database-unwritable", ""), ("cleared", "overloaded", "")]

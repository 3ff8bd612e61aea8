"""Hot desking, on the wire in memory."""

from collections.abc import Callable

import pytest

from opx.pbx.options import NodeOptions
from opx.pbx.pins import hash_pin, verify_pin
from opx.pbx.repository import ExtensionRecord
from opx.rtp.tones import CONFIRMATION, ERROR
from opx.sip import events
from support.office import Desk, Office, Prompt

THREE = ("1001", "1002", "1003")


def logged_in(office: Office, desk: Desk | None = None) -> Prompt:
    prompt = office.dial(desk or office.one, "*111500*2468")
    assert prompt is not None
    return prompt


def at(office: Office) -> str:
    return office.node.states.of("1500").phone


def test_after_the_log_in_calls_ring_that_phone_and_its_calls_are_the_extensions() -> None:
    office = Office()
    prompt = logged_in(office)
    assert prompt.tones == [CONFIRMATION, CONFIRMATION] and prompt.closed
    office.two.call("1500")
    office.wire.deliver()
    assert office.one.invites[-1].to.uri.user == "1500"
    office.two.last.hang_up()
    office.wire.deliver()
    office.one.call("1002")
    office.wire.deliver()
    from_ = office.two.invites[-1].from_
    assert (from_.display, from_.uri.user) == ("Guest", "1500")


def test_a_phone_that_is_lent_does_not_ring_for_its_own_extension() -> None:
    office = Office()
    logged_in(office)
    office.two.call("1001")
    office.wire.deliver()
    assert office.two.events == [events.Refused(480)]
    office.dial(office.one, "*12")
    office.two.call("1001")
    office.wire.deliver()
    assert office.two.events[-1] == events.Progress(180, b"")


def test_codes_dialled_there_are_the_extensions() -> None:
    office = Office()
    logged_in(office)
    office.dial(office.one, "*78")
    assert office.node.states.of("1500").dnd and not office.node.states.of("1001").dnd


def test_a_log_in_elsewhere_logs_out_the_old_phone() -> None:
    office = Office(THREE)
    logged_in(office)
    logged_in(office, office.two)
    assert at(office) == "1002"
    office.three.call("1500")
    office.wire.deliver()
    assert office.two.invites and not office.one.invites
    office.three.call("1001")
    office.wire.deliver()
    assert office.one.invites[-1].to.uri.user == "1001"


def test_a_second_guest_at_a_phone_takes_the_place_of_the_first() -> None:
    office = Office()
    office.node.extensions["1501"] = ExtensionRecord("1501", "Other", "SIP hot desk", "pw")
    office.set("1501", pin="1357")
    logged_in(office)
    office.dial(office.one, "*111501*1357")
    assert at(office) == "" and office.node.states.of("1501").phone == "1001"


def press(office: Office, keys: str) -> None:
    for key in keys:
        office.prompts[-1].on_digit(key)
        office.wire.advance(0.1)


@pytest.mark.parametrize(("code", "keys"), [("*11", "1500#2468#"), ("*111500", "2468#")])
def test_number_and_pin_may_be_pressed_in_the_call(code: str, keys: str) -> None:
    office = Office()
    office.one.call(code)
    office.wire.deliver()
    press(office, keys)
    assert at(office) == "1001"
    assert office.prompts[-1].tones[-1] == CONFIRMATION
    office.wire.advance(2)
    assert office.one.events[-1] == events.Ended(events.Cause.BYE)


def test_a_log_in_call_in_which_nothing_is_pressed_ends() -> None:
    office = Office()
    office.one.call("*11")
    office.wire.advance(16)
    assert office.one.events[-1] == events.Ended(events.Cause.BYE)
    assert office.prompts[-1].closed


def test_who_presses_without_end_is_turned_away() -> None:
    office = Office()
    office.one.call("*11")
    office.wire.deliver()
    press(office, "1" * 17)
    assert office.prompts[-1].tones[-1] == ERROR


@pytest.mark.parametrize(
    "code",
    ["*111500*1111", "*111500*", "*119999*2468", "*111002*2468", "*11*2468"],
    ids=["wrong PIN", "no PIN", "no extension", "no hot desk extension", "no number"],
)
def test_a_log_in_that_is_wrong_is_heard_and_does_nothing(code: str) -> None:
    office = Office()
    prompt = office.dial(office.one, code)
    assert prompt is not None and prompt.tones[-1] == ERROR
    assert at(office) == ""


def test_wrong_pins_lock_the_extension_and_time_opens_it() -> None:
    office = Office(options=NodeOptions(hot_desk_tries=3, hot_desk_lockout=60))
    for _ in range(3):
        office.dial(office.one, "*111500*1111")
    assert logged_in(office, office.two).tones[-1] == ERROR
    assert "hot desk 1500: locked for 60 s" in office.said
    office.wire.advance(60)
    assert logged_in(office).tones[-1] == CONFIRMATION
    assert at(office) == "1001"


def test_a_right_pin_forgives_the_wrong_ones_before() -> None:
    office = Office(options=NodeOptions(hot_desk_tries=3))
    for _ in range(3):
        for _ in range(2):
            office.dial(office.one, "*111500*1111")
        assert logged_in(office).tones[-1] == CONFIRMATION
        office.dial(office.one, "*12")


def test_tries_side_by_side_are_bounded_too() -> None:
    office = Office(options=NodeOptions(hot_desk_tries=3))
    waiting = []
    office.node.hot_desk._check = lambda kept, pin, done: waiting.append(done)
    results: list[bool] = []
    for _ in range(10):
        office.node.hot_desk.log_in("1500", "1001", "1111", results.append)
    assert len(waiting) == 3 and results == [False] * 7


def test_a_phone_that_is_removed_while_its_pin_is_checked_gets_nobody_and_locks_nothing() -> None:
    office = Office(options=NodeOptions(hot_desk_tries=1))
    waiting: list[Callable[[bool], None]] = []
    office.node.hot_desk._check = lambda kept, pin, done: waiting.append(done)
    results: list[bool] = []
    office.node.hot_desk.log_in("1500", "1001", "2468", results.append)
    office.node.remove("1001")
    waiting.pop()(True)
    office.node.hot_desk.log_in("1500", "1002", "2468", results.append)
    waiting.pop()(True)
    assert results == [False, True]
    assert at(office) == "1002"


def test_nothing_that_is_said_holds_the_pin() -> None:
    office = Office()
    logged_in(office)
    office.dial(office.one, "*12")
    office.dial(office.one, "*111500*1111")
    assert not [text for text in office.said if "2468" in text or "1111" in text]
    kept = office.node.states.of("1500")
    assert kept.pin and kept.pin not in repr(kept)


def test_a_hot_desk_extension_that_is_nowhere_is_not_reachable() -> None:
    office = Office()
    office.two.call("1500")
    office.wire.deliver()
    assert office.two.events == [events.Refused(480)]


def test_a_hot_desk_extension_with_a_phone_of_its_own_does_not_log_in_elsewhere() -> None:
    office = Office()
    guest = office.desk("1500")
    prompt = office.dial(guest, "*111500*2468")
    assert prompt is not None and prompt.tones == [ERROR]


def test_a_removed_phone_logs_out_who_was_there() -> None:
    office = Office()
    logged_in(office)
    office.node.remove("1001")
    assert at(office) == ""


def test_pins_are_kept_so_that_they_can_be_checked_and_not_read() -> None:
    # Long, for a hash is random text and may hold four digits by chance.
    pin = "246813579024"
    kept = hash_pin(pin)
    assert pin not in kept and kept != hash_pin(pin)
    assert verify_pin(kept, pin)
    assert not verify_pin(kept, "246813579025")
    assert not verify_pin("", pin)


@pytest.mark.parametrize("pin", ["123", "12a4", "", "1" * 17, "१२३४"])
def test_what_is_no_pin_is_refused(pin: str) -> None:
    with pytest.raises(ValueError, match="4 to 16 digits"):
        hash_pin(pin)

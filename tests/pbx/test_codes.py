"""Feature codes: what phones dial, and the dial plan."""

import pytest

from opx.pbx.features.codes import Dialled, DialPlan, Feature
from opx.pbx.features.states import FeatureState
from opx.pbx.options import DEFAULT_CODES
from opx.rtp.tones import CONFIRMATION, ERROR
from opx.sip import events
from opx.sip.digest import DigestClient
from support.office import Office


@pytest.mark.parametrize(
    ("codes", "state"),
    [
        (["*721002"], FeatureState(forward_all="1002")),
        (["*721002#"], FeatureState(forward_all="1002")),
        (["*721002", "*73"], FeatureState()),
        (["*901002"], FeatureState(forward_busy="1002")),
        (["*901002", "*91"], FeatureState()),
        (["*921002"], FeatureState(forward_no_answer="1002")),
        (["*921002", "*93"], FeatureState()),
        (["*78"], FeatureState(dnd=True)),
        (["*78", "*79"], FeatureState()),
        (["*941001", "*941001"], FeatureState(new_messages=2)),
        (["*941001", "*95"], FeatureState()),
    ],
)
def test_a_code_changes_the_extension_and_is_confirmed(codes: list[str], state: FeatureState) -> None:
    office = Office()
    for code in codes:
        prompt = office.dial(office.one, code)
        assert prompt is not None and prompt.tones == [CONFIRMATION] and prompt.closed
    assert office.node.states.of("1001") == state
    assert office.one.events[-1] == events.Ended(events.Cause.BYE)


@pytest.mark.parametrize("code", ["*721001", "*729999", "*72", "*90", "*921001", "*949999", "*94", "*12"])
def test_a_code_that_cannot_be_obeyed_changes_nothing_and_is_heard(code: str) -> None:
    office = Office()
    prompt = office.dial(office.one, code)
    assert prompt is not None and prompt.tones == [ERROR]
    assert office.node.states.of("1001") == FeatureState()


@pytest.mark.parametrize("code", ["*78", "*721002", "**1001", "*111500*2468"])
def test_a_phone_that_is_not_registered_dials_no_codes(code: str) -> None:
    office = Office()
    before = office.node.states.items()
    stranger = office.desk("1003", registered=False)
    assert office.dial(stranger, code) is None
    assert stranger.events == [events.Refused(403)]
    assert office.node.states.items() == before


def test_without_the_password_a_code_is_nothing_but_challenged() -> None:
    office = Office()
    stranger = office.desk("1003", registered=False)
    stranger.credentials = DigestClient("1003", "wrong")
    assert office.dial(stranger, "*78") is None
    assert stranger.events == [events.Refused(407)]
    assert not office.node.states.of("1003").dnd


def test_what_is_no_code_does_not_exist() -> None:
    office = Office()
    assert office.dial(office.one, "*7899") is None
    assert office.one.events == [events.Refused(404)]


def test_the_longest_code_counts_and_an_empty_one_is_off() -> None:
    codes = {**DEFAULT_CODES, Feature.FORWARD_ALL: "*2", Feature.LEAVE_MESSAGE: "*21", Feature.DND: ""}
    plan = DialPlan(codes)
    assert plan.match("*2345") == Dialled(Feature.FORWARD_ALL, "345")
    assert plan.match("*2145") == Dialled(Feature.LEAVE_MESSAGE, "45")
    assert plan.match("*78") is None
    assert plan.match("") is None


def test_messages_stop_at_what_a_phone_can_show() -> None:
    office = Office()
    office.set("1002", new_messages=99)
    office.dial(office.one, "*941002")
    assert office.node.states.of("1002").new_messages == 99


def test_a_hash_that_a_phone_escapes_is_understood() -> None:
    office = Office()
    office.dial(office.one, "*721002%23")
    assert office.node.states.of("1001").forward_all == "1002"

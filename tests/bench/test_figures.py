"""Spread and goals of the benches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figures import Figure, Goal, Metric, Outcome, Results, figure_of

RATE = Metric("rate", "per s")
DELAY = Metric("delay", "ms", higher_is_better=False)


def results(*rounds: dict[str, dict[str, float]]) -> Results:
    made = Results([RATE, DELAY], "OPX")
    for one in rounds:
        made.add(one)
    return made


def rates(*pairs: tuple[float, float]) -> Results:
    return results(*({"OPX": {"rate": ours}, "peer": {"rate": theirs}} for ours, theirs in pairs))


def test_a_figure_is_the_median_with_the_distance_of_the_farthest_round() -> None:
    assert figure_of([10, 13, 11]) == Figure(11, 2, 3)


def test_one_round_has_no_spread() -> None:
    assert figure_of([7]) == Figure(7, 0, 1)


def test_no_round_is_no_figure() -> None:
    with pytest.raises(ValueError, match="no round"):
        figure_of([])
    assert results().figure("OPX", "rate") is None


@given(st.lists(st.floats(min_value=-1e9, max_value=1e9), min_size=1))
def test_every_round_lies_within_the_spread(values: list[float]) -> None:
    figure = figure_of(values)
    assert all(abs(value - figure.value) <= figure.spread for value in values)


@pytest.mark.parametrize(
    ("bound", "outcome"),
    [(100, Outcome.MET), (101, Outcome.WITHIN_SPREAD), (104, Outcome.WITHIN_SPREAD), (104.5, Outcome.MISSED)],
)
def test_a_goal_is_missed_only_beyond_the_spread(bound: float, outcome: Outcome) -> None:
    measured = rates((100, 1), (96, 1), (102, 1))
    assert measured.judge(Goal("rate", bound)).outcome is outcome


@pytest.mark.parametrize(("bound", "outcome"), [(5, Outcome.MET), (4.5, Outcome.WITHIN_SPREAD), (3.9, Outcome.MISSED)])
def test_where_lower_is_better_a_goal_is_an_upper_bound(bound: float, outcome: Outcome) -> None:
    measured = results({"OPX": {"delay": 5}}, {"OPX": {"delay": 6}}, {"OPX": {"delay": 4}})
    assert measured.judge(Goal("delay", bound)).outcome is outcome


def test_a_ratio_is_taken_round_by_round_so_that_a_slow_round_cancels_out() -> None:
    measured = rates((100, 50), (10, 5), (200, 100))
    assert measured.ratio("rate", "peer") == Figure(2, 0, 3)
    assert measured.judge(Goal("rate", 2, versus="peer")).outcome is Outcome.MET
    assert measured.judge(Goal("rate", 2.01, versus="peer")).outcome is Outcome.MISSED


def test_a_void_round_counts_for_nobody() -> None:
    measured = results(
        {"OPX": {"rate": 10}, "peer": {"rate": 5}},
        {"peer": {"rate": 1}},
        {"OPX": {"rate": 30}},
    )
    assert measured.figure("OPX", "rate") == Figure(20, 10, 2)
    assert measured.ratio("rate", "peer") == Figure(2, 0, 1)


def test_a_goal_beside_an_absent_peer_is_not_judged() -> None:
    judgement = results({"OPX": {"rate": 10}}).judge(Goal("rate", 1, versus="peer"))
    assert judgement.outcome is Outcome.NOT_JUDGED
    assert judgement.figure is None


def test_a_goal_may_be_one_of_a_further_contender_that_is_ours() -> None:
    one = {"OPX": {"rate": 1.0}, "OPX too": {"rate": 30.0}, "peer": {"rate": 20.0}}
    measured = results(one)
    assert measured.judge(Goal("rate", 1.5, "peer", of="OPX too")).outcome is Outcome.MET
    assert measured.judge(Goal("rate", 30, of="OPX too")).outcome is Outcome.MET
    assert measured.judge(Goal("rate", 1.5, "peer")).outcome is Outcome.MISSED

"""What a bench says: metrics, their spread over the rounds, and goals judged by that spread. No clock, no process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median

Round = Mapping[str, Mapping[str, float]]
"""Figures of one round: contender -> metric -> value. A contender whose measurement was void is not in it."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A quantity that every contender is measured in."""

    name: str
    unit: str
    higher_is_better: bool = True
    decimals: int = 0


@dataclass(frozen=True, slots=True)
class Goal:
    """Our `metric` reaches `bound`; with `versus`, that many times the figure of this peer in the same round.

    To reach is to be no lower, or no higher where lower is better. `of` is a further contender that is ours.
    """

    metric: str
    bound: float
    versus: str = ""
    of: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A median over rounds; `spread` is how far the farthest round lies from it."""

    value: float
    spread: float
    rounds: int


class Outcome(Enum):
    MET = "met"
    WITHIN_SPREAD = "within the spread"
    MISSED = "missed"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class Judgement:
    goal: Goal
    outcome: Outcome
    figure: Figure | None
    """What was compared with the bound: our figure, or its ratio to the peer's."""


def figure_of(values: Sequence[float]) -> Figure:
    """ValueError without values."""
    if not values:
        raise ValueError("no round has a value")
    middle = median(values)
    return Figure(middle, max(abs(value - middle) for value in values), len(values))


class Results:
    """Figures of all rounds. The contender `ours` is the one that goals speak of."""

    def __init__(self, metrics: Sequence[Metric], ours: str) -> None:
        self.metrics = {metric.name: metric for metric in metrics}
        self.ours = ours
        self._rounds: list[Round] = []

    def add(self, one: Round) -> None:
        self._rounds.append(one)

    def figure(self, contender: str, metric: str) -> Figure | None:
        """None when no round has a valid measurement."""
        values = [one[contender][metric] for one in self._rounds if metric in one.get(contender, {})]
        return figure_of(values) if values else None

    def ratio(self, metric: str, peer: str, of: str = "") -> Figure | None:
        """Ours by the peer's, taken round by round, so that what slows a whole round down cancels out."""
        ours = of or self.ours
        values = [
            one[ours][metric] / one[peer][metric]
            for one in self._rounds
            if metric in one.get(ours, {}) and one.get(peer, {}).get(metric)
        ]
        return figure_of(values) if values else None

    def judge(self, goal: Goal) -> Judgement:
        """A goal that is missed by no more than the spread is not called missed."""
        if goal.versus:
            figure = self.ratio(goal.metric, goal.versus, goal.of)
        else:
            figure = self.figure(goal.of or self.ours, goal.metric)
        if figure is None:
            return Judgement(goal, Outcome.NOT_JUDGED, None)
        short = goal.bound - figure.value if self.metrics[goal.metric].higher_is_better else figure.value - goal.bound
        if short <= 0:
            outcome = Outcome.MET
        elif short <= figure.spread:
            outcome = Outcome.WITHIN_SPREAD
        else:
            outcome = Outcome.MISSED
        return Judgement(goal, outcome, figure)

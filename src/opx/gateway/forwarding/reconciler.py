"""What is wanted and what is in force, and the difference in words. No driver is called here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from opx.gateway.forwarding.checking import Site, refusal, warnings
from opx.gateway.forwarding.interface import Traffic, WantedRoute
from opx.gateway.forwarding.rules import Forward, Route


class State(StrEnum):
    IN_FORCE = "in force"
    HINDERED = "in force, but hindered"
    NOT_IN_FORCE = "not in force"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class ForwardStatus:
    """A rule as it is wanted, with what has become of it. `why` is empty where all is well."""

    forward: Forward
    state: State
    why: str
    warnings: tuple[str, ...]
    traffic: Traffic


@dataclass(frozen=True, slots=True)
class ForwardingStatus:
    """`driver` is the one in use and `remark` why it is this one; `problem` is what keeps it from working at all."""

    driver: str
    remark: str
    problem: str
    rules: tuple[ForwardStatus, ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a driver is asked for, and why some of the rules are not even asked for."""

    routes: tuple[WantedRoute, ...]
    refused: Mapping[int, str]


def wish(forwards: Iterable[Forward], site: Site) -> Wish:
    """Rules are checked once more: the settings may have changed since they were made."""
    routes, refused = [], {}
    for forward in forwards:
        if not forward.spec.enabled:
            continue
        problem = refusal(forward.spec, site)
        if problem is not None:
            refused[forward.id] = str(problem)
        else:
            routes.append(WantedRoute(forward.id, forward.spec.route))
    return Wish(tuple(routes), refused)


def differences(wanted: Wish, problems: Mapping[int, str], in_force: Mapping[int, Route]) -> list[str]:
    """What is not as it should be, beyond the `problems` that are known already."""
    routes = {one.key: one.route for one in wanted.routes if one.key not in problems}
    found = [f"rule {key} is not in force any more" for key in routes if key not in in_force]
    found += [
        f"rule {key} is in force in another form" for key in routes if in_force.get(key, routes[key]) != routes[key]
    ]
    found += [f"rule {key} is in force and not wanted" for key in in_force if key not in routes]
    return found


def status_of(
    forward: Forward,
    site: Site,
    problems: Mapping[int, str],
    in_force: Mapping[int, Route],
    hindrances: Mapping[int, str],
    traffic: Mapping[int, Traffic],
) -> ForwardStatus:
    """One rule, wanted beside in force."""
    why = ""
    if not forward.spec.enabled:
        state = State.OFF
    elif in_force.get(forward.id) != forward.spec.route:
        state = State.NOT_IN_FORCE
        why = problems.get(forward.id, "it is not taken over yet")
    elif forward.id in hindrances:
        state, why = State.HINDERED, hindrances[forward.id]
    else:
        state = State.IN_FORCE
    counted = traffic.get(forward.id, Traffic())
    return ForwardStatus(forward, state, why, tuple(warnings(forward.spec, site)), counted)

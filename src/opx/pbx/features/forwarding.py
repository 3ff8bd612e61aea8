"""Where a call goes: forwarding at once, on busy and on no answer, with do not disturb, and never in circles."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from opx.pbx.features.states import FeatureStates
from opx.sip.address import NameAddr
from opx.sip.uri import Uri

Headers = list[tuple[str, str]]


class Reason(Enum):
    """Why an extension did not take a call: its name in Diversion (RFC 5806) and the cause in History-Info."""

    UNCONDITIONAL = ("unconditional", 302)
    DND = ("do-not-disturb", 486)
    BUSY = ("user-busy", 486)
    NO_ANSWER = ("no-answer", 408)
    UNREACHABLE = ("unavailable", 480)
    DEFLECTION = ("deflection", 480)
    """The phone itself sent the call elsewhere, with a 302."""

    @property
    def diversion(self) -> str:
        return self.value[0]

    @property
    def cause(self) -> int:
        return self.value[1]

    @property
    def status(self) -> int:
        """What the caller hears when nobody else takes the call."""
        return {Reason.UNCONDITIONAL: 482, Reason.NO_ANSWER: 480}.get(self, self.cause)


BUSY_STATUSES = frozenset((486, 600))
UNANSWERED_STATUSES = frozenset((408, 480, 503))
"""A phone's refusals that mean that nobody is there."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One extension that a call was forwarded by."""

    number: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Route:
    """The extension to ring, "" with the `status` for the caller when there is none, and how the call got there."""

    number: str
    hops: tuple[Hop, ...] = ()
    status: int = 0


class Forwarding:
    """`known`, `reachable` and `busy` tell of an extension; `limit` bounds the hops of one call."""

    def __init__(
        self,
        states: FeatureStates,
        *,
        known: Callable[[str], bool],
        reachable: Callable[[str], bool],
        busy: Callable[[str], bool],
        limit: int,
    ) -> None:
        self._states = states
        self._known = known
        self._reachable = reachable
        self._busy = busy
        self._limit = limit

    def begin(self, number: str, caller: str) -> Route:
        """Where a new call to `number` goes."""
        return self._follow(number, caller, ())

    def go_on(self, route: Route, caller: str, reason: Reason, wanted: str = "") -> Route:
        """Where a call goes that the extension of `route` did not take; `status` when it ends there.

        `wanted` is where its phone sends the call, else the extension's own forwarding counts.
        """
        target = wanted or self._target(route.number, reason)
        if not target:
            return Route("", route.hops, reason.status)
        return self._follow(target, caller, (*route.hops, Hop(route.number, reason)))

    def answers_within(self, number: str) -> bool:
        """Whether somebody else takes the calls that an extension does not answer."""
        return bool(self._states.of(number).forward_no_answer)

    def _follow(self, number: str, caller: str, hops: tuple[Hop, ...]) -> Route:
        while True:
            if hops and number in (caller, *(hop.number for hop in hops)):
                return Route("", hops, hops[-1].reason.status)
            if len(hops) > self._limit:
                return Route("", hops, 483)
            if not self._known(number):
                return Route("", hops, 404)
            reason = self._obstacle(number)
            if reason is None:
                return Route(number, hops)
            target = self._target(number, reason)
            if not target:
                return Route("", hops, reason.status)
            hops = (*hops, Hop(number, reason))
            number = target

    def _obstacle(self, number: str) -> Reason | None:
        state = self._states.of(number)
        if state.forward_all:
            return Reason.UNCONDITIONAL
        if state.dnd:
            return Reason.DND
        if not self._reachable(number):
            return Reason.UNREACHABLE
        return Reason.BUSY if self._busy(number) else None

    def _target(self, number: str, reason: Reason) -> str:
        state = self._states.of(number)
        match reason:
            case Reason.UNCONDITIONAL:
                return state.forward_all
            case Reason.DND | Reason.BUSY:
                return state.forward_busy
            case _:
                return state.forward_no_answer


def reason_of(status: int) -> Reason | None:
    """What a phone's refusal means for forwarding, None when the caller is to hear of it as it is."""
    if status in BUSY_STATUSES:
        return Reason.BUSY
    return Reason.UNREACHABLE if status in UNANSWERED_STATUSES else None


def forwarding_headers(route: Route, domain: Uri, name_of: Callable[[str], str]) -> Headers:
    """What tells the phone that rings by whom the call was forwarded: Diversion (RFC 5806), the last one first, and
    History-Info (RFC 7044). `domain` is the node's own address."""
    if not route.hops:
        return []

    def address(number: str, headers: str = "") -> Uri:
        return Uri("sip", number, None, domain.host, domain.port, headers=headers)

    found: Headers = []
    for hop in reversed(route.hops):
        named = NameAddr(name_of(hop.number), address(hop.number))
        found.append(("diversion", f"{named};reason={hop.reason.diversion};counter=1;privacy=off;screen=yes"))
    found.append(("history-info", ", ".join(_history(route.hops, route.number, address))))
    return found


def _history(hops: Sequence[Hop], last: str, address: Callable[..., Uri]) -> list[str]:
    entries = []
    index = "1"
    for hop in hops:
        uri = address(hop.number, f"Reason=SIP%3Bcause%3D{hop.reason.cause}")
        entries.append(f"<{uri}>;index={index}")
        index += ".1"
    # "mp": mapped to another user (RFC 7044 section 10.5), from the entry before.
    return [*entries, f"<{address(last)}>;index={index};mp={index.removesuffix('.1')}"]

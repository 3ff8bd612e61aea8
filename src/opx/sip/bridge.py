"""Two sessions as one call: a back-to-back user agent's core (RFC 7092 section 3.1).

The legs share the events of `events.py` and nothing else; every description passes through `translate`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from opx.sip import events
from opx.sip.session import Session

Headers = Sequence[tuple[str, str]]


class End(Enum):
    CALLER = "the caller"
    CALLEE = "the called party"

    @property
    def other(self) -> "End":
        return End.CALLEE if self is End.CALLER else End.CALLER


class Outcome(Enum):
    ANSWERED = "answered"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CallReport:
    """What became of a call. Times in seconds of the user agent's clock; `answered_at` 0 when nobody answered.

    `status` is the refusal that the caller got, 0 without one.
    """

    outcome: Outcome
    reason: str
    started_at: float
    answered_at: float
    ended_at: float
    status: int = 0

    @property
    def talked(self) -> float:
        """Seconds."""
        return self.ended_at - self.answered_at if self.answered_at else 0.0


Translate = Callable[[End, bytes], bytes]
"""A description that came from an end, as the other end gets it; b"" stays b"". ValueError: it cannot be used."""

Refusal = Callable[[events.Refused], tuple[int, Headers]]
"""What the caller is told when the called side refuses."""


def plain_refusal(event: events.Refused) -> tuple[int, Headers]:
    """The same status; a redirection, which only the called side's network could follow, is no answer."""
    status = 480 if 300 <= event.status < 400 else event.status
    return status, (("retry-after", str(event.retry_after)),) if event.retry_after is not None else ()


class Bridge:
    """Set `caller`, then `place` the other leg with the listener for it. `on_end` hears once that the call is over."""

    def __init__(
        self,
        *,
        translate: Translate,
        on_end: Callable[[CallReport], None],
        now: Callable[[], float],
        refusal: Refusal = plain_refusal,
    ) -> None:
        self.caller: Session | None = None
        self.callee: Session | None = None
        self._translate = translate
        self._refusal = refusal
        self._on_end = on_end
        self._now = now
        self._started_at = now()
        self._answered_at = 0.0
        self._over = False

    @property
    def over(self) -> bool:
        return self._over

    @property
    def answered(self) -> bool:
        return self._answered_at > 0.0

    def leg(self, end: End) -> Session | None:
        return self.caller if end is End.CALLER else self.callee

    def listener(self, end: End) -> Callable[[events.SessionEvent], None]:
        """What the session of that end reports to."""
        return lambda event: self._on_event(end, event)

    def place(self, make: Callable[[bytes], Session], offer: bytes) -> None:
        """Call the called party with the caller's offer; `make` gets it translated. The caller may be gone already."""
        if self._over:
            return
        try:
            translated = self._translate(End.CALLER, offer)
        except ValueError as error:
            self.refuse(488, f"the caller's media description cannot be used: {error}")
            return
        self.callee = make(translated)
        if self._over:
            self.callee.hang_up()

    def refuse(self, status: int, reason: str, headers: Headers = ()) -> None:
        """Refuse the caller before anybody else was called."""
        if self.caller is not None and self.caller.asked:
            self.caller.reject(status, headers)
        self._finish(Outcome.FAILED, reason, status)

    def hang_up(self, reason: str, status: int = 480) -> None:
        """End both legs."""
        if self._over:
            return
        for leg in (self.caller, self.callee):
            if leg is not None:
                leg.hang_up(status)
        self._finish(Outcome.ANSWERED if self.answered else Outcome.FAILED, reason, status)

    # --- events

    def _on_event(self, end: End, event: events.SessionEvent) -> None:
        if self._over:
            return
        try:
            self._pass_on(end, event)
        except ValueError as error:
            self.hang_up(f"a media description cannot be used: {error}", 488)

    def _pass_on(self, end: End, event: events.SessionEvent) -> None:
        here, other = self.leg(end), self.leg(end.other)
        match event:
            case events.Progress(status, sdp) if self.caller is not None:
                self.caller.progress(status, self._translate(end, sdp))
            case events.Answered(sdp) if self.caller is not None:
                self._answered_at = self._now()
                self.caller.accept(self._translate(end, sdp))
            case events.Refused():
                self._on_refused(event)
            case events.Cancelled():
                if other is not None:
                    other.hang_up()
                self._finish(Outcome.CANCELLED, "the caller gave up")
            case events.Confirmed(sdp) if sdp and other is not None:
                other.acknowledge(self._translate(end, sdp))
            case events.Offered(sdp) if here is not None:
                self._on_offer(end, here, other, sdp)
            case events.OfferAnswered(sdp) if other is not None and other.asked:
                other.answer_offer(self._translate(end, sdp))
            case events.OfferRefused(status) if other is not None and other.asked:
                other.refuse_offer(status)
            case events.Ended(cause):
                if other is not None:
                    other.hang_up()
                self._finish(Outcome.ANSWERED, f"{end.value} {cause.value}")

    def _on_refused(self, event: events.Refused) -> None:
        status, headers = self._refusal(event)
        if self.caller is not None and self.caller.asked:
            self.caller.reject(status, headers)
        reason = "no answer" if event.local else f"{End.CALLEE.value} answered {event.status}"
        self._finish(Outcome.REFUSED, reason, status)

    def _on_offer(self, end: End, here: Session, other: Session | None, sdp: bytes) -> None:
        if other is None or other.busy or other.ended:
            here.refuse_offer(491)
            return
        try:
            translated = self._translate(end, sdp)
        except ValueError:
            here.refuse_offer(488)
            return
        other.offer(translated)

    def _finish(self, outcome: Outcome, reason: str, status: int = 0) -> None:
        if self._over:
            return
        self._over = True
        self._on_end(CallReport(outcome, reason, self._started_at, self._answered_at, self._now(), status))

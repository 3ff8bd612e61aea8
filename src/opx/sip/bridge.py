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

    `status` is the refusal that the caller got, 0 without one. `rang_at` is when the first 180 to 199 came, 0 without.
    `by` is the end that ended it, None when neither did.
    """

    outcome: Outcome
    reason: str
    started_at: float
    answered_at: float
    ended_at: float
    status: int = 0
    rang_at: float = 0.0
    by: End | None = None

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


Transfer = Callable[[End, events.TransferAsked], None]
"""An end wants its partner to call somebody else; whoever hears it must answer with `Session.answer_transfer`."""

Carry = Callable[[events.Asked], bytes | None]
"""The body of an INFO or MESSAGE as the other end gets it; None: its content is not passed on."""


def carry_nothing(event: events.Asked) -> bytes | None:
    return None


class Bridge:
    """Set `caller`, then `place` the other leg with the listener for it. `on_end` hears once that the call is over.

    Without `transfer` a REFER is declined; with it, it also hears the progress that an end reports of one.
    """

    def __init__(
        self,
        *,
        translate: Translate,
        on_end: Callable[[CallReport], None],
        now: Callable[[], float],
        refusal: Refusal = plain_refusal,
        transfer: Transfer | None = None,
        carry: Carry = carry_nothing,
    ) -> None:
        self.caller: Session | None = None
        self.callee: Session | None = None
        self._translate = translate
        self._refusal = refusal
        self._on_end = on_end
        self._now = now
        self._transfer = transfer
        self._carry = carry
        self.started_at = now()
        self.rang_at = 0.0
        self.answered_at = 0.0
        """Seconds of the user agent's clock; 0 while it has not rung, or nobody has answered."""
        self._over = False
        self._joining: Session | None = None
        self._on_joined: Callable[[], None] = _nothing
        self._restoring = False
        self.retained: End | None = None
        """An end that is looked after elsewhere when the other one hangs up: it is being transferred."""

    @property
    def over(self) -> bool:
        return self._over

    @property
    def answered(self) -> bool:
        return self.answered_at > 0.0

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

    def connected(self, caller: Session, callee: Session) -> None:
        """Take over two sessions that are answered and have each other's descriptions already."""
        self.caller, self.callee = caller, callee
        caller.listener, callee.listener = self.listener(End.CALLER), self.listener(End.CALLEE)
        self.answered_at = self._now()

    def replace(self, end: End, newcomer: Session, offer: bytes, on_joined: Callable[[], None] = lambda: None) -> None:
        """Give one end's place to `newcomer`, who called with Replaces (RFC 3891); who had it before is hung up.

        The other end gets `offer` in a re-INVITE. The newcomer is refused when that does not go well; `on_joined`
        hears that it did.
        """
        other = self.leg(end.other)
        if self._over or self._joining is not None or other is None or not other.up or not other.can_offer:
            newcomer.reject(491, (("retry-after", "2"),))
            return
        try:
            translated = self._translate(end, offer)
        except ValueError:
            newcomer.reject(488)
            return
        self._joining = newcomer
        self._on_joined = on_joined
        newcomer.listener = self._on_newcomer
        other.offer(translated)

    def _on_newcomer(self, event: events.SessionEvent) -> None:
        """It can only have given up; the other end has heard of it by then, and nobody is left to talk to."""
        self._joining = None
        self.hang_up("whoever was to take an end's place gave up")

    def _let_in(self, end: End, newcomer: Session, sdp: bytes) -> None:
        old = self.leg(end)
        if old is not None:
            old.listener = events.unheard
            old.hang_up()
        self._put(end, newcomer)
        newcomer.listener = self.listener(end)
        newcomer.accept(sdp)
        self._on_joined()

    def release(self, end: End, reason: str) -> Session | None:
        """Let go of one end's session, which has another listener by now, and end the call for the other one."""
        leg, other = self.leg(end), self.leg(end.other)
        self._put(end, None)
        if other is not None:
            other.hang_up()
        self._finish(Outcome.ANSWERED, reason)
        return leg

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

    def _put(self, end: End, session: Session | None) -> None:
        if end is End.CALLER:
            self.caller = session
        else:
            self.callee = session

    # --- events

    def _on_event(self, end: End, event: events.SessionEvent) -> None:
        if isinstance(event, events.TransferProgress):
            # How a transfer goes is told to whoever asked for it, even when the call is over by then.
            other = self.leg(end.other)
            if other is not None:
                other.notify_transfer(event.status, event.over)
        elif not self._over:
            try:
                self._pass_on(end, event)
            except ValueError as error:
                self.hang_up(f"a media description cannot be used: {error}", 488)

    def _pass_on(self, end: End, event: events.SessionEvent) -> None:
        here, other = self.leg(end), self.leg(end.other)
        match event:
            case events.Progress(status, sdp, reliable) if self.caller is not None:
                if status >= 180 and not self.rang_at:
                    self.rang_at = self._now()
                self.caller.progress(status, self._translate(end, sdp), reliable=reliable)
            case events.Answered(sdp) if self.caller is not None:
                self.answered_at = self._now()
                self.caller.accept(self._translate(end, sdp))
            case events.Refused():
                self._on_refused(event)
            case events.Cancelled(elsewhere):
                if other is not None:
                    other.hang_up(elsewhere=elsewhere)
                self._finish(Outcome.CANCELLED, "the caller gave up", by=End.CALLER)
            case events.Confirmed(sdp) if other is not None and other.owes_answer:
                if sdp:
                    other.acknowledge(self._translate(end, sdp))
                else:
                    self.hang_up(f"{end.value} never answered an offer")
            case events.Offered(sdp, update) if here is not None:
                self._on_offer(end, here, other, sdp, update)
            case events.OfferWithdrawn() if other is not None:
                other.withdraw_offer()
            case events.OfferAnswered(sdp) if here is not None and other is not None:
                self._on_offer_answered(end, here, other, sdp)
            case events.OfferRefused(status) if other is not None:
                self._on_offer_refused(other, status)
            case events.Asked() if here is not None:
                self._on_asked(here, other, event)
            case events.TransferAsked(number) if here is not None:
                if self._transfer is None:
                    here.answer_transfer(number, 603)
                else:
                    self._transfer(end, event)
            case events.Ended(cause):
                if other is not None and end.other is not self.retained:
                    other.hang_up()
                self._finish(Outcome.ANSWERED, f"{end.value} {cause.value}", by=end)

    def _on_refused(self, event: events.Refused) -> None:
        status, headers = self._refusal(event)
        if self.caller is not None and self.caller.asked:
            self.caller.reject(status, headers)
        reason = "no answer" if event.local else f"{End.CALLEE.value} answered {event.status}"
        self._finish(Outcome.REFUSED, reason, status, by=End.CALLEE)

    def _on_offer(self, end: End, here: Session, other: Session | None, sdp: bytes, update: bool) -> None:
        if other is None or other.ended or other.busy or not (sdp or other.up):
            # Without a description it is a re-INVITE, which waits for the first answer to arrive.
            here.refuse_offer(491)
            return
        if not other.can_offer:
            here.refuse_offer(488)
            return
        try:
            translated = self._translate(end, sdp)
        except ValueError:
            here.refuse_offer(488)
            return
        other.offer(translated, update=update)

    def _on_offer_answered(self, end: End, here: Session, other: Session, sdp: bytes) -> None:
        translated = self._translate(end, sdp)
        newcomer, self._joining = self._joining, None
        if newcomer is not None:
            self._let_in(end.other, newcomer, translated)
        elif other.offered:
            other.answer_offer(translated)
        elif self._restoring:
            self._restoring = False
        elif here.owes_answer:
            # The one who asked for an offer took that back too late: what was before is the answer.
            here.acknowledge(self._translate(end.other, other.offers.remote))
        elif here.can_offer and other.offers.remote:
            # The one who offered took it back too late: what was before holds again.
            self._restoring = True
            here.offer(self._translate(end.other, other.offers.remote))

    def _on_offer_refused(self, other: Session, status: int) -> None:
        newcomer, self._joining = self._joining, None
        self._restoring = False
        if newcomer is not None:
            newcomer.reject(488)
        elif other.offered:
            other.refuse_offer(_passed_on(status, 488))

    def _on_asked(self, here: Session, other: Session | None, event: events.Asked) -> None:
        body = self._carry(event)
        if other is None or not other.up:
            here.answer_request(event.id, 480)
        elif body is None or other.usage.peer_allows(event.method) is False:
            here.answer_request(event.id, 415 if body is None else 405)
        else:
            # Parameters of the type could say anything; text without a charset is UTF-8.
            kind = event.content_type.partition(";")[0].strip()
            other.ask(event.method, kind, body, lambda status: here.answer_request(event.id, _passed_on(status, 500)))

    def _finish(self, outcome: Outcome, reason: str, status: int = 0, by: End | None = None) -> None:
        if self._over:
            return
        self._over = True
        if self._joining is not None:
            self._joining.hang_up()
        on_end = self._on_end
        # What was given to us may know us, and would keep an ended call alive until the collector finds it.
        self._on_end, self._on_joined = _ended, _nothing
        self._translate, self._refusal, self._transfer, self._carry = _untranslated, plain_refusal, None, carry_nothing
        times = self.started_at, self.answered_at, self._now()
        on_end(CallReport(outcome, reason, *times, status, self.rang_at, by))


def _passed_on(status: int, instead: int) -> int:
    """A refusal within the call as the other end gets it.

    Credentials, redirections and a forgotten dialog are between one end and us; 408 and 481 would end the other's call
    (RFC 5057 section 5.1).
    """
    return instead if 300 <= status < 400 or status in (401, 407, 408, 481) else status


def _ended(report: CallReport) -> None:
    """Whoever wanted to hear of the end has heard of it."""


def _nothing() -> None:
    """Nobody waits for a newcomer."""


def _untranslated(end: End, sdp: bytes) -> bytes:
    """A call that is over carries no descriptions."""
    return b""

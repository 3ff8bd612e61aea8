"""One call through the gateway: two legs that share typed events and no message.

The set's leg and the ICP's leg are sessions of two different user agents. What one of them says reaches the other only
through this class, and descriptions only after `CallMedia` has built them anew.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from opx.gateway.media.interface import Side
from opx.gateway.signalling.call_media import CallMedia
from opx.sdp import SdpError
from opx.sip import events
from opx.sip.session import Session


class Outcome(Enum):
    ANSWERED = "answered"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CallReport:
    """What became of a call. Times in seconds on the timer wheel's clock; `answered_at` 0 when nobody answered."""

    outcome: Outcome
    reason: str
    started_at: float
    answered_at: float
    ended_at: float

    @property
    def talked(self) -> float:
        return self.ended_at - self.answered_at if self.answered_at else 0.0


Place = Callable[[bytes], Session]
"""Makes the outgoing leg, given the description that it offers (b"" when the caller made no offer)."""

Headers = Sequence[tuple[str, str]]

ICP_CREDENTIAL_STATUSES = frozenset((401, 407))
"""From an ICP these mean that our own credentials are wrong; a set could only take them for its own."""


class Call:
    """Made with the incoming leg in hand; `start` opens the media and places the outgoing leg.

    `on_end` hears once that the call is over.
    """

    def __init__(
        self,
        *,
        call_id: str,
        device_id: int,
        caller: Side,
        number: str,
        media: CallMedia,
        now: Callable[[], float],
        on_end: Callable[["Call", CallReport], None],
    ) -> None:
        self.call_id = call_id
        self.device_id = device_id
        self.caller = caller
        self.number = number
        self.media = media
        self.legs: dict[Side, Session] = {}
        self._now = now
        self._on_end = on_end
        self._place: Place | None = None
        self._offer = b""
        self._started_at = now()
        self._answered_at = 0.0
        self._over = False

    @property
    def callee(self) -> Side:
        return self.caller.other

    @property
    def answered(self) -> bool:
        return self._answered_at > 0.0

    def start(self, offer: bytes, place: Place) -> None:
        """Open the media, then place the outgoing leg with `place`. `offer` is the caller's description."""
        self._offer = offer
        self._place = place
        self.media.open(self._on_media)

    def listener(self, side: Side) -> Callable[[events.SessionEvent], None]:
        """What the session of `side` reports to."""
        return lambda event: self._on_event(side, event)

    def hang_up(self, reason: str, status: int = 480) -> None:
        """End both legs."""
        for leg in self.legs.values():
            leg.hang_up(status)
        self._finish(Outcome.ANSWERED if self.answered else Outcome.FAILED, reason)

    # --- media

    def _on_media(self, ready: bool) -> None:
        if self._over or self._place is None:
            return
        incoming = self.legs[self.caller]
        if not ready:
            self._reject(incoming, 503, (("retry-after", "10"),))
            self._finish(Outcome.FAILED, "no media ports are free")
            return
        try:
            offer = self.media.translate(self.caller, self._offer)
        except SdpError as error:
            self._reject(incoming, 488)
            self._finish(Outcome.FAILED, f"the caller's media description cannot be used: {error}")
            return
        # The leg is known before it reports anything only when it cannot fail while it is made.
        self.legs[self.callee] = self._place(offer)

    # --- events

    def _on_event(self, side: Side, event: events.SessionEvent) -> None:
        if self._over:
            return
        try:
            self._pass_on(side, event)
        except SdpError as error:
            self.hang_up(f"a media description cannot be used: {error}", 488)

    def _pass_on(self, side: Side, event: events.SessionEvent) -> None:
        other = self.legs.get(side.other)
        match event:
            case events.Progress(status, sdp):
                self.legs[self.caller].progress(status, self.media.translate(side, sdp))
            case events.Answered(sdp):
                self._answered_at = self._now()
                self.legs[self.caller].accept(self.media.translate(side, sdp))
            case events.Refused():
                self._on_refused(side, event)
            case events.Cancelled():
                if other is not None:
                    other.hang_up()
                self._finish(Outcome.CANCELLED, "the caller gave up")
            case events.Confirmed(sdp):
                if sdp and other is not None:
                    other.acknowledge(self.media.translate(side, sdp))
            case events.Offered(sdp):
                self._on_offer(side, sdp)
            case events.OfferAnswered(sdp):
                if other is not None and other.asked:
                    other.answer_offer(self.media.translate(side, sdp))
            case events.OfferRefused(status):
                if other is not None and other.asked:
                    other.refuse_offer(status)
            case events.OfferWithdrawn():
                pass
            case events.Ended(cause):
                if other is not None:
                    other.hang_up()
                self._finish(Outcome.ANSWERED, f"{_WHO[side]}: {cause.value}")

    def _on_refused(self, side: Side, event: events.Refused) -> None:
        incoming = self.legs[self.caller]
        status = event.status
        headers: Headers = ()
        if side is Side.ICP and status in ICP_CREDENTIAL_STATUSES:
            status = 503
        elif 300 <= status < 400:
            status = 480
        if event.retry_after is not None:
            headers = (("retry-after", str(event.retry_after)),)
        self._reject(incoming, status, headers)
        who = "nobody" if event.local else _WHO[side]
        self._finish(Outcome.REFUSED, f"{who} answered {event.status}" if not event.local else "no answer")

    def _on_offer(self, side: Side, sdp: bytes) -> None:
        here, other = self.legs[side], self.legs.get(side.other)
        if other is None or other.busy:
            here.refuse_offer(491)
            return
        try:
            translated = self.media.translate(side, sdp)
        except SdpError:
            here.refuse_offer(488)
            return
        other.offer(translated)

    # --- ends

    def _reject(self, leg: Session, status: int, headers: Headers = ()) -> None:
        if leg.asked:
            leg.reject(status, headers)

    def _finish(self, outcome: Outcome, reason: str) -> None:
        if self._over:
            return
        self._over = True
        self._place = None
        self._on_end(self, CallReport(outcome, reason, self._started_at, self._answered_at, self._now()))


_WHO = {Side.SET: "the remote phone", Side.ICP: "the PBX"}

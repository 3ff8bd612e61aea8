"""Transfers that a back-to-back user agent carries out by itself, because whoever is transferred need not know of it.

The transferred leg gets a new partner by re-INVITE (as in RFC 3725); descriptions pass as they are, so that both
must lie in one network. Used by the PBX node for its phones and by the gateway for ICPs without REFER.
"""

from collections.abc import Callable

from opx.sip import events
from opx.sip.bridge import Bridge
from opx.sip.session import Session

OnStatus = Callable[[int, bool], None]
"""How it goes: a status as in a NOTIFY of RFC 3515, and whether it is the last word (2xx: both are connected)."""


class BlindTransfer:
    """Calls `target` for `kept`, who is answered; connects both when the target answers.

    `place` calls the target without an offer and reports to the listener that it is given. `bridge` takes both over in
    the end; when the target is not reached, `kept` has its listener back. What `kept` says meanwhile goes there, too.
    `target` may be replaced while it rings, by another session with the same listener.
    """

    def __init__(
        self,
        kept: Session,
        bridge: Bridge,
        place: Callable[[Callable[[events.SessionEvent], None]], Session],
        on_status: OnStatus,
    ) -> None:
        self._kept = kept
        self._bridge = bridge
        self._on_status = on_status
        self._listener = kept.listener
        self._over = False
        self._joining = False
        kept.listener = self._on_kept
        self.target = place(self._on_target)

    @property
    def over(self) -> bool:
        return self._over

    def give_up(self, status: int = 487) -> None:
        """Nobody wants the transfer any more, or nobody answers it."""
        if not self._over:
            self._end(status)
            self.target.hang_up()

    def _on_target(self, event: events.SessionEvent) -> None:
        if self._over:
            return
        match event:
            case events.Progress(status):
                self._on_status(status, False)
            case events.Answered(offer):
                self._join(offer)
            case events.Refused(status):
                self._end(status)
            case events.Ended():
                self._end(480)

    def _join(self, offer: bytes) -> None:
        if not offer or not self._kept.can_offer:
            self.target.hang_up()
            self._end(491 if offer else 488)
            return
        self._joining = True
        self._kept.offer(offer)

    def _on_kept(self, event: events.SessionEvent) -> None:
        match event:
            case events.OfferAnswered(answer) if self._joining and answer:
                self._over = True
                self.target.acknowledge(answer)
                self._bridge.connected(self._kept, self.target)
                self._on_status(200, True)
            case events.OfferAnswered() | events.OfferRefused() if self._joining:
                self.target.hang_up()
                self._end(488)
            case events.Ended():
                self.target.hang_up()
                self._end(480)
                self._listener(event)
            case _ if self._joining:
                decline(self._kept, event)
            case _:
                self._listener(event)

    def _end(self, status: int) -> None:
        self._over = True
        self._kept.listener = self._listener
        self._on_status(status, True)


class AttendedTransfer:
    """Connects two answered legs, `one` and `other`, that had the same partner so far."""

    def __init__(self, one: Session, other: Session, bridge: Bridge, on_status: OnStatus) -> None:
        self._one = one
        self._other = other
        self._bridge = bridge
        self._on_status = on_status
        self._listeners = (one.listener, other.listener)
        self._over = False
        if not (one.up and other.up and one.can_offer and other.can_offer):
            self._over = True
            on_status(491, True)
            return
        one.listener, other.listener = self._on_one, self._on_other
        one.offer(b"")

    @property
    def over(self) -> bool:
        return self._over

    def give_up(self, status: int = 487) -> None:
        """Nobody wants the transfer any more."""
        self._fail(status)

    def _on_one(self, event: events.SessionEvent) -> None:
        match event:
            case events.OfferAnswered(offer) if offer and not self._over and self._other.can_offer:
                self._other.offer(offer)
            case events.OfferAnswered() | events.OfferRefused():
                self._fail(488)
            case events.Ended():
                self._lost(event, self._listeners[0])
            case _:
                decline(self._one, event)

    def _on_other(self, event: events.SessionEvent) -> None:
        match event:
            case events.OfferAnswered(answer) if answer and not self._over:
                self._over = True
                self._one.acknowledge(answer)
                self._bridge.connected(self._one, self._other)
                self._on_status(200, True)
            case events.OfferAnswered() | events.OfferRefused():
                self._fail(488)
            case events.Ended():
                self._lost(event, self._listeners[1])
            case _:
                decline(self._other, event)

    def _lost(self, event: events.SessionEvent, listener: Callable[[events.SessionEvent], None]) -> None:
        self._fail(480)
        listener(event)

    def _fail(self, status: int) -> None:
        if self._over:
            return
        self._over = True
        self._one.listener, self._other.listener = self._listeners
        self._on_status(status, True)
        if self._one.owes_answer:
            # The offer that we asked for has no taker, so that its dialog can only end.
            self._one.fail(events.Cause.LOST)


def decline(session: Session, event: events.SessionEvent) -> None:
    """Whatever a leg asks for while its partner changes has to wait."""
    match event:
        case events.Offered():
            session.refuse_offer(491)
        case events.Asked(number):
            session.answer_request(number, 480)
        case events.TransferAsked(number):
            session.answer_transfer(number, 491)

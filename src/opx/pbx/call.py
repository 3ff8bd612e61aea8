"""One call between two extensions, from the first ringing to the end, by however many extensions it is forwarded."""

from collections.abc import Callable

from opx import sdp
from opx.pbx.features.forwarding import Route
from opx.pbx.office import Party
from opx.sip import events
from opx.sip.agent import new_call_id, new_tag
from opx.sip.bridge import Bridge, CallReport, End
from opx.sip.replaces import DialogName
from opx.sip.session import Session
from opx.sip.timers import Timer

Refusal = Callable[["PbxCall", events.Refused], bool]
"""Hears that the phone that rings refused; True when the call goes on elsewhere."""


class PbxCall:
    """`caller` calls `dialled`; `route` says which extension rings, and whose calls it takes."""

    def __init__(
        self,
        caller: Party,
        dialled: str,
        route: Route,
        offer: bytes,
        *,
        now: Callable[[], float],
        on_refused: Refusal,
        on_answered: Callable[["PbxCall"], None],
        on_end: Callable[["PbxCall", CallReport], None],
    ) -> None:
        self.caller = caller
        self.dialled = dialled
        self.route = route
        self.offer = offer
        self.started_at = now()
        self.timer: Timer | None = None
        """Ends the ringing."""
        self._names = {end: DialogName(new_call_id(), new_tag(), new_tag()) for end in End}
        self._on_refused = on_refused
        self._on_answered = on_answered
        self._late: Callable[[bytes], None] | None = None
        self.bridge = Bridge(
            translate=lambda end, description: description, on_end=lambda report: on_end(self, report), now=now
        )

    @property
    def called(self) -> str:
        """The extension that rings or talks."""
        return self.route.number

    @property
    def ringing(self) -> bool:
        return not self.bridge.answered and not self.bridge.over

    def name(self, end: End) -> DialogName:
        """What watchers hear of an end's dialog: good for Replaces at this node, whatever becomes of the legs."""
        return self._names[end]

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def listener(self, end: End) -> Callable[[events.SessionEvent], None]:
        """What the session of that end reports to."""
        return lambda event: self._on_event(end, event)

    def pick_up(self, number: str, session: Session, offer: bytes) -> None:
        """Connect the caller with another phone that asks for the call; `session` is that phone's INVITE.

        Neither INVITE may be answered yet. SdpError when the two share no codec; the call then rings on.
        """
        if not self.offer and not offer:
            raise sdp.SdpError("neither end offers anything")
        crossed = (b"", b"")
        if self.offer and offer:
            for_caller, for_taker = sdp.cross(sdp.parse(self.offer), sdp.parse(offer))
            crossed = sdp.encode(for_caller), sdp.encode(for_taker)
        self.stop_timer()
        if self.bridge.callee is not None:
            self.bridge.callee.hang_up()
        self.bridge.callee = session
        self.route = Route(number, self.route.hops)
        if not offer:
            # The caller's offer goes out in the answer to the phone, whose ACK then answers it.
            self._late = self._answered
            session.accept(self.offer)
        elif not self.offer:
            self._late = session.accept
            self._answered(offer)
        else:
            self._answered(crossed[0])
            session.accept(crossed[1])

    def _answered(self, description: bytes) -> None:
        self._on_event(End.CALLEE, events.Answered(description))

    def _on_event(self, end: End, event: events.SessionEvent) -> None:
        match event:
            case events.Refused() if end is End.CALLEE and self._on_refused(self, event):
                return
            case events.Confirmed(description) if self._late is not None:
                late, self._late = self._late, None
                late(description)
                return
            case events.Answered() if end is End.CALLEE:
                self.stop_timer()
        self.bridge.listener(end)(event)
        if isinstance(event, events.Answered) and self.bridge.answered:
            self._on_answered(self)

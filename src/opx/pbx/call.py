"""One call between two extensions, from the first ringing to the end, by however many extensions it is forwarded."""

from collections.abc import Callable
from typing import Protocol

from opx import sdp
from opx.pbx.features.forwarding import Route
from opx.pbx.office import Party
from opx.sip import events
from opx.sip.agent import new_call_id, new_tag
from opx.sip.bridge import Bridge, CallReport, End
from opx.sip.dtmf import parse_key
from opx.sip.replaces import DialogName
from opx.sip.session import Session
from opx.sip.timers import Timer
from opx.sip.transfer import BlindTransfer


class CallUser(Protocol):
    """The desk that placed the call."""

    def on_refused(self, call: "PbxCall", event: events.Refused) -> bool:
        """The phone that rings refused; True when the call goes on elsewhere."""

    def on_answered(self, call: "PbxCall") -> None: ...
    def on_transfer_asked(self, call: "PbxCall", end: End, event: events.TransferAsked) -> None: ...
    def on_end(self, call: "PbxCall", report: CallReport) -> None: ...


class PbxCall:
    """`caller` calls `dialled`; `route` says which extension rings, and by whom the call was forwarded.

    With `transfer` set, `caller` talks already and is to be connected with whoever answers. `serial` tells the order
    in which calls began.
    """

    def __init__(
        self, user: CallUser, serial: int, caller: Party, dialled: str, route: Route, now: Callable[[], float]
    ) -> None:
        self.serial = serial
        self.caller = caller
        self.dialled = dialled
        self.route = route
        self.offer = b""
        """The caller's."""
        self.timer: Timer | None = None
        """Ends the ringing."""
        self.transfer: BlindTransfer | None = None
        self.on_target: Callable[[events.SessionEvent], None] | None = None
        """What the phone that rings reports to while the caller is being transferred."""
        self.referred_by = ""
        """The extension that transfers the caller."""
        self._user = user
        self._names = {end: DialogName(new_call_id(), new_tag(), new_tag()) for end in End}
        self._late: Callable[[bytes], None] | None = None
        self.bridge = Bridge(
            translate=lambda end, description: description,
            on_end=lambda report: user.on_end(self, report),
            now=now,
            transfer=lambda end, event: user.on_transfer_asked(self, end, event),
            carry=keys_only,
        )

    @property
    def called(self) -> str:
        """The extension that rings or talks."""
        return self.route.number

    @property
    def ringing(self) -> bool:
        return not self.bridge.answered and not self.bridge.over

    @property
    def movable(self) -> bool:
        """Another phone may still take it: the caller has accepted no description of the one that rings."""
        caller = self.bridge.caller
        return self.ringing and self.on_target is None and caller is not None and not caller.offers.settled

    def number(self, end: End) -> str:
        """The extension at an end."""
        return self.caller.number if end is End.CALLER else self.called

    def name(self, end: End) -> DialogName:
        """What watchers hear of an end's dialog: good for Replaces at this node, whatever becomes of the legs."""
        return self._names[end]

    def end_of(self, name: DialogName) -> End | None:
        """The end whose dialog with the node has that name, as the phone itself speaks of it."""
        for end in End:
            leg = self.bridge.leg(end)
            if leg is not None and leg.dialog is not None and leg.dialog.id == tuple(name):
                return end
        return None

    def watched_end_of(self, name: DialogName) -> End | None:
        """The end of which watchers hear under that name; phones take either tag for their own."""
        turned = DialogName(name.call_id, name.from_tag, name.to_tag)
        return next((end for end in End if self._names[end] in (name, turned)), None)

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def listener(self, end: End) -> Callable[[events.SessionEvent], None]:
        """What the session of that end reports to."""
        return lambda event: self._on_event(end, event)

    def hang_up(self, reason: str, status: int = 480) -> None:
        """End it, whatever its state; of a transfer only the new call ends."""
        if self.transfer is not None:
            self.transfer.give_up(status)
        else:
            self.bridge.hang_up(reason, status)

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
            self.bridge.callee.hang_up(elsewhere=True)
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
            case events.Refused() if end is End.CALLEE and self._user.on_refused(self, event):
                return
            case events.Confirmed(description) if self._late is not None:
                late, self._late = self._late, None
                late(description)
                return
            case events.Answered() if end is End.CALLEE:
                self.stop_timer()
        if self.on_target is not None:
            self.on_target(event)
            return
        self.bridge.listener(end)(event)
        if isinstance(event, events.Answered) and self.bridge.answered:
            self._user.on_answered(self)


def keys_only(event: events.Asked) -> bytes | None:
    """What passes between two phones beside their audio: key presses in INFO."""
    return event.body if event.method == "INFO" and parse_key(event.content_type, event.body) is not None else None

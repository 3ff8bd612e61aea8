"""One call through the gateway: a bridge between the set's user agent and the ICP's, with media in the relay."""

from collections.abc import Callable

from opx.gateway.media.interface import Side
from opx.gateway.signalling.call_media import CallMedia
from opx.gateway.signalling.carried import carried_body
from opx.gateway.signalling.refusals import refusal_of_icp
from opx.gateway.signalling.traces import LegTrace
from opx.sip.bridge import Bridge, CallReport, End, Headers, plain_refusal
from opx.sip.events import Refused, SessionEvent, TransferAsked
from opx.sip.session import Session

NO_PORTS = "no media ports are free"
"""Why a call failed that the relay had no room for."""
MAX_LEGS = 16
"""Legs of one call whose messages are kept: nodes tried, redirections followed, parties replaced."""


class Call:
    """Made with `caller` saying which side calls. Set the incoming leg, then `start`.

    `on_end` hears once that the call is over, `on_transfer` of a side that asks for one. `traces` are its legs'
    messages, those of legs that came to nothing among them.
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
        on_transfer: Callable[["Call", Side, TransferAsked], None],
        claim: Callable[[Side, str], LegTrace],
    ) -> None:
        self.call_id = call_id
        self.device_id = device_id
        self.caller = caller
        self.number = number
        self.media = media
        self.traces: list[LegTrace] = []
        self._claim = claim
        self.bridge = Bridge(
            translate=lambda end, sdp: media.translate(self._side(end), sdp),
            on_end=lambda report: on_end(self, report),
            now=now,
            refusal=self._refusal,
            transfer=lambda end, event: on_transfer(self, self._side(end), event),
            carry=carried_body,
        )

    def trace(self, side: Side, sip_call_id: str) -> None:
        """Messages with that Call-ID are one of this call's legs."""
        trace = self._claim(side, sip_call_id)
        if trace not in self.traces and len(self.traces) < MAX_LEGS:
            self.traces.append(trace)

    def leg(self, side: Side) -> Session | None:
        return self.bridge.leg(self._end(side))

    @property
    def set_leg(self) -> Session | None:
        return self.leg(Side.SET)

    @property
    def icp_leg(self) -> Session | None:
        return self.leg(Side.ICP)

    def listener(self, side: Side) -> Callable[[SessionEvent], None]:
        """What the session of `side` reports to."""
        return self.bridge.listener(self._end(side))

    def start(self, offer: bytes, place: Callable[[bytes], Session]) -> None:
        """Open the media, then make the outgoing leg with `place`. `offer` is the caller's description."""

        def opened(ready: bool) -> None:
            if self.bridge.over:
                return
            if ready:
                self.bridge.place(place, offer)
            else:
                self.bridge.refuse(503, NO_PORTS, (("retry-after", "10"),))

        self.media.open(opened)

    def replace_icp_leg(self, newcomer: Session, offer: bytes) -> None:
        """Somebody at the ICP takes the place of whoever the set talks to."""
        self.bridge.replace(self._end(Side.ICP), newcomer, offer)

    def retain_icp_leg(self, on: bool) -> None:
        """With `on` the ICP's leg outlives the set's, for it is being transferred."""
        self.bridge.retained = self._end(Side.ICP) if on else None

    def release_icp_leg(self, reason: str) -> None:
        """The ICP's leg goes on with another partner; the call is over for the set."""
        self.bridge.release(self._end(Side.ICP), reason)

    def hang_up(self, reason: str) -> None:
        self.bridge.hang_up(reason)

    def _side(self, end: End) -> Side:
        return self.caller if end is End.CALLER else self.caller.other

    def _end(self, side: Side) -> End:
        return End.CALLER if side is self.caller else End.CALLEE

    def _refusal(self, event: Refused) -> tuple[int, Headers]:
        return refusal_of_icp(event) if self.caller is Side.SET else plain_refusal(event)

"""Calls between extensions: placed, forwarded, picked up, ended."""

from collections import Counter
from collections.abc import Callable, Collection
from itertools import count

from opx.pbx.call import PbxCall
from opx.pbx.features.forwarding import Forwarding, Reason, Route, forwarding_headers, reason_of
from opx.pbx.office import Office, Party, said
from opx.sdp import SdpError
from opx.sip import events
from opx.sip.address import NameAddr
from opx.sip.agent import new_tag
from opx.sip.answering import sdp_of
from opx.sip.bridge import CallReport, End
from opx.sip.errors import RemoteProtocolError
from opx.sip.replaces import DialogName
from opx.sip.session import Session
from opx.sip.transactions import ServerTransaction

OnTransfer = Callable[[PbxCall, End, events.TransferAsked], None]


class CallDesk:
    """Times in seconds: `ring_time` ends a call, `forward_after` hands it to where an extension forwards no-answers.

    `on_change` hears of every call that began to ring, changed its ends, was answered or ended; `on_transfer` of every
    REFER in one.
    """

    def __init__(
        self,
        office: Office,
        *,
        ring_time: float,
        forward_after: float,
        forward_limit: int,
        calls_per_extension: int,
        on_change: Callable[[PbxCall], None],
        on_transfer: OnTransfer,
    ) -> None:
        self.calls: set[PbxCall] = set()
        self.forwarding = Forwarding(
            office.states,
            known=office.extensions.__contains__,
            reachable=lambda number: office.contact_of(number) is not None,
            busy=lambda number: self._busy[number] >= calls_per_extension,
            limit=forward_limit,
        )
        self.on_transfer_asked = on_transfer
        self._office = office
        self._ring_time = ring_time
        self._forward_after = forward_after
        self._busy: Counter[str] = Counter()
        self._serials = count(1)
        self._on_change = on_change

    # --- placing

    def connect(self, transaction: ServerTransaction, caller: Party, number: str) -> None:
        """Take a phone's INVITE for an extension."""
        route = self.forwarding.begin(number, caller.number)
        if not route.number:
            self._office.say(f"{caller.number} calls {said(number)}: refused with {route.status}")
            transaction.reply(route.status, to_tag=new_tag())
            return
        call = self.new_call(caller, number, route)
        call.offer = sdp_of(transaction.request)
        try:
            call.bridge.caller = Session.incoming(
                self._office.agent, call.listener(End.CALLER), transaction, contact=self._office.contact
            )
        except RemoteProtocolError as error:
            transaction.reply(error.status, to_tag=new_tag())
            return
        self.add(call)
        self._office.say(f"{caller.number} calls {number}")
        if route.hops:
            self._say_forwarded(call)
        self._ring(call, lambda: call.bridge.place(lambda offer: self.invite(call, offer), call.offer))

    def new_call(self, caller: Party, number: str, route: Route) -> PbxCall:
        """One that is not placed yet: set its legs, then `add` it."""
        return PbxCall(self, next(self._serials), caller, number, route, lambda: self._office.agent.now)

    def add(self, call: PbxCall) -> None:
        """The call occupies its two extensions from now on."""
        self.calls.add(call)
        for end in End:
            self._busy[call.number(end)] += 1

    def invite(self, call: PbxCall, offer: bytes) -> Session:
        """Ring the phone of the extension that the call has come to.

        A call may be taken by another phone as long as it rings, so that no description counts before the answer:
        provisional answers are not asked for reliably.
        """
        office = self._office
        contact = office.contact_of(call.called)
        assert contact is not None
        headers = forwarding_headers(call.route, office.domain, office.name_of)
        if call.referred_by:
            headers.append(("referred-by", f"<{office.uri_of(call.referred_by)}>"))
        return Session.call(
            office.agent,
            call.listener(End.CALLEE),
            contact.flow,
            uri=contact.uri,
            from_=str(NameAddr(call.caller.name, office.uri_of(call.caller.number))),
            to=office.address_of(call.called),
            contact=office.contact,
            sdp=offer,
            headers=headers,
            reliable=False,
        )

    def ring_transferred(self, call: PbxCall, begin: Callable[[], None]) -> None:
        """Ring for a caller who is being transferred; `begin` starts the transfer, which uses `invite`."""
        self.add(call)
        if call.route.hops:
            self._say_forwarded(call)
        self._ring(call, begin)

    # --- taking over

    def pick_up(self, call: PbxCall, transaction: ServerTransaction, taker: Party) -> None:
        """Give a call that rings to the phone that asks for it with its own INVITE."""
        agent = self._office.agent
        try:
            session = Session.incoming(agent, call.listener(End.CALLEE), transaction, contact=self._office.contact)
        except RemoteProtocolError as error:
            transaction.reply(error.status, to_tag=new_tag())
            return
        rang = call.called
        try:
            call.pick_up(taker.number, session, sdp_of(transaction.request))
        except SdpError as error:
            self._office.say(f"{taker.number} cannot pick up the call for {rang}: {error}")
            session.reject(488)
            return
        self._move(rang, taker.number)
        self._office.say(f"{taker.number} picks up {call.caller.number}'s call for {rang}")
        if not call.bridge.answered:
            self._on_change(call)

    def take_place(self, call: PbxCall, end: End, transaction: ServerTransaction, newcomer: Party) -> None:
        """Give the place at one end of an answered call to a phone that asks for it with its own INVITE."""
        try:
            session = Session.incoming(
                self._office.agent, call.bridge.listener(end), transaction, contact=self._office.contact
            )
        except RemoteProtocolError as error:
            transaction.reply(error.status, to_tag=new_tag())
            return
        before = call.number(end)

        def joined() -> None:
            if end is End.CALLER:
                call.caller = newcomer
            else:
                call.route = Route(newcomer.number, call.route.hops)
            self._move(before, newcomer.number)
            self._office.say(f"{newcomer.number} takes {before}'s place with {call.number(end.other)}")
            self._on_change(call)

        call.bridge.replace(end, session, sdp_of(transaction.request), joined)

    # --- finding

    def ringing_at(self, numbers: Collection[str], taker: Party) -> PbxCall | None:
        """The call that has been ringing longest at one of the extensions, other than one that `taker` makes."""
        found = [
            call
            for call in self.calls
            if call.movable and call.called in numbers and call.caller.number != taker.number
        ]
        return min(found, key=lambda call: call.serial, default=None)

    def find(self, name: DialogName) -> tuple[PbxCall, End] | None:
        """The call and the end of it whose phone has that dialog with the node."""
        found = ((call, call.end_of(name)) for call in self.calls)
        return next(((call, end) for call, end in found if end is not None), None)

    def find_watched(self, name: DialogName) -> tuple[PbxCall, End] | None:
        """The same by the name that watchers hear."""
        found = ((call, call.watched_end_of(name)) for call in self.calls)
        return next(((call, end) for call, end in found if end is not None), None)

    def hang_up_all(self, reason: str) -> None:
        for call in list(self.calls):
            call.hang_up(reason)

    # --- ringing

    def _ring(self, call: PbxCall, begin: Callable[[], None]) -> None:
        forwarded = self.forwarding.answers_within(call.called)
        call.timer = self._office.agent.wheel.schedule(
            self._forward_after if forwarded else self._ring_time, lambda: self._on_no_answer(call)
        )
        if call.route.hops and call.bridge.caller is not None:
            call.bridge.caller.progress(181)
        begin()
        if call in self.calls:
            self._on_change(call)

    def _on_no_answer(self, call: PbxCall) -> None:
        if not self._go_on(call, Reason.NO_ANSWER):
            call.hang_up("nobody answered", 480)

    def _go_on(self, call: PbxCall, reason: Reason, wanted: str = "") -> bool:
        """Whether the call rings elsewhere now."""
        if not (call.movable or call.transfer is not None):
            return False
        route = self.forwarding.go_on(call.route, call.caller.number, reason, wanted)
        if not route.number:
            return False
        call.stop_timer()
        old = call.transfer.target if call.transfer is not None else call.bridge.callee
        if old is not None:
            old.hang_up()
        self._move(call.called, route.number)
        call.route = route
        self._say_forwarded(call)
        self._ring(call, lambda: self._ring_next(call))
        return True

    def _ring_next(self, call: PbxCall) -> None:
        if call.transfer is not None:
            call.transfer.target = self.invite(call, b"")
        else:
            call.bridge.place(lambda offer: self.invite(call, offer), call.offer)

    def _say_forwarded(self, call: PbxCall) -> None:
        hop = call.route.hops[-1]
        self._office.say(f"{call.caller.number} to {hop.number}: forwarded to {call.called} ({hop.reason.diversion})")

    def _move(self, before: str, after: str) -> None:
        self._busy[before] -= 1
        self._busy[after] += 1

    # --- CallUser

    def on_refused(self, call: PbxCall, event: events.Refused) -> bool:
        if event.targets:
            return self._go_on(call, Reason.DEFLECTION, self._office.number_of(event.targets[0]))
        reason = reason_of(event.status)
        return reason is not None and self._go_on(call, reason)

    def on_answered(self, call: PbxCall) -> None:
        self._on_change(call)

    def on_end(self, call: PbxCall, report: CallReport) -> None:
        if call not in self.calls:
            return
        self.calls.discard(call)
        call.stop_timer()
        for end in End:
            self._busy[call.number(end)] -= 1
        self._office.say(f"{call.caller.number} to {call.called}: {report.outcome.value} ({report.reason})")
        self._on_change(call)

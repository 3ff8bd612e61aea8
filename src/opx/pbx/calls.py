"""Calls between extensions: placed, forwarded, picked up, ended."""

from collections import Counter
from collections.abc import Callable, Collection

from opx.pbx.call import PbxCall
from opx.pbx.features.forwarding import Forwarding, Reason, Route, forwarding_headers, reason_of
from opx.pbx.office import Office, Party
from opx.sdp import SdpError
from opx.sip import events
from opx.sip.address import NameAddr
from opx.sip.agent import new_tag
from opx.sip.answering import sdp_of
from opx.sip.bridge import CallReport, End
from opx.sip.errors import RemoteProtocolError
from opx.sip.session import Session
from opx.sip.transactions import ServerTransaction
from opx.sip.uri import Uri


class CallDesk:
    """Times in seconds: `ring_time` ends a call, `forward_after` hands it to where an extension forwards no-answers.

    `on_change` hears of every call that began to ring, changed its ends, was answered or ended.
    """

    def __init__(
        self,
        office: Office,
        *,
        ring_time: float,
        forward_after: float,
        forward_limit: int,
        calls_per_extension: int,
        on_change: Callable[[PbxCall], None] = lambda call: None,
    ) -> None:
        self.calls: set[PbxCall] = set()
        self.forwarding = Forwarding(
            office.states,
            known=office.extensions.__contains__,
            reachable=lambda number: office.contact_of(number) is not None,
            busy=lambda number: self._busy[number] >= calls_per_extension,
            limit=forward_limit,
        )
        self._office = office
        self._ring_time = ring_time
        self._forward_after = forward_after
        self._busy: Counter[str] = Counter()
        self._on_change = on_change

    def connect(self, transaction: ServerTransaction, caller: Party, number: str) -> None:
        """Take a phone's INVITE for an extension."""
        route = self.forwarding.begin(number, caller.number)
        if not route.number:
            self._office.say(f"{caller.number} calls {number}: refused with {route.status}")
            transaction.reply(route.status, to_tag=new_tag())
            return
        agent = self._office.agent
        call = PbxCall(
            caller,
            number,
            route,
            sdp_of(transaction.request),
            now=lambda: agent.now,
            on_refused=self._on_refused,
            on_answered=self._on_change,
            on_end=self._on_end,
        )
        try:
            call.bridge.caller = Session.incoming(
                agent, call.listener(End.CALLER), transaction, contact=self._office.contact
            )
        except RemoteProtocolError as error:
            transaction.reply(error.status, to_tag=new_tag())
            return
        self.calls.add(call)
        for party in (caller.number, route.number):
            self._busy[party] += 1
        self._office.say(f"{caller.number} calls {number}")
        self._ring(call)

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

    def ringing_at(self, numbers: Collection[str], taker: Party) -> PbxCall | None:
        """The call that has been ringing longest at one of the extensions, other than one that `taker` makes."""
        found = [
            call
            for call in self.calls
            if call.ringing and call.called in numbers and call.caller.number != taker.number
        ]
        return min(found, key=lambda call: call.started_at, default=None)

    def hang_up_all(self, reason: str) -> None:
        for call in list(self.calls):
            call.bridge.hang_up(reason)

    # --- ringing

    def _ring(self, call: PbxCall) -> None:
        office, route = self._office, call.route
        contact = office.contact_of(route.number)
        if call.bridge.caller is None or contact is None:
            call.bridge.hang_up("the phone is gone", 480)
            return
        if route.hops:
            call.bridge.caller.progress(181)
            hop = route.hops[-1]
            office.say(f"{call.caller.number} to {hop.number}: forwarded to {route.number} ({hop.reason.diversion})")
        forwarded = self.forwarding.answers_within(route.number)
        call.timer = office.agent.wheel.schedule(
            self._forward_after if forwarded else self._ring_time, lambda: self._on_no_answer(call)
        )
        domain = office.domain
        from_ = str(NameAddr(call.caller.name, Uri("sip", call.caller.number, None, domain.host, domain.port)))

        def make(offer: bytes) -> Session:
            return Session.call(
                office.agent,
                call.listener(End.CALLEE),
                contact.flow,
                uri=contact.uri,
                from_=from_,
                to=office.address_of(route.number),
                contact=office.contact,
                sdp=offer,
                headers=forwarding_headers(route, domain, office.name_of),
            )

        call.bridge.place(make, call.offer)
        if not call.bridge.over:
            self._on_change(call)

    def _on_no_answer(self, call: PbxCall) -> None:
        if not self._go_on(call, Reason.NO_ANSWER):
            call.bridge.hang_up("nobody answered", 480)

    def _on_refused(self, call: PbxCall, event: events.Refused) -> bool:
        reason = reason_of(event.status)
        return reason is not None and self._go_on(call, reason)

    def _go_on(self, call: PbxCall, reason: Reason) -> bool:
        """Whether the call rings elsewhere now."""
        route = self.forwarding.go_on(call.route, call.caller.number, reason)
        if not call.ringing or not route.number:
            return False
        call.stop_timer()
        if call.bridge.callee is not None:
            call.bridge.callee.hang_up()
        self._move(call.called, route.number)
        call.route = Route(route.number, route.hops)
        self._ring(call)
        return True

    def _move(self, before: str, after: str) -> None:
        self._busy[before] -= 1
        self._busy[after] += 1

    def _on_end(self, call: PbxCall, report: CallReport) -> None:
        if call not in self.calls:
            return
        self.calls.discard(call)
        call.stop_timer()
        for party in (call.caller.number, call.called):
            self._busy[party] -= 1
        self._office.say(f"{call.caller.number} to {call.called}: {report.outcome.value} ({report.reason})")
        self._on_change(call)

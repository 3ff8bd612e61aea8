"""Transfers: a phone asks with REFER, or a phone takes a place with Replaces (RFC 3515, RFC 3891, RFC 5589).

The node carries out every transfer by itself: the phone that is transferred keeps its dialog and gets a new partner by
re-INVITE, so that it need not know REFER.
"""

from opx.pbx.call import PbxCall
from opx.pbx.calls import CallDesk
from opx.pbx.features.forwarding import Route
from opx.pbx.office import Office, Party
from opx.sip.agent import new_tag
from opx.sip.bridge import End
from opx.sip.errors import RemoteProtocolError
from opx.sip.events import TransferAsked
from opx.sip.message import Request
from opx.sip.replaces import DialogName, Replaces
from opx.sip.session import Listener, Session
from opx.sip.transactions import ServerTransaction
from opx.sip.transfer import AttendedTransfer, BlindTransfer


class Transfers:
    def __init__(self, office: Office, desk: CallDesk) -> None:
        self._office = office
        self._desk = desk

    # --- REFER

    def asked(self, call: PbxCall, end: End, event: TransferAsked) -> None:
        """The phone at `end` wants its partner to call somebody else.

        What is wrong with the wish is told by NOTIFY: a 481 to the REFER itself would end the call (RFC 5057).
        """
        leg, kept = call.bridge.leg(end), call.bridge.leg(end.other)
        if leg is None:
            return
        if kept is None or not kept.up or call.bridge.retained is not None:
            leg.answer_transfer(event.id, 491)
            return
        number, replaces = event.refer_to.number, event.refer_to.replaces
        leg.answer_transfer(event.id, 202)
        consultation = self._consultation(call, end, replaces.dialog) if replaces is not None else None
        if replaces is not None and consultation is None:
            self._report(call, end, number, 481, True)
        elif consultation is not None and consultation[0].bridge.answered:
            self._join(call, end, *consultation)
        else:
            if consultation is not None:
                # The target rings still: it is called anew for the partner, without the phone between them.
                number = consultation[0].dialled
                consultation[0].hang_up(f"transferred to {number} while it rang", 487)
            self._call(call, end, kept, number)

    def _consultation(self, call: PbxCall, end: End, name: DialogName) -> tuple[PbxCall, End] | None:
        """The other call of who transfers, with the end at which it is; nobody transfers into others' calls."""
        found = self._desk.find(name)
        if found is None or found[0] is call or found[0].number(found[1]) != call.number(end):
            return None
        other, place = found
        if other.bridge.answered:
            return found if other.bridge.retained is None else None
        return found if place is End.CALLER and other.transfer is None else None

    def _call(self, call: PbxCall, end: End, kept: Session, number: str) -> None:
        """A blind transfer: call the target for `kept`."""
        caller = self._party(call, end.other)
        route = self._desk.forwarding.begin(number, caller.number)
        if number == caller.number or not route.number:
            self._report(call, end, number, route.status or 482, True)
            return
        new = self._desk.new_call(caller, number, route)
        new.referred_by = call.number(end)
        call.bridge.retained = end.other

        def done(status: int, over: bool) -> None:
            self._report(call, end, number, status, over)
            if not over:
                return
            call.bridge.retained = None
            new.stop_timer()
            new.transfer = new.on_target = None
            if status < 300:
                call.bridge.release(end.other, f"transferred to {new.called}")
                self._desk.on_answered(new)
                return
            new.bridge.hang_up("the transfer failed", status)
            if call.bridge.over:
                # Who transferred has gone, and there is nobody to go back to.
                kept.hang_up()

        def begin() -> None:
            def place(listener: Listener) -> Session:
                new.on_target = listener
                return self._desk.invite(new, b"")

            transfer = BlindTransfer(kept, new.bridge, place, done)
            if not transfer.over:
                new.transfer = transfer

        self._desk.ring_transferred(new, begin)

    def _join(self, call: PbxCall, end: End, consultation: PbxCall, place: End) -> None:
        """An attended transfer: connect the two partners of who transfers."""
        one, other = call.bridge.leg(end.other), consultation.bridge.leg(place.other)
        caller, target = self._party(call, end.other), consultation.number(place.other)
        if one is None or other is None:
            self._report(call, end, target, 480, True)
            return
        new = self._desk.new_call(caller, target, Route(target))
        call.bridge.retained, consultation.bridge.retained = end.other, place.other

        def done(status: int, over: bool) -> None:
            self._report(call, end, target, status, over)
            if not over:
                return
            call.bridge.retained = consultation.bridge.retained = None
            if status < 300:
                self._desk.add(new)
                call.bridge.release(end.other, f"transferred to {target}")
                consultation.bridge.release(place.other, f"{caller.number} was transferred here")
                self._desk.on_answered(new)
                return
            for each, partner in ((call, one), (consultation, other)):
                if each.bridge.over:
                    partner.hang_up()

        AttendedTransfer(one, other, new.bridge, done)

    def _report(self, call: PbxCall, end: End, number: str, status: int, over: bool) -> None:
        leg = call.bridge.leg(end)
        if leg is not None:
            leg.notify_transfer(status, over)
        if over:
            what = "done" if status < 300 else f"failed with {status}"
            self._office.say(f"{call.number(end)} transfers {call.number(end.other)} to {number}: {what}")

    def _party(self, call: PbxCall, end: End) -> Party:
        if end is End.CALLER:
            return call.caller
        number = call.called
        return Party(number, self._office.name_of(number) or number, self._office.states.of(number).phone or number)

    # --- INVITE with Replaces

    def replace(self, transaction: ServerTransaction, newcomer: Party, replaces: Replaces) -> None:
        """A phone asks for the place in a call: it was transferred by a stranger's means, or picks up from a lamp.

        Whoever knows a phone's own dialog may have it; who only watches picks up what rings, or moves a call of its own
        from another phone.
        """
        found = self._desk.find(replaces.dialog)
        watched = self._desk.find_watched(replaces.dialog) if found is None else None
        call, end = found or watched or (None, End.CALLER)
        if call is None or (call.ringing and end is End.CALLER):
            status = 481
        elif call.bridge.answered and replaces.early_only:
            status = 486
        elif call.bridge.answered and found is None and call.number(end) != newcomer.number:
            status = 403
        elif call.bridge.answered and call.bridge.retained is not None:
            status = 491
        else:
            self._let_in(call, end, transaction, newcomer)
            return
        self._office.say(f"{newcomer.number} finds no call to take: {status}")
        transaction.reply(status, to_tag=new_tag())

    def _let_in(self, call: PbxCall, end: End, transaction: ServerTransaction, newcomer: Party) -> None:
        if call.bridge.answered:
            self._desk.take_place(call, end, transaction, newcomer)
        elif call.movable:
            self._desk.pick_up(call, transaction, newcomer)
        else:
            transaction.reply(491, to_tag=new_tag())


def replaces_of(request: Request) -> Replaces | None:
    """The Replaces of an INVITE, None without one. RemoteProtocolError when malformed or more than one (section 3)."""
    values = request.get_all("replaces")
    if len(values) > 1:
        raise RemoteProtocolError("an INVITE replaces one dialog")
    return Replaces.parse(values[0]) if values else None

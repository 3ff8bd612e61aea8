"""Transfers (REFER) across the gateway: passed on where the other side can, carried out here where an ICP cannot."""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import count

from opx.gateway.media.interface import Side
from opx.gateway.repository import DeviceRecord
from opx.gateway.signalling.call import Call
from opx.gateway.signalling.dialog_names import DialogNames
from opx.gateway.signalling.directory import Directory
from opx.gateway.signalling.icps import IcpLink
from opx.gateway.signalling.identity import MAX_NUMBER
from opx.gateway.signalling.legs import call_icp
from opx.gateway.signalling.nodes import Node
from opx.gateway.signalling.timeline import Kind, Timeline
from opx.sip.agent import UserAgent
from opx.sip.bridge import Bridge, CallReport, End
from opx.sip.events import SessionEvent, TransferAsked
from opx.sip.flow import host_port
from opx.sip.replaces import ReferTo, Replaces
from opx.sip.session import Session
from opx.sip.transfer import AttendedTransfer, BlindTransfer
from opx.sip.uri import Uri, is_user

NO_REFER = frozenset((405, 420, 501))
"""Answers by which an ICP says that it knows no REFER."""
NOT_FOR_THE_ASKER = frozenset((401, 407, 408, 481))
"""Statuses that ask for credentials of another, or say that the call is gone (RFC 5057 section 5.1)."""


class Transfers:
    """Hears of every REFER in a call, with the side that sent it."""

    def __init__(
        self,
        *,
        set_agent: UserAgent,
        icp_agent: UserAgent,
        names: DialogNames,
        directory: Directory,
        links: Callable[[int], IcpLink | None],
        timeline: Timeline,
    ) -> None:
        self._set_agent = set_agent
        self._icp_agent = icp_agent
        self._names = names
        self._directory = directory
        self._links = links
        self._timeline = timeline
        self._serials = count(1)
        self._joined: dict[int, tuple[int, Bridge]] = {}
        self._trying: dict[str, tuple[int, BlindTransfer | AttendedTransfer | None]] = {}
        self._left: dict[str, int] = {}

    def __len__(self) -> int:
        """Calls between two parties at the ICP, connected here for an ICP that could not, or about to be."""
        return len(self._joined) + len(self._left)

    def of(self, device_id: int) -> int:
        """How many of these a device has made."""
        joined = sum(1 for owner, _ in self._joined.values() if owner == device_id)
        return joined + sum(1 for owner in self._left.values() if owner == device_id)

    def busy(self, call: Call) -> bool:
        """The ICP's leg of a call is about to get another partner."""
        return call.call_id in self._trying

    def call_over(self, call: Call) -> None:
        """A call has ended: a transfer of it goes on without the set, unless the ICP's leg ended, too."""
        trying = self._trying.get(call.call_id)
        if trying is None:
            return
        device_id, transfer = trying
        leg = call.icp_leg
        if leg is not None and leg.up:
            self._left[call.call_id] = device_id
        elif transfer is not None:
            transfer.give_up()

    def asked(self, call: Call, side: Side, event: TransferAsked) -> None:
        device = self._directory.device(call.device_id)
        link = self._links(device.icp_id) if device is not None else None
        leg = call.leg(side)
        if leg is None:
            return
        number = event.refer_to.number
        if device is None or link is None or not link.nodes or not 0 < len(number) <= MAX_NUMBER or not is_user(number):
            leg.answer_transfer(event.id, 404)
        elif side is Side.SET:
            self._from_set(call, device, link, leg, event)
        else:
            self._from_icp(call, leg, event)

    def drop(self, device_id: int, why: str) -> None:
        """The device may not call any more."""
        self._give_up([trying for owner, trying in self._trying.values() if owner == device_id])
        for bridge in [bridge for owner, bridge in self._joined.values() if owner == device_id]:
            bridge.hang_up(why)

    def hang_up_all(self, why: str) -> None:
        self._give_up([trying for _, trying in self._trying.values()])
        for _, bridge in list(self._joined.values()):
            bridge.hang_up(why)

    @staticmethod
    def _give_up(transfers: Iterable[BlindTransfer | AttendedTransfer | None]) -> None:
        for transfer in transfers:
            if transfer is not None:
                transfer.give_up()

    # --- a set transfers its partner

    def _from_set(self, call: Call, device: DeviceRecord, link: IcpLink, leg: Session, event: TransferAsked) -> None:
        partner, number = call.icp_leg, event.refer_to.number
        if partner is None or not partner.up:
            leg.answer_transfer(event.id, 480)
            return
        consultation: Call | None = None
        replaces: Replaces | None = None
        if (wanted := event.refer_to.replaces) is not None:
            name = self._names.toward_icp(wanted.dialog, device.id)
            consultation = self._names.call(Side.SET, wanted.dialog, device.id)
            if (name is None and consultation is None) or consultation is call:
                # Answered 481 the set would think that the call itself is gone.
                leg.answer_transfer(event.id, 202)
                self._progress(call, leg, number, 481, True)
                return
            if consultation is not None and self.busy(consultation):
                leg.answer_transfer(event.id, 491)
                return
            if consultation is not None and not consultation.bridge.answered:
                # The target rings still: it is called anew for the partner, without the set between them.
                consultation.hang_up(f"transferred to {number} while it rang")
                consultation = None
            else:
                replaces = Replaces(name, wanted.early_only) if name is not None else None
        if partner.usage.peer_allows("REFER") is False:
            self._carry_out(call, device, link, leg, event, consultation)
            return
        if partner.referring or self.busy(call):
            leg.answer_transfer(event.id, 491)
            return
        target = ReferTo(_at(link.node_of(partner.route, device.id).domain, number), replaces)
        partner.refer(target, partial(self._referred, call, device, link, leg, event, consultation))

    def _referred(
        self,
        call: Call,
        device: DeviceRecord,
        link: IcpLink,
        leg: Session,
        event: TransferAsked,
        consultation: Call | None,
        status: int,
    ) -> None:
        if status in NO_REFER:
            self._carry_out(call, device, link, leg, event, consultation)
        else:
            self._answer(call, leg, event, status)

    def _answer(self, call: Call, leg: Session, event: TransferAsked, status: int) -> None:
        if status >= 300:
            self._note(call.device_id, f"transfer to {event.refer_to.number} refused: the other side answered {status}")
            status = 503 if status < 400 or status in NOT_FOR_THE_ASKER else status
        leg.answer_transfer(event.id, status)

    # --- an ICP asks a set to call somebody else

    def _from_icp(self, call: Call, leg: Session, event: TransferAsked) -> None:
        phone = call.set_leg
        if phone is None or not phone.up:
            leg.answer_transfer(event.id, 480)
            return
        if phone.usage.peer_allows("REFER") is False:
            leg.answer_transfer(event.id, 603)
            return
        if phone.referring:
            leg.answer_transfer(event.id, 491)
            return
        wanted = event.refer_to.replaces
        replaces = Replaces(self._names.toward_set(wanted.dialog), wanted.early_only) if wanted else None
        domain = host_port(self._set_agent.local)
        phone.refer(
            ReferTo(_at(domain, event.refer_to.number), replaces),
            partial(self._answer, call, leg, event),
        )

    # --- the ICP has no REFER

    def _carry_out(
        self,
        call: Call,
        device: DeviceRecord,
        link: IcpLink,
        leg: Session,
        event: TransferAsked,
        consultation: Call | None,
    ) -> None:
        partner, number = call.icp_leg, event.refer_to.number
        if leg.ended or partner is None or not partner.up or self.busy(call):
            leg.answer_transfer(event.id, 491)
            return
        if consultation is not None and (consultation.bridge.over or self.busy(consultation)):
            leg.answer_transfer(event.id, 491)
            return
        leg.answer_transfer(event.id, 202)
        serial = next(self._serials)
        bridge = self._new_bridge(serial, device.id, number)
        call.retain_icp_leg(True)
        done = partial(self._carried_out, call, consultation, leg, partner, number, serial, bridge)
        if consultation is not None:
            self._connect(call, partner, consultation, bridge, done)
            return
        node = link.node_of(partner.route, device.id)
        transfer = BlindTransfer(partner, bridge, partial(self._call_target, call, device, node, number), done)
        if not transfer.over:
            self._trying[call.call_id] = (device.id, transfer)

    def _call_target(
        self, call: Call, device: DeviceRecord, node: Node, number: str, listener: Callable[[SessionEvent], None]
    ) -> Session:
        session = call_icp(self._icp_agent, listener, device, node, number, offer=b"", reliable=False)
        call.trace(Side.ICP, session.call_id)
        return session

    def _carried_out(
        self,
        call: Call,
        consultation: Call | None,
        leg: Session,
        partner: Session,
        number: str,
        serial: int,
        bridge: Bridge,
        status: int,
        over: bool,
    ) -> None:
        """How a transfer goes that is carried out here."""
        self._progress(call, leg, number, status, over)
        if not over:
            return
        self._forget(call)
        call.retain_icp_leg(False)
        if status < 300:
            self._joined[serial] = (call.device_id, bridge)
            for each in (call, consultation):
                if each is not None:
                    each.release_icp_leg(f"transferred to {number}")
        elif call.bridge.over:
            # The set has left it to us, and there is nobody to go back to.
            partner.hang_up()

    def _connect(
        self, call: Call, partner: Session, consultation: Call, bridge: Bridge, done: Callable[[int, bool], None]
    ) -> None:
        other = consultation.icp_leg
        if other is None:
            done(480, True)
            return
        consultation.retain_icp_leg(True)
        transfer = AttendedTransfer(partner, other, bridge, partial(self._connected, consultation, other, done))
        if not transfer.over:
            for each in (call, consultation):
                self._trying[each.call_id] = (call.device_id, transfer)

    def _connected(
        self, consultation: Call, other: Session, done: Callable[[int, bool], None], status: int, over: bool
    ) -> None:
        self._forget(consultation)
        consultation.retain_icp_leg(False)
        done(status, over)
        if status >= 300 and consultation.bridge.over:
            other.hang_up()

    def _forget(self, call: Call) -> None:
        self._trying.pop(call.call_id, None)
        self._left.pop(call.call_id, None)

    def _new_bridge(self, serial: int, device_id: int, number: str) -> Bridge:
        return Bridge(
            translate=_as_it_is,
            on_end=partial(self._joined_over, serial, device_id, number),
            now=lambda: self._icp_agent.now,
        )

    def _joined_over(self, serial: int, device_id: int, number: str, report: CallReport) -> None:
        self._joined.pop(serial, None)
        self._note(device_id, f"call transferred to {number} is over, {report.talked:.0f} s ({report.reason})")

    def _progress(self, call: Call, leg: Session, number: str, status: int, over: bool) -> None:
        leg.notify_transfer(status, over)
        if over:
            self._note(call.device_id, f"transfer to {number}: {'done' if status < 300 else f'failed with {status}'}")

    def _note(self, device_id: int, text: str) -> None:
        self._timeline.add(device_id, Kind.CALL, text)


def _as_it_is(end: End, sdp: bytes) -> bytes:
    """Both ends lie at the ICP."""
    return sdp


def _at(domain: str, number: str) -> Uri:
    host = Uri.parse(f"sip:{domain}")
    return Uri("sip", number, None, host.host, host.port)

"""All calls: whether one may be made, where it goes, and what is written about it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from opx.gateway.media.interface import RelayStats, Side
from opx.gateway.repository import DeviceRecord
from opx.gateway.signalling.admission import Admission
from opx.gateway.signalling.alg import AlgWatch
from opx.gateway.signalling.aliases import DialogAliases
from opx.gateway.signalling.answers import answer
from opx.gateway.signalling.bindings import BindingTable, LiveBinding
from opx.gateway.signalling.call import Call
from opx.gateway.signalling.call_log import CallLog, RefusedCall
from opx.gateway.signalling.call_media import CallMedia, MediaDesk
from opx.gateway.signalling.dialog_names import DialogNames, far_name
from opx.gateway.signalling.directory import Directory
from opx.gateway.signalling.icp_call import IcpCall, IcpCallPolicy
from opx.gateway.signalling.icp_registrations import icp_contact
from opx.gateway.signalling.icps import IcpLink
from opx.gateway.signalling.identity import caller_of, number_of
from opx.gateway.signalling.legs import call_set, set_contact
from opx.gateway.signalling.timeline import Kind, Timeline
from opx.gateway.signalling.traces import CallTraces
from opx.gateway.signalling.transfers import Transfers
from opx.sdp import AttributePolicy
from opx.sip.agent import UserAgent
from opx.sip.answering import sdp_of
from opx.sip.bridge import CallReport
from opx.sip.digest import DigestClient
from opx.sip.entropy import random_hex
from opx.sip.errors import RemoteProtocolError
from opx.sip.message import Request
from opx.sip.replaces import Replaces
from opx.sip.session import Headers, Session
from opx.sip.transactions import ServerTransaction


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """Limits do not hold for `emergency_numbers`."""

    max_calls: int = 1000
    max_calls_per_device: int = 4
    retry_after: int = 10
    emergency_numbers: frozenset[str] = frozenset()
    sdp: AttributePolicy = field(default_factory=AttributePolicy)
    icp: IcpCallPolicy = field(default_factory=IcpCallPolicy)


class Calls:
    """Makes calls out of INVITEs of either side and keeps them until they end."""

    def __init__(
        self,
        *,
        set_agent: UserAgent,
        icp_agent: UserAgent,
        admission: Admission,
        directory: Directory,
        aliases: DialogAliases,
        bindings: BindingTable,
        links: Callable[[int], IcpLink | None],
        desk: MediaDesk,
        media_addresses: dict[Side, str],
        timeline: Timeline,
        alg: AlgWatch,
        traces: CallTraces,
        log: CallLog,
        policy: CallPolicy,
    ) -> None:
        self._traces = traces
        self._log = log
        self._set_agent = set_agent
        self._icp_agent = icp_agent
        self._admission = admission
        self._bindings = bindings
        self._links = links
        self._desk = desk
        self._media_addresses = media_addresses
        self._timeline = timeline
        self._alg = alg
        self._policy = policy
        self._calls: dict[str, Call] = {}
        self._by_device: dict[int, list[Call]] = {}
        self._names = DialogNames(aliases, self.of)
        self.transfers = Transfers(
            set_agent=set_agent,
            icp_agent=icp_agent,
            names=self._names,
            directory=directory,
            links=links,
            timeline=timeline,
        )

    def take_policy(self, policy: CallPolicy) -> None:
        """From the next call on."""
        self._policy = policy

    def __len__(self) -> int:
        return len(self._calls)

    def of(self, device_id: int) -> list[Call]:
        return list(self._by_device.get(device_id, ()))

    def find(self, call_id: str) -> Call | None:
        return self._calls.get(call_id)

    def all(self) -> list[Call]:
        """The oldest first."""
        return list(self._calls.values())

    # --- a set calls

    def from_set(self, transaction: ServerTransaction) -> None:
        """An INVITE of the set side, outside any dialog."""
        device = self._admission.admit(transaction, proxy=True)
        if device is None:
            return
        self._alg.calling(device.id, transaction.request, transaction.flow)
        try:
            number = number_of(transaction.request)
        except RemoteProtocolError as error:
            self._refuse(transaction, device.id, Side.SET, "", error.status, str(error))
            return
        emergency = number in self._policy.emergency_numbers
        bound = self._bindings.registered_from(device.id, transaction.flow.remote[0])
        link = self._links(device.icp_id)
        if not bound and not emergency:
            self._refuse(transaction, device.id, Side.SET, number, 403, "the phone is not registered from there")
        elif link is None or (not link.available and not (emergency and link.nodes)):
            name = link.record.name if link else "?"
            retry = link.retry_after if link else self._policy.retry_after
            self._refuse(transaction, device.id, Side.SET, number, 503, f"ICP {name} does not answer", retry)
        elif self._too_many(device.id) and not emergency:
            self._refuse(transaction, device.id, Side.SET, number, 503, "too many calls", self._policy.retry_after)
        else:
            self._call_icp(transaction, device, link, number)

    def _call_icp(self, transaction: ServerTransaction, device: DeviceRecord, link: IcpLink, number: str) -> None:
        request = transaction.request
        call = self._new_call(device.id, Side.SET, number)
        call.media.set_side_is_at(transaction.flow.remote[0])
        try:
            headers = self._replaces_at_icp(request, device.id)
            caller = Session.incoming(
                self._set_agent,
                call.listener(Side.SET),
                transaction,
                contact=set_contact(self._set_agent, transaction.flow),
                authorize=lambda later: self._authorize(call, device, later),
            )
            display = request.from_.display
        except RemoteProtocolError as error:
            self._refuse(transaction, device.id, Side.SET, number, error.status, str(error))
            return
        call.bridge.caller = caller
        call.trace(Side.SET, caller.call_id)
        self._keep(call)
        leg = IcpCall(
            self._icp_agent,
            call,
            device,
            link,
            display=display,
            headers=headers,
            reliable=caller.takes_reliable,
            emergency=number in self._policy.emergency_numbers,
            timeline=self._timeline,
            policy=self._policy.icp,
        )
        call.start(sdp_of(request), leg.place)

    def _replaces_at_icp(self, request: Request, device_id: int) -> Headers:
        """A set's Replaces as the ICP is to get it. RemoteProtocolError(481) when it names no dialog that we know."""
        value = request.get("replaces")
        if value is None:
            return ()
        wanted = Replaces.parse(value)
        name = self._names.toward_icp(wanted.dialog, device_id)
        if name is None:
            raise RemoteProtocolError("its Replaces names no call", status=481)
        return (("replaces", str(Replaces(name, wanted.early_only))),)

    # --- an ICP calls

    def from_icp(self, transaction: ServerTransaction, device: DeviceRecord, link: IcpLink) -> None:
        """An INVITE of an ICP for `device`, outside any dialog."""
        request = transaction.request
        binding = self._bindings.reachable(device.id)
        display, user = caller_of(request)
        replaced: Call | None = None
        headers: Headers = ()
        if (value := request.get("replaces")) is not None:
            try:
                replaced, headers = self._replaces_at_set(Replaces.parse(value), device.id)
            except RemoteProtocolError as error:
                self._refuse(transaction, device.id, Side.ICP, user, error.status, str(error))
                return
        if replaced is not None and not headers and self.transfers.busy(replaced):
            self._refuse(transaction, device.id, Side.ICP, user, 491, "what it wants to replace is transferred")
        elif replaced is not None and not headers:
            self._replace(transaction, device, link, replaced, user)
        elif binding is None:
            self._refuse(transaction, device.id, Side.ICP, user, 480, "the phone cannot be reached")
        elif replaced is None and self._too_many(device.id):
            self._refuse(transaction, device.id, Side.ICP, user, 486, "too many calls")
        else:
            self._call_set(transaction, device, link, binding, display, user, headers)

    def _replaces_at_set(self, wanted: Replaces, device_id: int) -> tuple[Call, Headers]:
        """The set's call that an ICP wants to replace, and its Replaces as the set is to get it.

        No headers when the set knows no Replaces, so that the gateway has to do it. RemoteProtocolError(481) when
        there is no such call; 486 when it had to be early and is not (RFC 3891 section 3).
        """
        call = self._names.call(Side.ICP, wanted.dialog, device_id)
        phone = call.set_leg if call is not None else None
        if call is None or phone is None:
            raise RemoteProtocolError("its Replaces names no call of the phone", status=481)
        if call.bridge.answered and wanted.early_only:
            raise RemoteProtocolError("the call that it wants to pick up is answered", status=486)
        name = far_name(phone)
        if phone.usage.peer_supports("replaces") and name is not None:
            return call, (("replaces", str(Replaces(name, wanted.early_only))),)
        if not phone.up:
            raise RemoteProtocolError("the call that it wants to replace is not answered", status=481)
        return call, ()

    def _replace(
        self, transaction: ServerTransaction, device: DeviceRecord, link: IcpLink, call: Call, user: str
    ) -> None:
        offer = sdp_of(transaction.request)
        try:
            newcomer = self._from_icp(transaction, device, link, call)
        except RemoteProtocolError as error:
            self._refuse(transaction, device.id, Side.ICP, user, error.status, str(error))
            return
        call.trace(Side.ICP, newcomer.call_id)
        self._timeline.add(device.id, Kind.CALL, f"call {call.number}: {user} takes the other end's place")
        call.replace_icp_leg(newcomer, offer)

    def _call_set(
        self,
        transaction: ServerTransaction,
        device: DeviceRecord,
        link: IcpLink,
        binding: LiveBinding,
        display: str,
        user: str,
        headers: Headers,
    ) -> None:
        offer = sdp_of(transaction.request)
        call = self._new_call(device.id, Side.ICP, user)
        call.media.set_side_is_at(binding.flow.remote[0])
        try:
            caller = call.bridge.caller = self._from_icp(transaction, device, link, call)
        except RemoteProtocolError as error:
            self._refuse(transaction, device.id, Side.ICP, user, error.status, str(error))
            return
        call.trace(Side.ICP, caller.call_id)
        self._keep(call)

        def place(offer: bytes) -> Session:
            session = call_set(
                self._set_agent,
                call.listener(Side.SET),
                device,
                binding,
                offer=offer,
                display=display,
                user=user,
                authorize=lambda later: self._authorize(call, device, later),
                headers=headers,
                reliable=caller.takes_reliable,
            )
            call.trace(Side.SET, session.call_id)
            return session

        call.start(offer, place)

    def _from_icp(self, transaction: ServerTransaction, device: DeviceRecord, link: IcpLink, call: Call) -> Session:
        node = link.node_at(transaction.flow.remote) or link.nodes[0]
        return Session.incoming(
            self._icp_agent,
            call.listener(Side.ICP),
            transaction,
            contact=icp_contact(device, node, self._icp_agent),
            route=node.destination,
            credentials=DigestClient(device.icp_username, device.icp_password),
        )

    # --- while a call lasts

    def _authorize(self, call: Call, device: DeviceRecord, transaction: ServerTransaction) -> bool:
        """Requests within a call come from where the set is; from anywhere else they need its credentials."""
        leg = call.set_leg
        flow = transaction.flow
        if leg is None:
            return True
        if not self._admission.admit_within(transaction, device.id, leg.route):
            return False
        if flow != leg.route:
            leg.route = flow
            call.media.set_side_is_at(flow.remote[0])
        return True

    def moved(self, binding: LiveBinding) -> None:
        """A set registered, perhaps from a new place: its calls follow it there, but for those of its other phones."""
        others = [other.flow for other in self._bindings.of(binding.device_id) if other is not binding]
        for call in self.of(binding.device_id):
            leg = call.set_leg
            if leg is not None and not leg.ended and leg.route not in others:
                leg.route = binding.flow
                call.media.set_side_is_at(binding.flow.remote[0])

    def silent(self, call_id: str) -> None:
        """The relay heard nothing from either side for too long."""
        if (call := self._calls.get(call_id)) is not None:
            call.hang_up("no media in either direction")

    def media_lost(self, call_id: str) -> None:
        """The relay that carried a call is gone."""
        if (call := self._calls.get(call_id)) is not None:
            call.hang_up("the media relay failed")

    def drop(self, device_id: int, why: str) -> None:
        for call in self.of(device_id):
            call.hang_up(why)
        self.transfers.drop(device_id, why)

    def hang_up_all(self, why: str) -> None:
        for call in list(self._calls.values()):
            call.hang_up(why)
        self.transfers.hang_up_all(why)

    # --- helpers

    def _new_call(self, device_id: int, caller: Side, number: str) -> Call:
        call_id = random_hex(8)
        return Call(
            call_id=call_id,
            device_id=device_id,
            caller=caller,
            number=number,
            media=CallMedia(self._desk, call_id, self._media_addresses, self._policy.sdp),
            now=lambda: self._set_agent.now,
            on_end=self._on_end,
            on_transfer=self.transfers.asked,
            claim=self._traces.claim,
        )

    def _keep(self, call: Call) -> None:
        self._calls[call.call_id] = call
        self._by_device.setdefault(call.device_id, []).append(call)
        self._log.began(call)

    def _on_end(self, call: Call, report: CallReport) -> None:
        if self._calls.pop(call.call_id, None) is None:
            return
        held = self._by_device[call.device_id]
        held.remove(call)
        if not held:
            del self._by_device[call.device_id]
        self.transfers.call_over(call)
        call.media.close()
        direction = "to" if call.caller is Side.SET else "from"
        text = f"call {direction} {call.number}: {report.outcome.value}"
        if report.answered_at:
            text += f", {report.talked:.0f} s"
        self._timeline.add(call.device_id, Kind.CALL, f"{text} ({report.reason})")
        self._log.over(call, report)

    def on_media_closed(self, call_id: str, stats: RelayStats) -> None:
        """What the relay counted for a call that is over."""
        self._log.counted(call_id, stats)

    def _too_many(self, device_id: int) -> bool:
        held = len(self._by_device.get(device_id, ())) + self.transfers.of(device_id)
        return (
            len(self._calls) + len(self.transfers) >= self._policy.max_calls
            or held >= self._policy.max_calls_per_device
        )

    def _refuse(
        self,
        transaction: ServerTransaction,
        device_id: int,
        caller: Side,
        number: str,
        status: int,
        why: str,
        retry_after: int | None = None,
    ) -> None:
        """Turn a call away before it has become one. `number` is the far party's, "" when it could not be read."""
        direction = "to" if caller is Side.SET else "from"
        text = f"call {direction} {number}: {why}" if number else why
        self._timeline.add(device_id, Kind.REFUSAL, text, once=True)
        self._log.refused(RefusedCall(device_id, caller, number, status, why, transaction.flow, transaction.request))
        answer(transaction, status, retry_after)

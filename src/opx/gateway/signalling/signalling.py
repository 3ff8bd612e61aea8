"""All of signalling in one object, without a socket: two user agents, and what stands between them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from opx.gateway.media.interface import Side
from opx.gateway.repository import DeviceRecord, IcpRecord, NodeAddress
from opx.gateway.signalling import bodies, messages, notices
from opx.gateway.signalling.admission import Admission
from opx.gateway.signalling.alg import AlgWatch
from opx.gateway.signalling.aliases import DialogAliases
from opx.gateway.signalling.answers import answer, refuse
from opx.gateway.signalling.bindings import LiveBinding
from opx.gateway.signalling.call_log import CallLog, NoCallLog
from opx.gateway.signalling.call_media import MediaDesk
from opx.gateway.signalling.calls import CallPolicy, Calls
from opx.gateway.signalling.directory import Directory
from opx.gateway.signalling.icp_registrations import DEVICE_PARAM, IcpRegistrations
from opx.gateway.signalling.icps import IcpLink, ProbePolicy
from opx.gateway.signalling.inside import InsideNames, Network
from opx.gateway.signalling.keepalive import KeepAlive, KeepAlivePolicy
from opx.gateway.signalling.licences import Licences
from opx.gateway.signalling.messages import MessagePolicy, Messages
from opx.gateway.signalling.nodes import Node
from opx.gateway.signalling.notices import NoticePolicy, Notices
from opx.gateway.signalling.quick_register import QuickRegistrar
from opx.gateway.signalling.registrar import BindingStore, Registrar, RegistrarPolicy
from opx.gateway.signalling.subscriptions import SubscriptionPolicy, Subscriptions
from opx.gateway.signalling.timeline import Kind, Timeline
from opx.gateway.signalling.traces import CallTraces
from opx.sip.agent import ALLOW, UserAgent
from opx.sip.digest import DigestVerifier
from opx.sip.errors import RemoteProtocolError
from opx.sip.exchange import FlowSource
from opx.sip.flow import Address, Flow
from opx.sip.locating import Candidate
from opx.sip.registration import RegistrationPolicy, RegistrationResult
from opx.sip.session_timer import SessionTimerPolicy
from opx.sip.subscription import Reason
from opx.sip.timers import TimerWheel
from opx.sip.transactions import ServerTransaction, Timing
from opx.sip.uri import Uri

WITHIN_CALLS = "INFO, MESSAGE, REFER, NOTIFY"
SET_ALLOW = f"{ALLOW}, {WITHIN_CALLS}, REGISTER, SUBSCRIBE"
ICP_ALLOW = f"{ALLOW}, {WITHIN_CALLS}"
"""What the gateway takes on each side."""
SET_ACCEPT = ("application/sdp", messages.TEXT)
ICP_ACCEPT = (*SET_ACCEPT, *bodies.CONTENT_TYPES, *sorted(notices.XML_TYPES))
"""Bodies that it reads on each side."""


@dataclass(frozen=True, slots=True)
class SignallingPolicy:
    """Everything that an administrator may set about signalling."""

    registrar: RegistrarPolicy = field(default_factory=RegistrarPolicy)
    icp_registration: RegistrationPolicy = field(default_factory=RegistrationPolicy)
    icp_spread: float = 50.0
    contacts_per_device: int = 1
    licences: int | None = None
    probe: ProbePolicy = field(default_factory=ProbePolicy)
    keep_alive: KeepAlivePolicy = field(default_factory=KeepAlivePolicy)
    calls: CallPolicy = field(default_factory=CallPolicy)
    session_timer: SessionTimerPolicy = field(default_factory=SessionTimerPolicy)
    subscriptions: SubscriptionPolicy = field(default_factory=SubscriptionPolicy)
    notices: NoticePolicy = field(default_factory=NoticePolicy)
    messages: MessagePolicy = field(default_factory=MessagePolicy)
    inside_networks: tuple[Network, ...] = ()
    """Networks whose addresses are to stay inside, in texts that the gateway did not write."""


class Signalling:
    """Make it, give its agents to two stacks (or to a test), then `replace_content` and `start`."""

    def __init__(
        self,
        *,
        wheel: TimerWheel,
        set_flows: FlowSource,
        icp_flows: FlowSource,
        verifier: DigestVerifier,
        desk: MediaDesk,
        media_addresses: dict[Side, str],
        timeline: Timeline,
        store: BindingStore,
        policy: SignallingPolicy,
        call_log: CallLog | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.directory = Directory()
        self.timeline = timeline
        self._policy = policy
        self._links: dict[int, IcpLink] = {}
        self._started = False
        self.aliases = DialogAliases()
        self.set_agent = UserAgent(
            _SetSide(self),
            wheel,
            set_flows,
            timing=timing,
            allow=SET_ALLOW,
            allow_events=", ".join(policy.subscriptions.packages),
            accept=SET_ACCEPT,
            session_timer=policy.session_timer,
        )
        self.icp_agent = UserAgent(
            _IcpSide(self),
            wheel,
            icp_flows,
            timing=timing,
            allow=ICP_ALLOW,
            accept=ICP_ACCEPT,
            session_timer=policy.session_timer,
        )
        self.traces = CallTraces()
        self.set_agent.tap = self.traces.taps[Side.SET]
        self.icp_agent.tap = self.traces.taps[Side.ICP]
        self.admission = Admission(self.directory, verifier, timeline, lambda: wheel.now)
        alg = AlgWatch(timeline)
        self.icps = IcpRegistrations(
            self.icp_agent,
            policy.icp_registration,
            policy.icp_spread,
            self._on_icp_result,
            timeline=timeline,
            patience=policy.calls.icp.patience,
        )
        self.registrar = Registrar(
            admission=self.admission,
            directory=self.directory,
            links=self._links.get,
            icps=self.icps,
            licences=Licences(policy.licences),
            timeline=timeline,
            wheel=wheel,
            policy=policy.registrar,
            store=store,
            alg=alg,
            contacts_per_device=policy.contacts_per_device,
            on_bound=self._on_bound,
            on_refreshed=self._on_refreshed,
            on_gone=self._on_gone,
        )
        self.set_agent.quick_register = QuickRegistrar(
            self.set_agent, registrar=self.registrar, directory=self.directory, verifier=verifier, alg=alg
        ).take
        self.calls = Calls(
            set_agent=self.set_agent,
            icp_agent=self.icp_agent,
            admission=self.admission,
            directory=self.directory,
            aliases=self.aliases,
            bindings=self.registrar.bindings,
            links=self._links.get,
            desk=desk,
            media_addresses=media_addresses,
            timeline=timeline,
            alg=alg,
            traces=self.traces,
            log=call_log or NoCallLog(),
            policy=policy.calls,
        )
        inside = InsideNames(policy.inside_networks, self._inside_hosts)
        self.subscriptions = Subscriptions(
            set_agent=self.set_agent,
            icp_agent=self.icp_agent,
            admission=self.admission,
            bindings=self.registrar.bindings,
            links=self._links.get,
            timeline=timeline,
            aliases=self.aliases,
            inside=inside,
            policy=policy.subscriptions,
            single_contact=policy.contacts_per_device == 1,
        )
        self.notices = Notices(
            set_agent=self.set_agent,
            bindings=self.registrar.bindings,
            timeline=timeline,
            inside=inside,
            policy=policy.notices,
        )
        self.messages = Messages(
            set_agent=self.set_agent,
            icp_agent=self.icp_agent,
            admission=self.admission,
            bindings=self.registrar.bindings,
            links=self._links.get,
            timeline=timeline,
            policy=policy.messages,
        )
        self._store = store
        self._keep_alive = KeepAlive(self.set_agent, policy.keep_alive, self.registrar.bindings, self.registrar.idle)

    @property
    def names(self) -> set[NodeAddress]:
        """The nodes of ICPs that are known by name, to be looked up."""
        return {address for link in self._links.values() for address in link.names}

    def located(self, address: NodeAddress, candidates: Sequence[Candidate]) -> None:
        """Where a name leads now."""
        for link in self._links.values():
            if address in link.names:
                link.located(address, candidates)

    def not_located(self, address: NodeAddress, why: str) -> None:
        """DNS gave no answer, or one of no use; what it said before still holds."""
        for link in self._links.values():
            if address in link.names:
                text = f"ICP {link.record.name}: {address.host} cannot be resolved: {why}"
                self.timeline.add(None, Kind.ICP, text, once=True)

    @property
    def links(self) -> list[IcpLink]:
        return list(self._links.values())

    def start(self) -> None:
        """Begin to ask the ICPs for their health."""
        self._started = True
        for link in self._links.values():
            link.start()

    def stop(self) -> None:
        """Hang up what is going on and stop asking; registrations stay, for a restart goes on with them."""
        self.calls.hang_up_all("the gateway is stopped")
        self.subscriptions.stop()
        for link in self._links.values():
            link.stop()

    def replace_content(self, icps: Iterable[IcpRecord], devices: Iterable[DeviceRecord]) -> None:
        """Take over what the database holds now, at the start and after every change."""
        before = {device.id: device for device in self.directory.devices}
        self.directory.replace(icps, devices)
        changed_icps = self._replace_links()
        for device_id, old in before.items():
            new = self.directory.device(device_id)
            if new is None or not new.enabled:
                why = "the device was removed" if new is None else "the device was disabled"
                self.subscriptions.drop(device_id, Reason.REJECTED)
                self.subscriptions.forget(device_id)
                self.messages.forget(device_id)
                self.registrar.drop(device_id, why)
                self.calls.drop(device_id, why)
            elif (old.revision, old.icp_id) != (new.revision, new.icp_id) or new.icp_id in changed_icps:
                self.registrar.drop(device_id, "its credentials or ICP were changed")

    def _replace_links(self) -> set[int]:
        changed = set()
        for icp_id in [known for known in self._links if self.directory.icp(known) is None]:
            self._links.pop(icp_id).stop()
        for record in self.directory.icps:
            link = self._links.get(record.id)
            if link is not None and link.record == record:
                continue
            if link is not None and link.record.addresses[0] == record.addresses[0]:
                link.changed(record)
                continue
            if link is not None:
                link.stop()
                changed.add(record.id)
            self._links[record.id] = IcpLink(
                record, self.icp_agent, self._policy.probe, self.timeline, self._on_nodes_changed
            )
            if self._started:
                self._links[record.id].start()
        return changed

    def take_policy(self, policy: SignallingPolicy) -> None:
        """What may change while the gateway runs: licences, set-side expiries, bounds of calls, keep-alive."""
        self.registrar.licences.total = policy.licences
        self.registrar.take_policy(policy.registrar)
        self.calls.take_policy(policy.calls)
        self._keep_alive.take_policy(policy.keep_alive)

    # --- between the parts

    def _on_icp_result(self, device_id: int, result: RegistrationResult) -> None:
        self.registrar.on_icp_result(device_id, result)

    def _on_bound(self, binding: LiveBinding) -> None:
        self._on_refreshed(binding)
        self._keep_alive.watch(binding)

    def _on_refreshed(self, binding: LiveBinding) -> None:
        self.calls.moved(binding)
        self.subscriptions.moved(binding)

    def _on_gone(self, device_id: int) -> None:
        self.subscriptions.drop(device_id)

    def _on_nodes_changed(self, link: IcpLink, recovered: Node | None) -> None:
        self.icps.rebalance(link, recovered)
        self.subscriptions.rebalance(link, recovered)

    def _inside_hosts(self) -> set[str]:
        hosts = {self.icp_agent.local[0]}
        for link in self._links.values():
            hosts |= link.hosts
        return hosts

    # --- what the sides' applications hand over

    def set_request(self, transaction: ServerTransaction) -> None:
        self.registrar.bindings.heard(transaction.flow)
        match transaction.method:
            case "REGISTER":
                self.registrar.on_register(transaction)
            case "INVITE":
                self.calls.from_set(transaction)
            case "OPTIONS":
                self.set_agent.answer_options(transaction)
            case "SUBSCRIBE":
                self.subscriptions.from_set(transaction)
            case "MESSAGE":
                self.messages.from_set(transaction)
            case "NOTIFY":
                answer(transaction, 481)
            case _:
                self.set_agent.refuse_method(transaction)

    def icp_request(self, transaction: ServerTransaction) -> None:
        match transaction.method:
            case "INVITE" | "NOTIFY" | "MESSAGE":
                self._for_device(transaction)
            case "OPTIONS":
                self._icp_options(transaction)
            case _:
                self.icp_agent.refuse_method(transaction)

    def _for_device(self, transaction: ServerTransaction) -> None:
        """A request of an ICP for one of its devices."""
        links = self._links_at(transaction.flow.remote)
        if not links:
            why = f"{transaction.method} from {transaction.flow.remote[0]}, which is no ICP"
            refuse(self.timeline, transaction, None, 403, why)
            return
        link, device = self._whom(links, transaction.request.target)
        if device is None:
            answer(transaction, 404)
        elif transaction.method == "INVITE":
            self.calls.from_icp(transaction, device, link)
        elif transaction.method == "NOTIFY":
            self.notices.from_icp(transaction, device)
        else:
            self.messages.from_icp(transaction, device)

    def _whom(self, links: Sequence[IcpLink], target: Uri) -> tuple[IcpLink, DeviceRecord | None]:
        """Whom a request of one of these ICPs is for."""
        for link in links:
            device = self._device_of(link, target)
            if device is not None:
                return link, device
        return links[0], None

    def _links_at(self, source: Address) -> list[IcpLink]:
        """The ICPs that a request may come from. Those that share an address are told apart by their ports, where
        these say it: a connection comes from any port."""
        found = [(link, node) for link in self._links.values() if (node := link.node_at(source)) is not None]
        exact = [link for link, node in found if node.destination.port == source[1]]
        return exact or [link for link, _ in found]

    def _device_of(self, link: IcpLink, target: Uri) -> DeviceRecord | None:
        """The device of an ICP that a Request-URI means: by our parameter, else by the user name at the ICP."""
        number = target.param(DEVICE_PARAM)
        if number and number.isascii() and number.isdigit() and len(number) < 10:
            device = self.directory.device(int(number))
            if device is not None and device.icp_id == link.record.id:
                return device
        return self.directory.by_icp_user(link.record.id, target.user or "")

    def _icp_options(self, transaction: ServerTransaction) -> None:
        """Whether the gateway, or one of its devices, can be reached: PBXs ask so about whom they know.

        The phone itself is not asked: its keep-alives tell whether it is there.
        """
        links = self._links_at(transaction.flow.remote)
        if not links or not transaction.request.target.user:
            self.icp_agent.answer_options(transaction)
            return
        _, device = self._whom(links, transaction.request.target)
        if device is None:
            answer(transaction, 404)
        elif self.registrar.bindings.reachable(device.id) is not None:
            self.icp_agent.answer_options(transaction)
        else:
            answer(transaction, 480)

    def set_connection_lost(self, flow: Flow) -> None:
        for binding in self.registrar.bindings.connection_lost(flow):
            self.timeline.add(binding.device_id, Kind.REGISTRATION, "its connection is gone", once=True)
            self.subscriptions.connection_lost(binding.device_id, flow)


class _SetSide:
    """The application of the set side's user agent."""

    def __init__(self, signalling: Signalling) -> None:
        self._signalling = signalling

    def on_request(self, transaction: ServerTransaction) -> None:
        self._signalling.set_request(transaction)

    def on_refused(self, flow: Flow, error: RemoteProtocolError) -> None:
        text = f"a message from {flow} could not be read: {error}"
        self._signalling.timeline.add(None, Kind.REFUSAL, text, once=True)

    def on_connection_lost(self, flow: Flow) -> None:
        self._signalling.set_connection_lost(flow)

    def on_keepalive(self, flow: Flow) -> None:
        self._signalling.registrar.bindings.heard(flow)


class _IcpSide:
    """The application of the ICP side's user agent."""

    def __init__(self, signalling: Signalling) -> None:
        self._signalling = signalling

    def on_request(self, transaction: ServerTransaction) -> None:
        self._signalling.icp_request(transaction)

    def on_refused(self, flow: Flow, error: RemoteProtocolError) -> None:
        text = f"a message from {flow} could not be read: {error}"
        self._signalling.timeline.add(None, Kind.ICP, text, once=True)

    def on_connection_lost(self, flow: Flow) -> None:
        """Requests that were under way have failed by themselves, which is all there is to it."""

    def on_keepalive(self, flow: Flow) -> None:
        """An ICP's keep-alive asks for nothing."""

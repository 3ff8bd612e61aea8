"""The node's SIP side: takes what phones send and hands it to whoever looks after it."""

from collections.abc import Callable, Mapping

from opx.pbx.call import PbxCall
from opx.pbx.calls import CallDesk
from opx.pbx.features import lamps, message_waiting
from opx.pbx.features.codes import DialPlan
from opx.pbx.features.desk import FeatureDesk
from opx.pbx.features.hot_desk import HotDesk, PinCheck
from opx.pbx.features.lamps import Lamps
from opx.pbx.features.message_waiting import MessageWaiting
from opx.pbx.features.states import FeatureState, FeatureStates
from opx.pbx.features.subscriptions import Subscriptions
from opx.pbx.features.switches import changes
from opx.pbx.features.transfer import Transfers, replaces_of
from opx.pbx.local_calls import CallMedia, LocalCalls
from opx.pbx.notices import send_notice
from opx.pbx.office import Office
from opx.pbx.options import NodeOptions
from opx.pbx.registrar import PbxRegistrar
from opx.pbx.repository import ExtensionRecord
from opx.sip.agent import ALLOW, UserAgent, new_tag
from opx.sip.digest import DigestVerifier
from opx.sip.errors import RemoteProtocolError
from opx.sip.exchange import FlowSource
from opx.sip.flow import Flow
from opx.sip.notifier import ExpiresBounds
from opx.sip.subscription import Content
from opx.sip.timers import TimerWheel
from opx.sip.transactions import ServerTransaction, Timing


class PbxNode:
    """Extensions register and call each other.

    `tests` makes the media of a test number's call, by number, `prompts` that of a feature code's. `check_pin`
    compares a PIN off the signalling's time. `on_event` hears in words what happens.
    """

    def __init__(
        self,
        *,
        wheel: TimerWheel,
        flows: FlowSource,
        verifier: DigestVerifier,
        extensions: dict[str, ExtensionRecord],
        tests: Mapping[str, Callable[[], CallMedia]],
        prompts: Callable[[], CallMedia],
        check_pin: PinCheck,
        states: Mapping[str, FeatureState] | None = None,
        options: NodeOptions | None = None,
        timing: Timing | None = None,
        on_event: Callable[[str], None] = lambda text: None,
    ) -> None:
        options = options or NodeOptions()
        self.agent = UserAgent(self, wheel, flows, timing=timing, product="OPX PBX", allow=_allowed(options))
        self.extensions = extensions
        self.registrar = PbxRegistrar(
            extensions, verifier, wheel, options.min_expires, options.max_expires, self._on_registration
        )
        self.states = FeatureStates(states or {})
        self.states.watch(self._on_feature)
        self._on_event = on_event
        self.office = Office(self.agent, extensions, self.registrar, self.states, on_event)
        self._tests = tests
        self._plan = DialPlan(options.codes)
        self.desk = CallDesk(
            self.office,
            ring_time=options.ring_time,
            forward_after=options.forward_after,
            forward_limit=options.forward_limit,
            calls_per_extension=options.calls_per_extension,
            on_change=lambda call: self.lamps.on_call(call),
            on_transfer=lambda call, end, event: self._transfers.asked(call, end, event),
        )
        self._transfers = Transfers(self.office, self.desk)
        self.lamps = Lamps(
            self.office, lambda: self.desk.calls, lambda number: self.subscriptions.tell(lamps.EVENT, number)
        )
        self.messages = MessageWaiting(self.office, lambda phone: self.subscriptions.tell(message_waiting.EVENT, phone))
        self.subscriptions = Subscriptions(
            self.office,
            [self.lamps.package, self.messages.package],
            bounds=ExpiresBounds(options.min_expires, options.max_expires, options.max_expires),
            limit=options.subscriptions_per_extension,
        )
        self.local = LocalCalls(self.office, prompts)
        self.hot_desk = HotDesk(self.office, check_pin, tries=options.hot_desk_tries, lockout=options.hot_desk_lockout)
        self._features = FeatureDesk(self.office, self.desk, self.local, self.hot_desk)

    @property
    def calls(self) -> set[PbxCall]:
        """The calls between extensions."""
        return self.desk.calls

    # --- Application

    def on_request(self, transaction: ServerTransaction) -> None:
        match transaction.method:
            case "REGISTER":
                self.registrar.on_register(transaction)
            case "INVITE":
                self._on_invite(transaction)
            case "SUBSCRIBE":
                self.subscriptions.on_subscribe(transaction)
            case "OPTIONS":
                self.agent.answer_options(transaction)
            case _:
                self.agent.refuse_method(transaction)

    def on_refused(self, flow: Flow, error: RemoteProtocolError) -> None:
        self._on_event(f"a message from {flow} could not be read: {error}")

    def on_connection_lost(self, flow: Flow) -> None:
        self.registrar.connection_lost(flow)

    def on_keepalive(self, flow: Flow) -> None:
        """A phone keeps its way open; nothing depends on it here."""

    # --- management

    def notify(self, number: str, event: str, content_type: str, body: bytes, done: Callable[[int], None]) -> None:
        """Send NOTIFY to an extension's newest contact; `done` gets the final status, 480 when it is not registered."""
        contacts = self.registrar.contacts(number)
        if contacts:
            send_notice(self.office, contacts[-1], event, Content(content_type, body), done)
        else:
            done(480)

    def remove(self, number: str) -> None:
        """An extension was removed: it is nowhere any more."""
        del self.extensions[number]
        self.hot_desk.log_out(number)
        self.states.forget(number)
        self.subscriptions.forget(number)
        self.registrar.forget(number)

    def stop(self) -> None:
        """Hang up all calls."""
        self.desk.hang_up_all("the node is stopped")
        self.local.hang_up_all()

    # --- calls

    def _on_invite(self, transaction: ServerTransaction) -> None:
        record = self.registrar.admit(transaction, proxy=True)
        if record is None:
            return
        try:
            number = self.office.dialled(transaction.request)
            replaces = replaces_of(transaction.request)
        except RemoteProtocolError as error:
            transaction.reply(error.status, to_tag=new_tag())
            return
        caller = self.office.party(record)
        if replaces is not None:
            self._transfers.replace(transaction, caller, replaces)
        elif number in self._tests:
            self.local.answer_test(transaction, caller, number, self._tests[number])
        elif number not in self.extensions and (code := self._plan.match(number)) is not None:
            self._features.dialled(transaction, caller, code)
        else:
            self.desk.connect(transaction, caller, number)

    def _on_feature(self, number: str, before: FeatureState, after: FeatureState) -> None:
        for change in changes(before, after):
            self._on_event(f"{number}: {change}")
        self.messages.on_feature(number, before, after)

    def _on_registration(self, number: str, there: bool) -> None:
        self._on_event(f"extension {number} is {'registered' if there else 'no longer registered'}")
        if there:
            self.messages.on_registered(number)


def _allowed(options: NodeOptions) -> str:
    return f"{ALLOW}, SUBSCRIBE, INFO{', REFER' if options.refer else ''}"

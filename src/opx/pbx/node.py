"""The node's SIP side: who calls whom, and what the test numbers do."""

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from opx.pbx.registrar import PbxRegistrar
from opx.pbx.repository import ExtensionRecord
from opx.sip import events
from opx.sip.address import NameAddr
from opx.sip.agent import UserAgent, new_call_id, new_tag
from opx.sip.answering import sdp_of
from opx.sip.bridge import Bridge, CallReport, End
from opx.sip.dialog import MAX_FORWARDS
from opx.sip.digest import DigestVerifier
from opx.sip.errors import RemoteProtocolError
from opx.sip.exchange import FlowSource, Outcome
from opx.sip.flow import Flow, host_port
from opx.sip.message import Request, Response
from opx.sip.session import Session
from opx.sip.timers import TimerWheel
from opx.sip.transactions import ServerTransaction, Timing
from opx.sip.uri import Uri


class TestCall(Protocol):
    """The media of a test number's call."""

    def answer(self, offer: bytes) -> bytes:
        """The answer to an offer, or to none our offer. ValueError when it cannot be used."""

    def answered(self, sdp: bytes) -> None:
        """The caller's answer to our offer."""

    def close(self) -> None: ...


class PbxNode:
    """Extensions register and call each other. `tests` makes the media of a test number's call, by number.

    `on_event` hears in words what happens.
    """

    def __init__(
        self,
        *,
        wheel: TimerWheel,
        flows: FlowSource,
        verifier: DigestVerifier,
        extensions: dict[str, ExtensionRecord],
        tests: dict[str, Callable[[], TestCall]],
        min_expires: int = 60,
        max_expires: int = 3600,
        ring_time: float = 30.0,
        calls_per_extension: int = 2,
        timing: Timing | None = None,
        on_event: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.agent = UserAgent(self, wheel, flows, timing=timing, product="OPX PBX")
        self.extensions = extensions
        self.registrar = PbxRegistrar(extensions, verifier, wheel, min_expires, max_expires, self._on_registration)
        self._tests = tests
        self._ring_time = ring_time
        self._calls_per_extension = calls_per_extension
        self._on_event = on_event
        self._busy: Counter[str] = Counter()
        self.calls: set[Bridge] = set()

    # --- Application

    def on_request(self, transaction: ServerTransaction) -> None:
        match transaction.method:
            case "REGISTER":
                self.registrar.on_register(transaction)
            case "INVITE":
                self._on_invite(transaction)
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
        if not contacts:
            done(480)
            return
        contact = contacts[-1]
        ours = f"sip:{host_port(self.agent.local)}"
        request = Request.new("NOTIFY", contact.uri)
        request.add("max-forwards", MAX_FORWARDS)
        request.add("from", f"<{ours}>;tag={new_tag()}")
        request.add("to", f"<{contact.uri}>")
        request.add("call-id", new_call_id())
        request.add("cseq", "1 NOTIFY")
        request.add("contact", f"<{ours}>")
        request.add("event", event)
        request.add("subscription-state", "terminated")
        if body:
            request.add("content-type", content_type)
            request.body = body

        def final(outcome: Outcome) -> None:
            done(outcome.status if isinstance(outcome, Response) else 408)

        self.agent.exchange(request, contact.flow, final)

    def stop(self) -> None:
        """Hang up all calls."""
        for bridge in list(self.calls):
            bridge.hang_up("the node is stopped")

    # --- calls

    def _on_invite(self, transaction: ServerTransaction) -> None:
        caller = self.registrar.admit(transaction, proxy=True)
        if caller is None:
            return
        try:
            number = transaction.request.target.user or ""
        except RemoteProtocolError as error:
            transaction.reply(error.status, to_tag=new_tag())
            return
        if number in self._tests:
            self._answer_test(transaction, caller, number)
        elif number not in self.extensions:
            self._refuse(transaction, caller, number, 404)
        elif not self.registrar.contacts(number):
            self._refuse(transaction, caller, number, 480)
        elif self._busy[number] >= self._calls_per_extension:
            self._refuse(transaction, caller, number, 486)
        else:
            self._connect(transaction, caller, number)

    def _refuse(self, transaction: ServerTransaction, caller: ExtensionRecord, number: str, status: int) -> None:
        self._on_event(f"{caller.number} calls {number}: refused with {status}")
        transaction.reply(status, to_tag=new_tag())

    def _connect(self, transaction: ServerTransaction, caller: ExtensionRecord, number: str) -> None:
        def on_end(report: CallReport) -> None:
            self.calls.discard(bridge)
            timer.cancel()
            for party in (caller.number, number):
                self._busy[party] -= 1
            self._on_event(f"{caller.number} to {number}: {report.outcome.value} ({report.reason})")

        bridge = Bridge(translate=lambda end, sdp: sdp, on_end=on_end, now=lambda: self.agent.now)
        timer = self.agent.wheel.schedule(
            self._ring_time, lambda: None if bridge.answered else bridge.hang_up("nobody answered", 480)
        )
        for party in (caller.number, number):
            self._busy[party] += 1
        contact = f"sip:{host_port(self.agent.local)}"
        try:
            bridge.caller = Session.incoming(self.agent, bridge.listener(End.CALLER), transaction, contact=contact)
        except RemoteProtocolError as error:
            transaction.reply(error.status, to_tag=new_tag())
            bridge.hang_up("the INVITE cannot be used")
            return
        self.calls.add(bridge)
        self._on_event(f"{caller.number} calls {number}")
        target = self.registrar.contacts(number)[-1]
        domain = Uri.parse(contact)
        name = caller.name or caller.number
        from_ = str(NameAddr(name, Uri("sip", caller.number, None, domain.host, domain.port)))

        def make(offer: bytes) -> Session:
            return Session.call(
                self.agent,
                bridge.listener(End.CALLEE),
                target.flow,
                uri=target.uri,
                from_=from_,
                to=f"<sip:{number}@{host_port(self.agent.local)}>",
                contact=contact,
                sdp=offer,
            )

        bridge.place(make, sdp_of(transaction.request))

    def _answer_test(self, transaction: ServerTransaction, caller: ExtensionRecord, number: str) -> None:
        media = self._tests[number]()
        contact = f"sip:{host_port(self.agent.local)}"
        session: Session | None = None

        def listen(event: events.SessionEvent) -> None:
            match event:
                case events.Confirmed(sdp) if sdp:
                    media.answered(sdp)
                case events.Offered(sdp) if session is not None:
                    try:
                        session.answer_offer(media.answer(sdp))
                    except ValueError:
                        session.refuse_offer(488)
                case events.Ended() | events.Cancelled():
                    media.close()
                    self._on_event(f"{caller.number} to {number}: over")

        try:
            session = Session.incoming(self.agent, listen, transaction, contact=contact)
        except RemoteProtocolError as error:
            transaction.reply(error.status, to_tag=new_tag())
            media.close()
            return
        self._on_event(f"{caller.number} calls {number}")
        try:
            session.accept(media.answer(sdp_of(transaction.request)))
        except ValueError:
            session.reject(488)
            media.close()

    def _on_registration(self, number: str, there: bool) -> None:
        self._on_event(f"extension {number} is {'registered' if there else 'no longer registered'}")

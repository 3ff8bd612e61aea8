"""A user agent: transactions, dialogs and requests under one roof, without a socket or a clock.

A shell feeds it what it reads (`receive`), tells it the time (`advance`) and sends what `take_outgoing` gives. An
application hears of requests outside any dialog; sessions hear of their own.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from opx.sip.dialog import Dialog, DialogId
from opx.sip.digest import DigestClient
from opx.sip.entropy import random_hex
from opx.sip.errors import RemoteProtocolError
from opx.sip.exchange import Exchange, FlowSource, Outcome
from opx.sip.flow import Address, Destination, Flow, host_port
from opx.sip.headers import METHODS
from opx.sip.layer import TransactionLayer
from opx.sip.message import Request, Response
from opx.sip.parser import parse, validate
from opx.sip.screening import Screening
from opx.sip.session_timer import SessionTimerPolicy, refusal
from opx.sip.timers import TimerWheel
from opx.sip.transactions import Failure, ServerTransaction, Timing

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE"
"""Methods that a session understands by itself; an application adds those that it serves."""
SUPPORTED = ("100rel", "timer", "replaces")
"""Option tags of what a session does by itself (RFC 3262, RFC 4028, RFC 3891)."""


class Application(Protocol):
    """Whoever answers what belongs to no dialog."""

    def on_request(self, transaction: ServerTransaction) -> None:
        """A request outside a dialog, INVITE included."""

    def on_refused(self, flow: Flow, error: RemoteProtocolError) -> None:
        """Something that was no valid message came on `flow`; it has been answered where it could be."""

    def on_connection_lost(self, flow: Flow) -> None:
        """A connection is gone; requests under way on it have failed already."""

    def on_keepalive(self, flow: Flow) -> None:
        """The peer sent a keep-alive that is no SIP message."""


class DialogUser(Protocol):
    """Whoever owns a dialog."""

    def on_request(self, transaction: ServerTransaction) -> None: ...
    def on_ack(self, ack: Request) -> None: ...


class Tap(Protocol):
    """Whoever wants to see all messages of a user agent as they are; called for each one, so it must be quick."""

    def read(self, flow: Flow, data: bytes) -> None:
        """A datagram, before anybody has looked at it."""

    def read_message(self, flow: Flow, message: Request | Response) -> None:
        """A message that a stream's framer has read; nothing in it has been changed yet."""

    def sent(self, flow: Flow, data: bytes) -> None: ...


class InviteOwner(Protocol):
    """Whoever answers a received INVITE."""

    def on_cancel(self, transaction: ServerTransaction, cancel: Request) -> None: ...
    def on_unanswered(self, transaction: ServerTransaction, failure: Failure) -> None: ...


class UserAgent:
    """See the module. `product` is what Server and User-Agent say; "" says nothing."""

    def __init__(
        self,
        application: Application,
        wheel: TimerWheel,
        flows: FlowSource,
        *,
        timing: Timing | None = None,
        product: str = "OPX",
        allow: str = ALLOW,
        supported: tuple[str, ...] = SUPPORTED,
        session_timer: SessionTimerPolicy | None = None,
        allow_events: str = "",
        accept: Sequence[str] = ("application/sdp",),
        sent_by: Callable[[Flow], str] = lambda flow: host_port(flow.local),
    ) -> None:
        self.wheel = wheel
        self.flows = flows
        self.product = product
        self.allow = allow
        self.serves = frozenset(method.strip() for method in allow.split(","))
        self.supported_text = ", ".join(supported)
        self.session_timer = session_timer or SessionTimerPolicy()
        self.allow_events = allow_events
        self.accept = ", ".join(accept)
        self.tap: Tap | None = None
        self.quick_register: Callable[[bytes, Flow], bool] | None = None
        """Sees each REGISTER first; True when it has answered it."""
        self.layer = TransactionLayer(self, wheel, timing, wake=flows.wake, sent_by=sent_by)
        self.timing = self.layer.timing
        self._screening = Screening(frozenset(supported), new_tag)
        self._application = application
        self._dialogs: dict[DialogId, DialogUser] = {}
        self._expected: dict[tuple[str, str], DialogUser] = {}
        self._invites: dict[ServerTransaction, InviteOwner] = {}

    def supported_without(self, option: str) -> str:
        """What Supported says where one option tag does not hold; never empty, for "timer" always does."""
        return ", ".join(known for known in self.supported_text.split(", ") if known != option)

    @property
    def local(self) -> Address:
        """Where we are reached: what Contact names."""
        return self.flows.address

    @property
    def now(self) -> float:
        """Seconds, as last told."""
        return self.wheel.now

    @property
    def dialogs(self) -> int:
        """How many dialogs are alive."""
        return len(self._dialogs)

    # --- for the shell

    def receive(self, data: bytes, flow: Flow) -> None:
        """Take one datagram. Never raises for what is in it."""
        if self.tap is not None:
            self.tap.read(flow, data)
        if self.quick_register is not None and data.startswith(b"REGISTER ") and self.quick_register(data, flow):
            return
        try:
            message = parse(data)
        except RemoteProtocolError as error:
            self.refuse(error, flow)
            return
        self._take(message, flow)

    def receive_message(self, message: Request | Response, flow: Flow) -> None:
        """Take one parsed message, as a stream's framer gives them."""
        if self.tap is not None:
            self.tap.read_message(flow, message)
        self._take(message, flow)

    def _take(self, message: Request | Response, flow: Flow) -> None:
        try:
            if isinstance(message, Request):
                message.stamp_source(*flow.remote)
                validate(message)
            self.layer.receive(message, flow)
        except RemoteProtocolError as error:
            if error.request is None and isinstance(message, Request):
                error.request = message
            self.refuse(error, flow)

    def refuse(self, error: RemoteProtocolError, flow: Flow) -> None:
        """Answer what cannot be understood, where it can be answered at all, and say so to the application."""
        response = self._screening.stateless_refusal(error, *flow.remote)
        if response is not None:
            self.layer.transmit(flow, response.encode())
        self._application.on_refused(flow, error)

    def advance(self, now: float) -> None:
        """Tell the time in seconds."""
        self.wheel.advance(now)

    def take_outgoing(self) -> list[tuple[Flow, bytes]]:
        taken = self.layer.take_outgoing()
        if self.tap is not None:
            for flow, data in taken:
                self.tap.sent(flow, data)
        return taken

    def connection_lost(self, flow: Flow) -> None:
        self.layer.connection_lost(flow)
        self._application.on_connection_lost(flow)

    def keepalive(self, flow: Flow) -> None:
        self._application.on_keepalive(flow)

    # --- for the application

    def exchange(
        self,
        request: Request,
        route: Flow | Destination,
        on_final: Callable[[Outcome], None],
        *,
        on_provisional: Callable[[Response], None] | None = None,
        credentials: DigestClient | None = None,
        next_cseq: Callable[[], int] | None = None,
    ) -> Exchange:
        """Send a request that is not an ACK and hear of its final answer; challenges are answered on the way."""
        if self.product:
            request.set("user-agent", self.product)
        return Exchange(
            self.layer,
            self.flows,
            request,
            route,
            on_final=on_final,
            on_provisional=on_provisional,
            credentials=credentials,
            next_cseq=next_cseq,
        ).start()

    def answer_options(self, transaction: ServerTransaction) -> None:
        """Answer OPTIONS with what this user agent can do (RFC 3261 section 11.2)."""
        response = transaction.request.reply(200, to_tag=new_tag())
        response.add("allow", self.allow)
        response.add("accept", self.accept)
        response.add("supported", self.supported_text)
        if self.allow_events:
            response.add("allow-events", self.allow_events)
        if self.product:
            response.add("server", self.product)
        transaction.respond(response)

    def refuse_method(self, transaction: ServerTransaction) -> None:
        """405 with the methods that are understood (section 8.2.1); 501 for one that nobody knows (section 21.5.2)."""
        response = transaction.request.reply(405 if transaction.method in METHODS else 501, to_tag=new_tag())
        response.add("allow", self.allow)
        transaction.respond(response)

    # --- for sessions

    def hold_invite(self, transaction: ServerTransaction, user: InviteOwner) -> None:
        """Tell `user` of what becomes of a received INVITE: its CANCEL, or an answer that nobody took."""
        self._invites[transaction] = user

    def release_invite(self, transaction: ServerTransaction) -> None:
        self._invites.pop(transaction, None)

    def find_dialog(self, dialog_id: DialogId) -> DialogUser | None:
        """Whoever owns a dialog, by Call-ID, our tag and the peer's."""
        return self._dialogs.get(dialog_id)

    def open_dialog(self, dialog: Dialog, user: DialogUser) -> None:
        self._dialogs[dialog.id] = user
        self._screening.remember(dialog)

    def close_dialog(self, dialog: Dialog) -> None:
        self._dialogs.pop(dialog.id, None)
        self._screening.forget(dialog)

    def expect_dialog(self, call_id: str, local_tag: str, user: DialogUser) -> None:
        """Give `user` what comes for a dialog whose remote tag is not known yet: a NOTIFY that makes it."""
        self._expected[call_id, local_tag] = user

    def forget_expected(self, call_id: str, local_tag: str) -> None:
        self._expected.pop((call_id, local_tag), None)

    # --- ServerUser, for the transaction layer

    def on_request(self, transaction: ServerTransaction) -> None:
        try:
            refused = self._screening.refusal(transaction.request)
            if refused is None:
                self._dispatch(transaction)
            else:
                transaction.respond(refused)
        except RemoteProtocolError as error:
            # Something was malformed that only its user looked at; the transaction still needs its answer.
            if not transaction.answered:
                transaction.reply(error.status, to_tag=new_tag())
            self._application.on_refused(transaction.flow, error)

    def _dispatch(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        to_tag = request.to_tag
        if request.method in ("INVITE", "UPDATE"):
            too_short = refusal(request, self.session_timer)
            if too_short is not None:
                transaction.respond(too_short)
                return
        if not to_tag:
            self._application.on_request(transaction)
            return
        user = self._dialogs.get((request.call_id, to_tag, request.from_tag))
        if user is None:
            user = self._expected.get((request.call_id, to_tag))
        if user is None:
            transaction.reply(481)
        else:
            user.on_request(transaction)

    def on_cancel(self, transaction: ServerTransaction, cancel: Request) -> None:
        user = self._invites.get(transaction)
        if user is None:
            transaction.reply(487, to_tag=new_tag())
        else:
            user.on_cancel(transaction, cancel)

    def on_ack(self, ack: Request, flow: Flow) -> None:
        user = self._dialogs.get((ack.call_id, ack.to_tag, ack.from_tag))
        if user is not None:
            user.on_ack(ack)

    def on_unanswered(self, transaction: ServerTransaction, failure: Failure) -> None:
        user = self._invites.get(transaction)
        if user is not None:
            user.on_unanswered(transaction, failure)


def new_tag() -> str:
    """A From or To tag: at least 32 random bits (RFC 3261 section 19.3)."""
    return random_hex(6)


def new_call_id() -> str:
    """A Call-ID without a host part, which would name one of our addresses."""
    return random_hex(12)

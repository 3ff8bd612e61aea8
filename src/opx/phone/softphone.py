"""A softphone: one account, calls one at a time."""

from __future__ import annotations

import asyncio
import logging
import secrets
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from opx import sdp
from opx.rtp.endpoint import RtpEndpoint
from opx.sip import events
from opx.sip.agent import UserAgent, new_tag
from opx.sip.answering import sdp_of
from opx.sip.digest import DigestClient
from opx.sip.errors import RemoteProtocolError
from opx.sip.flow import Destination, Flow, host_port
from opx.sip.grammar import format_host
from opx.sip.registration import ClientRegistration, RegistrationPolicy, RegistrationResult, RegistrationState
from opx.sip.session import Session
from opx.sip.transactions import ServerTransaction
from opx.sip.transport import SipStack, WheelClock

log = logging.getLogger(__name__)

Source = Callable[[int], "array[int]"]


@dataclass(frozen=True, slots=True)
class Account:
    """`server` is where to register and call through; `username` and `password` are the set-side credentials there."""

    username: str
    password: str = field(repr=False)
    server: str
    port: int = 5060
    transport: str = "UDP"
    auth_name: str = ""
    """Where it differs from the user name."""

    @property
    def destination(self) -> Destination:
        return Destination(self.transport, self.server, self.port)

    @property
    def domain(self) -> str:
        return host_port((self.server, self.port)) if self.port != 5060 else format_host(self.server)


@dataclass(slots=True)
class PhoneCall:
    """A call as the phone sees it. `heard` is what came in, as PCM at 8 kHz."""

    session: Session
    peer: str
    endpoint: RtpEndpoint
    heard: array[int] = field(default_factory=lambda: array("h"))
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    why: str = ""
    held: bool = False


class Softphone:
    """`on_event` hears in words what happens. `source` is what it plays in a call; None: silence is not sent."""

    def __init__(
        self,
        account: Account,
        local: str,
        *,
        port: int = 5060,
        rtp_ports: tuple[int, int] = (20000, 20498),
        source: Source | None = None,
        auto_answer: bool = True,
        expires: int = 300,
        max_heard: int = 8000 * 3600,
        on_event: Callable[[str], None] = lambda text: None,
        clock: WheelClock | None = None,
    ) -> None:
        self.account = account
        self.calls: list[PhoneCall] = []
        self.result: RegistrationResult | None = None
        self.registered = asyncio.Event()
        self.tried = asyncio.Event()
        self.called = asyncio.Event()
        self._local = local
        self._rtp_ports = rtp_ports
        self._source = source
        self._auto_answer = auto_answer
        self._max_heard = max_heard
        self._on_event = on_event
        self._own_clock = clock is None
        self._clock = clock or WheelClock()
        self._stack = SipStack(self._clock, (local, port))
        self.agent = UserAgent(self, self._clock.wheel, self._stack, product="OPX phone", allow=ALLOW)
        self._stack.attach(self.agent)
        self._credentials = DigestClient(account.auth_name or account.username, account.password)
        self._registration: ClientRegistration | None = None
        self._expires = expires
        self._origin = secrets.randbits(31)
        self._version = 0

    @property
    def contact(self) -> str:
        transport = "" if self.account.transport == "UDP" else f";transport={self.account.transport.lower()}"
        return f"sip:{self.account.username}@{host_port(self._stack.address)}{transport}"

    @property
    def address(self) -> tuple[str, int]:
        return self._stack.address

    async def start(self) -> None:
        """Listen. OSError when the address is taken."""
        await self._stack.start()
        if self._own_clock:
            self._clock.start()

    async def stop(self) -> None:
        """Hang up, sign off, close."""
        for call in list(self.calls):
            call.session.hang_up()
            self._end(call, "we hung up")
        if self._registration is not None:
            self._registration.stop()
        await asyncio.sleep(0.05)
        await self._stack.stop()
        if self._own_clock:
            self._clock.stop()

    # --- registering

    def register(self) -> None:
        """Begin to register, and go on refreshing; `tried` is set with the first result, `registered` with success."""
        self._registration = ClientRegistration(
            self.agent,
            self.account.destination,
            aor=f"sip:{self.account.username}@{self.account.domain}",
            registrar=f"sip:{self.account.domain}",
            contact=self.contact,
            credentials=self._credentials,
            on_result=self._on_registration,
            policy=RegistrationPolicy(expires=self._expires),
        )
        self._registration.start()

    def _on_registration(self, result: RegistrationResult) -> None:
        self.result = result
        self.tried.set()
        if result.state is RegistrationState.REGISTERED:
            if not self.registered.is_set():
                self._say(f"registered at {self.account.server} for {result.expires:.0f} s")
            self.registered.set()
        else:
            self.registered.clear()
            self._say(f"not registered: {result.state.value} ({result.status or 'no answer'})")

    # --- calling

    def call(self, number: str) -> PhoneCall:
        """Call a number through the account's server."""
        endpoint = self._endpoint()
        offer = sdp.offer(self._local, endpoint.port, origin=self._next_origin())
        holder: list[PhoneCall] = []

        def listen(event: events.SessionEvent) -> None:
            if holder:
                self._on_event_of(holder[0], event, offer)

        session = Session.call(
            self.agent,
            listen,
            self.account.destination,
            uri=f"sip:{number}@{self.account.domain}",
            from_=f"<sip:{self.account.username}@{self.account.domain}>",
            to=f"<sip:{number}@{self.account.domain}>",
            contact=self.contact,
            sdp=sdp.encode(offer),
            credentials=self._credentials,
        )
        call = PhoneCall(session, number, endpoint)
        holder.append(call)
        self._take(call)
        self._say(f"calls {number}")
        return call

    def answer(self, call: PhoneCall, offer: bytes) -> None:
        """Answer an incoming call; 488 when there is no codec in common."""
        try:
            answer = self._negotiate(call, offer)
        except ValueError as error:
            call.session.reject(488)
            self._end(call, str(error))
            return
        call.session.accept(answer)
        call.answered.set()
        self._say(f"answered {call.peer}")

    def hold(self, call: PhoneCall, on: bool) -> None:
        """Put the peer on hold, or take it back."""
        direction = sdp.Direction.SENDONLY if on else sdp.Direction.SENDRECV
        offer = sdp.offer(self._local, call.endpoint.port, origin=self._next_origin(), direction=direction)
        call.session.offer(sdp.encode(offer))
        call.endpoint.sending = not on
        call.held = on
        self._say(f"{'holds' if on else 'resumes'} {call.peer}")

    def hang_up(self, call: PhoneCall) -> None:
        call.session.hang_up()
        self._end(call, "we hung up")

    # --- Application

    def on_request(self, transaction: ServerTransaction) -> None:
        if transaction.method == "INVITE":
            self._on_invite(transaction)
        elif transaction.method == "OPTIONS":
            self.agent.answer_options(transaction)
        elif transaction.method == "NOTIFY":
            self._say(f"was notified: {transaction.request.get('event') or '?'}")
            transaction.reply(200, to_tag=new_tag())
        else:
            self.agent.refuse_method(transaction)

    def on_refused(self, flow: Flow, error: RemoteProtocolError) -> None:
        log.info("a message from %s could not be read: %s", flow, error)

    def on_connection_lost(self, flow: Flow) -> None:
        if self._registration is not None and self.account.transport != "UDP":
            self._registration.start(delay=1.0)

    def on_keepalive(self, flow: Flow) -> None:
        """The server keeps the way open."""

    # --- inside

    def _on_invite(self, transaction: ServerTransaction) -> None:
        if self.calls:
            transaction.reply(486, to_tag=new_tag())
            return
        holder: list[PhoneCall] = []

        def listen(event: events.SessionEvent) -> None:
            self._on_event_of(holder[0], event, None)

        offer = sdp_of(transaction.request)
        peer = transaction.request.from_.uri.user or "?"
        endpoint = self._endpoint()
        try:
            session = Session.incoming(self.agent, listen, transaction, contact=self.contact)
        except RemoteProtocolError as error:
            endpoint.close()
            transaction.reply(error.status, to_tag=new_tag())
            return
        call = PhoneCall(session, peer, endpoint)
        holder.append(call)
        self._take(call)
        session.progress(180)
        self._say(f"rings: {peer} calls")
        self.called.set()
        if self._auto_answer:
            self.answer(call, offer)

    def _on_event_of(self, call: PhoneCall, event: events.SessionEvent, offer: sdp.SessionDescription | None) -> None:
        match event:
            case events.Progress(status):
                self._say(f"{call.peer}: {'ringing' if status == 180 else status}")
            case events.Answered(description) if offer is not None:
                call.answered.set()
                self._say(f"{call.peer} answered")
                self._start_media(call, sdp.agree(offer, sdp.parse(description)))
            case events.Offered(description):
                self._answer_offer(call, description)
            case events.Refused(status):
                self._end(call, f"refused with {status}")
            case events.Cancelled():
                self._end(call, "the caller gave up")
            case events.Ended(cause):
                self._end(call, f"the other end {cause.value}")
            case _:
                pass

    def _answer_offer(self, call: PhoneCall, description: bytes) -> None:
        try:
            call.session.answer_offer(self._negotiate(call, description))
        except ValueError:
            call.session.refuse_offer(488)
            return
        if description:
            held = (audio := sdp.parse(description).audio) is not None and audio.held
            if held != call.held:
                call.held = held
                self._say(f"{call.peer} {'put us on hold' if held else 'took us back'}")

    def _negotiate(self, call: PhoneCall, offer: bytes) -> bytes:
        origin = self._next_origin()
        if not offer:
            return sdp.encode(sdp.offer(self._local, call.endpoint.port, origin=origin))
        offered = sdp.parse(offer)
        answer = sdp.answer(offered, self._local, call.endpoint.port, origin=origin)
        self._start_media(call, sdp.agree(answer, offered))
        return sdp.encode(answer)

    def _start_media(self, call: PhoneCall, agreed: sdp.Agreement) -> None:
        call.endpoint.connect(agreed.remote, agreed.encoding, agreed.payload)
        call.endpoint.sending = agreed.direction.sends
        if self._source is not None:
            call.endpoint.play(self._source)

    def _endpoint(self) -> RtpEndpoint:
        return RtpEndpoint(self._local, self._rtp_ports)

    def _take(self, call: PhoneCall) -> None:
        self.calls.append(call)

        def sink(samples: array[int]) -> None:
            if len(call.heard) < self._max_heard:
                call.heard.extend(samples)

        call.endpoint.sink = sink

    def _end(self, call: PhoneCall, why: str) -> None:
        if call.ended.is_set():
            return
        call.why = why
        call.endpoint.close()
        if call in self.calls:
            self.calls.remove(call)
        self._say(f"call with {call.peer} is over: {why}")
        call.ended.set()

    def _next_origin(self) -> sdp.Origin:
        self._version += 1
        return sdp.Origin.of(self._local, self._origin, self._version)

    def _say(self, text: str) -> None:
        self._on_event(text)


ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY"

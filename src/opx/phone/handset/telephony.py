"""A handset's telephone: its lines on one user agent, their registrations, calls and notifications."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from opx.phone.account import AccountRegistration
from opx.phone.call import PhoneCall
from opx.phone.calls import Line, PhoneCalls
from opx.phone.handset.lines import LineSettings
from opx.phone.media import MediaSettings
from opx.phone.messages import EVENT as MESSAGES
from opx.phone.messages import MessageLamp
from opx.phone.transfers import PhoneTransfers
from opx.sip import events
from opx.sip.agent import ALLOW, UserAgent, new_tag
from opx.sip.digest import DigestClient
from opx.sip.errors import RemoteProtocolError
from opx.sip.flow import Flow
from opx.sip.registration import RegistrationResult
from opx.sip.subscription import Content
from opx.sip.transactions import ServerTransaction
from opx.sip.transport import SipStack, WheelClock
from opx.sip.transport.stack import TransportLimits

log = logging.getLogger(__name__)

SMALL_BUFFER = 256 * 1024
"""Bytes of a handset's UDP buffers: a handful of messages, whatever a fleet costs."""
ALLOW_EVENTS = "check-sync, aastra-xml, message-summary"


class Owner:
    """Whoever wants to hear what happens on the telephone; by itself it wants to hear nothing."""

    def say(self, text: str) -> None: ...
    def on_registration(self, line: PhoneLine, result: RegistrationResult) -> None: ...
    def on_incoming(self, line: PhoneLine, call: PhoneCall) -> None: ...
    def on_answered(self, line: PhoneLine, call: PhoneCall) -> None: ...
    def on_ended(self, line: PhoneLine, call: PhoneCall) -> None: ...
    def on_check_sync(self, reboot: bool) -> None: ...

    def on_xml_notify(self, body: bytes) -> bool:
        """False when this handset takes no such orders."""
        return False


@dataclass(slots=True, eq=False)
class PhoneLine:
    settings: LineSettings
    registration: AccountRegistration | None
    calls: PhoneCalls
    lamp: MessageLamp
    transfers: PhoneTransfers

    @property
    def number(self) -> int:
        return self.settings.number

    @property
    def registered(self) -> bool:
        return self.registration is not None and self.registration.registered.is_set()


@dataclass(frozen=True, slots=True)
class TelephonySettings:
    """`local` and `port` are where the handset is; `whitelist`: only its own servers are listened to."""

    local: str
    port: int
    product: str
    media: MediaSettings
    auto_answer: bool = False
    whitelist: bool = False
    transports: Sequence[str] = ("UDP", "TCP")
    max_calls: int = 2


class Telephony:
    """`start`, then `register`; `stop` in the end. Hosts of lines must be addresses already."""

    def __init__(
        self, clock: WheelClock, settings: TelephonySettings, lines: Sequence[LineSettings], owner: Owner
    ) -> None:
        self._settings = settings
        self._owner = owner
        limits = TransportLimits(udp_buffer=SMALL_BUFFER)
        self._stack = SipStack(clock, (settings.local, settings.port), transports=settings.transports, limits=limits)
        self.agent = UserAgent(
            self,
            clock.wheel,
            self._stack,
            product=settings.product,
            allow=f"{ALLOW}, NOTIFY, REFER, INFO",
            allow_events=ALLOW_EVENTS,
        )
        self._stack.attach(self.agent)
        self.lines = [self._line(line) for line in lines]
        hosts = [account.destination.host for line in lines for account in (line.proxy, line.registrar) if account]
        self._servers = frozenset(hosts)

    @property
    def address(self) -> tuple[str, int]:
        return self._stack.address

    @property
    def calls(self) -> list[PhoneCall]:
        return [call for line in self.lines for call in line.calls.all]

    def line_of(self, call: PhoneCall) -> PhoneLine:
        """ValueError for a call that is over."""
        for line in self.lines:
            if call in line.calls.all:
                return line
        raise ValueError("the call is over")

    async def start(self) -> None:
        """Listen. OSError when the address is taken."""
        await self._stack.start()

    def register(self) -> None:
        for line in self.lines:
            if line.registration is not None:
                line.registration.start()

    async def stop(self, *, sign_off: bool) -> None:
        """Close; with `sign_off` calls end and registrations are taken back, else power is simply gone."""
        for line in self.lines:
            if sign_off:
                line.calls.end_all()
                line.lamp.stop()
                if line.registration is not None:
                    line.registration.stop()
            else:
                for call in line.calls.all:
                    call.media.close()
                if line.registration is not None:
                    line.registration.forget()
        await self._stack.stop()

    def place(self, line: PhoneLine, number: str) -> PhoneCall:
        call = line.calls.place(number)
        self._watch(line, call)
        return call

    # --- Application

    def on_request(self, transaction: ServerTransaction) -> None:
        if self._settings.whitelist and transaction.flow.remote[0] not in self._servers:
            self._owner.say(f"a {transaction.method} from {transaction.flow.remote[0]} is not listened to")
            transaction.reply(403, to_tag=new_tag())
        elif transaction.method == "INVITE":
            self._on_invite(transaction)
        elif transaction.method == "OPTIONS":
            self.agent.answer_options(transaction)
        elif transaction.method == "NOTIFY":
            self._on_notify(transaction)
        else:
            self.agent.refuse_method(transaction)

    def on_refused(self, flow: Flow, error: RemoteProtocolError) -> None:
        log.info("a message from %s could not be read: %s", flow, error)

    def on_connection_lost(self, flow: Flow) -> None:
        for line in self.lines:
            registration = line.registration
            if registration is not None and registration.wanted and line.settings.proxy.transport != "UDP":
                registration.start(delay=1.0)

    def on_keepalive(self, flow: Flow) -> None:
        """The server keeps the way open."""

    def _on_invite(self, transaction: ServerTransaction) -> None:
        line = self._addressed(transaction)
        if line is None:
            transaction.reply(404, to_tag=new_tag())
        else:
            line.calls.on_invite(transaction)

    def _addressed(self, transaction: ServerTransaction) -> PhoneLine | None:
        """The line whose contact a request is for."""
        try:
            user = transaction.request.target.user
        except RemoteProtocolError:
            return None
        return next((line for line in self.lines if line.settings.proxy.username == user), None)

    def _on_notify(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        name, _, parameters = (request.get("event") or "").partition(";")
        event = name.strip().lower()
        if event == "check-sync":
            transaction.reply(200, to_tag=new_tag())
            self._owner.on_check_sync("reboot=true" in parameters.replace(" ", "").lower())
        elif event == "aastra-xml":
            transaction.reply(200 if self._owner.on_xml_notify(request.body) else 489, to_tag=new_tag())
        elif event == MESSAGES:
            line = self._addressed(transaction) or (self.lines[0] if self.lines else None)
            read = line is not None and line.lamp.notified(Content.of(request))
            transaction.reply(200 if read else 400, to_tag=new_tag())
        else:
            transaction.reply(489, to_tag=new_tag())

    # --- lines

    def _line(self, settings: LineSettings) -> PhoneLine:
        account = settings.proxy
        credentials = DigestClient(account.auth_name or account.username, account.password)

        def contact() -> str:
            return account.contact(self._stack.address)

        def say(text: str) -> None:
            self._owner.say(f"line {settings.number}: {text}")

        def on_ring(call: PhoneCall) -> None:
            self._watch(line, call)
            self._owner.on_incoming(line, call)

        def on_registered() -> None:
            if settings.watch_messages and not line.lamp.watched:
                line.lamp.subscribe()

        transfers = PhoneTransfers(account, lambda: line.calls, say)
        calls = PhoneCalls(
            Line(self.agent, account, credentials, self._settings.media, contact, say),
            auto_answer=self._settings.auto_answer,
            most=self._settings.max_calls,
            on_ring=on_ring,
            on_transfer=transfers.asked,
            on_end=lambda call: self._owner.on_ended(line, call),
        )
        lamp = MessageLamp(self.agent, account, credentials, contact, say)
        registration = None
        if settings.registrar is not None:
            registration = AccountRegistration(
                self.agent,
                settings.registrar,
                DigestClient(account.auth_name or account.username, account.password),
                contact,
                settings.policy,
                say,
                on_registered,
                lambda result: self._owner.on_registration(line, result),
            )
        line = PhoneLine(settings, registration, calls, lamp, transfers)
        return line

    def _watch(self, line: PhoneLine, call: PhoneCall) -> None:
        def watch(event: events.SessionEvent) -> None:
            if isinstance(event, events.Answered | events.Confirmed) and watch in call.watchers:
                call.watchers.remove(watch)
                self._owner.on_answered(line, call)

        call.watchers.append(watch)

"""A softphone: one account, and calls through its server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from opx.phone.account import Account, AccountRegistration
from opx.phone.call import PhoneCall
from opx.phone.calls import Line, PhoneCalls
from opx.phone.media import MediaSettings, Source
from opx.phone.messages import EVENT as MESSAGES
from opx.phone.messages import MessageLamp
from opx.phone.transfers import PhoneTransfers
from opx.sip.agent import ALLOW, UserAgent, new_tag
from opx.sip.digest import DigestClient
from opx.sip.errors import RemoteProtocolError
from opx.sip.flow import Flow
from opx.sip.registration import RegistrationPolicy, RegistrationResult
from opx.sip.subscription import Content
from opx.sip.transactions import ServerTransaction
from opx.sip.transport import SipStack, WheelClock

log = logging.getLogger(__name__)

FAREWELL = 0.05
"""Seconds that the last messages get before the sockets are closed."""


class Softphone:
    """`on_event` hears in words what happens. `source` is what it plays in a call; None: silence is not sent.

    With `auto_answer` it answers calls one at a time, the next one when none is going on. Beyond `max_calls` a further
    caller hears busy. With `watch_messages` it subscribes to its message lamp; it understands being told unasked, too.
    """

    def __init__(
        self,
        account: Account,
        local: str,
        *,
        port: int = 5060,
        rtp_ports: tuple[int, int] = (20000, 20498),
        source: Source | None = None,
        auto_answer: bool = True,
        max_calls: int = 2,
        watch_messages: bool = False,
        expires: int = 300,
        max_heard: int = 8000 * 3600,
        on_event: Callable[[str], None] = lambda text: None,
        clock: WheelClock | None = None,
    ) -> None:
        self.account = account
        self.called = asyncio.Event()
        """A call came in since this was cleared."""
        self._on_event = on_event
        self._own_clock = clock is None
        self._clock = clock or WheelClock()
        self._stack = SipStack(self._clock, (local, port))
        self.agent = UserAgent(
            self, self._clock.wheel, self._stack, product="OPX phone", allow=f"{ALLOW}, NOTIFY, REFER, INFO"
        )
        self._stack.attach(self.agent)
        credentials = DigestClient(account.auth_name or account.username, account.password)
        own = (self.agent, account, credentials)
        self._registration = AccountRegistration(
            *own, lambda: self.contact, RegistrationPolicy(expires=expires), self._say, self._on_registered
        )
        self._transfers = PhoneTransfers(account, lambda: self._calls, self._say)
        media = MediaSettings(local, rtp_ports, source, max_heard)
        self._calls = PhoneCalls(
            Line(self.agent, account, credentials, media, lambda: self.contact, self._say),
            auto_answer=auto_answer,
            most=max_calls,
            on_ring=lambda call: self.called.set(),
            on_transfer=self._transfers.asked,
        )
        self.messages = MessageLamp(*own, lambda: self.contact, self._say)
        self._watch_messages = watch_messages

    # --- state

    @property
    def contact(self) -> str:
        return self.account.contact(self._stack.address)

    @property
    def address(self) -> tuple[str, int]:
        return self._stack.address

    @property
    def calls(self) -> list[PhoneCall]:
        """The calls that are not over, the oldest first."""
        return self._calls.all

    @property
    def registered(self) -> asyncio.Event:
        """Set while the server has the account."""
        return self._registration.registered

    @property
    def tried(self) -> asyncio.Event:
        """Set with the first answer to a REGISTER."""
        return self._registration.tried

    @property
    def result(self) -> RegistrationResult | None:
        return self._registration.result

    # --- what the user does

    async def start(self) -> None:
        """Listen. OSError when the address is taken."""
        await self._stack.start()
        if self._own_clock:
            self._clock.start()

    async def stop(self) -> None:
        """Hang up, sign off, close."""
        self._calls.end_all()
        self.messages.stop()
        self._registration.stop()
        await asyncio.sleep(FAREWELL)
        await self._stack.stop()
        if self._own_clock:
            self._clock.stop()

    def register(self) -> None:
        """Begin to register, and go on refreshing; `tried` is set with the first result, `registered` with success."""
        self._registration.start()

    def call(self, number: str) -> PhoneCall:
        """Call a number, or dial a feature code; calls that are going on are put on hold first."""
        return self._calls.place(number)

    def answer(self, call: PhoneCall) -> None:
        """Answer a call that rings; the others are put on hold first."""
        self._calls.answer(call)

    def hold(self, call: PhoneCall, on: bool) -> None:
        """Put the other end on hold, or take it back."""
        self._calls.hold(call, on)

    def hang_up(self, call: PhoneCall) -> None:
        self._calls.hang_up(call)

    def press(self, call: PhoneCall, keys: str, *, info: bool = False) -> None:
        """Press keys in a call: RFC 4733 where the other end takes that, else INFO. ValueError when one is no key."""
        self._calls.press(call, keys, info=info)

    def transfer(self, call: PhoneCall, number: str) -> asyncio.Future[int]:
        """Blind transfer; the status that it came to, 2xx when the two talk."""
        return self._transfers.blind(call, number)

    def connect(self, call: PhoneCall, other: PhoneCall) -> asyncio.Future[int]:
        """Attended transfer: connect the other ends of two calls."""
        return self._transfers.attended(call, other)

    # --- Application

    def on_request(self, transaction: ServerTransaction) -> None:
        if transaction.method == "INVITE":
            self._calls.on_invite(transaction)
        elif transaction.method == "OPTIONS":
            self.agent.answer_options(transaction)
        elif transaction.method == "NOTIFY":
            self._on_notify(transaction)
        else:
            self.agent.refuse_method(transaction)

    def on_refused(self, flow: Flow, error: RemoteProtocolError) -> None:
        log.info("a message from %s could not be read: %s", flow, error)

    def on_connection_lost(self, flow: Flow) -> None:
        if self._registration.wanted and self.account.transport != "UDP":
            self._registration.start(delay=1.0)

    def on_keepalive(self, flow: Flow) -> None:
        """The server keeps the way open."""

    def _on_registered(self) -> None:
        # A server that knows its phones by their registrations takes no subscription before.
        if self._watch_messages and not self.messages.watched:
            self.messages.subscribe()

    def _on_notify(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        event = (request.get("event") or "?").partition(";")[0].strip().lower()
        if event == MESSAGES:
            read = self.messages.notified(Content.of(request))
            transaction.reply(200 if read else 400, to_tag=new_tag())
        else:
            self._say(f"was notified: {event}")
            transaction.reply(200, to_tag=new_tag())

    def _say(self, text: str) -> None:
        self._on_event(text)


__all__ = ["Account", "PhoneCall", "Softphone", "Source"]

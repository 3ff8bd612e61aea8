"""Calls that the node answers itself: test numbers, and what a feature code has to say."""

from collections.abc import Callable
from typing import Protocol

from opx.pbx.office import Office, Party
from opx.rtp.tones import Tone
from opx.sip import events
from opx.sip.agent import new_tag
from opx.sip.answering import sdp_of
from opx.sip.dtmf import parse_key
from opx.sip.errors import RemoteProtocolError
from opx.sip.session import Session
from opx.sip.timers import Timer
from opx.sip.transactions import ServerTransaction

TONE_SECONDS = 1.5
"""How long a confirmation or error tone sounds: long enough to be recognised, short enough not to be in the way."""


class CallMedia(Protocol):
    """The media of a call that the node answers."""

    on_digit: Callable[[str], None]
    """Hears each key that the caller presses (RFC 4733)."""

    def answer(self, offer: bytes) -> bytes:
        """The answer to an offer, or to none our offer. ValueError when it cannot be used."""

    def answered(self, sdp: bytes) -> None:
        """The caller's answer to our offer."""

    def play(self, tone: Tone) -> None:
        """Let the caller hear a tone from now on."""

    def close(self) -> None: ...


class LocalCall:
    """One such call. `on_over` hears that the caller hung up; a call that we end says nothing."""

    def __init__(self, office: Office, media: CallMedia, on_over: Callable[[], None]) -> None:
        self._office = office
        self._media = media
        self._on_over = on_over
        self._session: Session | None = None
        self._timer: Timer | None = None
        self.over = False

    def answer(self, transaction: ServerTransaction) -> bool:
        """Take the INVITE; whether that went well."""
        try:
            self._session = Session.incoming(
                self._office.agent, self._on_event, transaction, contact=self._office.contact
            )
        except RemoteProtocolError as error:
            transaction.reply(error.status, to_tag=new_tag())
            self._close()
            return False
        try:
            self._session.accept(self._media.answer(sdp_of(transaction.request)))
        except ValueError:
            self._session.reject(488)
            self._close()
            return False
        return True

    def play(self, tone: Tone) -> None:
        if not self.over:
            self._media.play(tone)

    def finish(self, tone: Tone) -> None:
        """Let the caller hear a last tone, then hang up."""
        self.play(tone)
        self.limit(TONE_SECONDS)

    def limit(self, seconds: float) -> None:
        """Hang up when so much time has passed from now."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._office.agent.wheel.schedule(seconds, self.hang_up)

    def hang_up(self) -> None:
        if not self.over and self._session is not None:
            self._session.hang_up()
            self._close()

    def _on_event(self, event: events.SessionEvent) -> None:
        match event:
            case events.Confirmed(sdp) if sdp:
                try:
                    self._media.answered(sdp)
                except ValueError:
                    self.hang_up()
            case events.Offered(sdp) if self._session is not None:
                try:
                    self._session.answer_offer(self._media.answer(sdp))
                except ValueError:
                    self._session.refuse_offer(488)
            case events.Asked(number, _, content_type, body) if self._session is not None:
                press = parse_key(content_type, body)
                self._session.answer_request(number, 200 if press is not None else 415)
                if press is not None:
                    self._media.on_digit(press.key)
            case events.TransferAsked(number) if self._session is not None:
                # There is nobody at this end who could call anybody.
                self._session.answer_transfer(number, 603)
            case events.Ended() | events.Cancelled():
                if not self.over:
                    self._close()
                    self._on_over()

    def _close(self) -> None:
        self.over = True
        self._media.close()
        if self._timer is not None:
            self._timer.cancel()


class LocalCalls:
    """All of them, so that they end with the node."""

    def __init__(self, office: Office, prompts: Callable[[], CallMedia]) -> None:
        self._office = office
        self._prompts = prompts
        self._calls: set[LocalCall] = set()

    def answer_test(
        self, transaction: ServerTransaction, caller: Party, number: str, make: Callable[[], CallMedia]
    ) -> None:
        """A call to a test number; it lasts until the caller has heard enough."""
        call = self._take(transaction, make(), lambda: self._office.say(f"{caller.number} to {number}: over"))
        if call is not None:
            self._office.say(f"{caller.number} calls {number}")

    def answer_code(
        self,
        transaction: ServerTransaction,
        *,
        on_digit: Callable[[str], None] = lambda digit: None,
        on_over: Callable[[], None] = lambda: None,
    ) -> LocalCall | None:
        """A call to a feature code, which plays tones; None when the INVITE cannot be used."""
        media = self._prompts()
        media.on_digit = on_digit
        return self._take(transaction, media, on_over)

    def hang_up_all(self) -> None:
        for call in list(self._calls):
            call.hang_up()

    def _take(self, transaction: ServerTransaction, media: CallMedia, on_over: Callable[[], None]) -> LocalCall | None:
        self._calls = {call for call in self._calls if not call.over}
        call = LocalCall(self._office, media, on_over)
        if not call.answer(transaction):
            return None
        self._calls.add(call)
        return call

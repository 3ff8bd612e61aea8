"""The inner face of a session: what its parts, the agent and the clock tell it, and how it ends.

`session.Session` is the outer one, for the owner.
"""

from collections.abc import Callable
from enum import Enum

from opx.sip import events
from opx.sip.agent import UserAgent
from opx.sip.answering import sdp_of
from opx.sip.asking import METHODS, Asking
from opx.sip.dialog import Dialog
from opx.sip.digest import DigestClient
from opx.sip.errors import RemoteProtocolError
from opx.sip.flow import Destination, Flow
from opx.sip.incoming import IncomingInvite
from opx.sip.message import Request, Response
from opx.sip.offers import Offers
from opx.sip.outgoing import OutgoingInvite
from opx.sip.referral import Referral
from opx.sip.session_timer import SessionTimer
from opx.sip.transactions import ServerTransaction
from opx.sip.usage import DialogUsage

Listener = Callable[[events.SessionEvent], None]
Authorize = Callable[[ServerTransaction], bool]
"""Looks at a request within the dialog before anything is done; when it says False it has answered already."""


def _closed(transaction: ServerTransaction) -> bool:
    """What a session that is over authorizes: nothing."""
    transaction.reply(481)
    return False


class Phase(Enum):
    CALLING = "our INVITE is out"
    RINGING = "the peer's INVITE waits for our answer"
    UP = "answered"
    ENDED = "over"


class SessionCore:
    """Holds the parts and hears of them; `call` and `incoming` of the outer face make one."""

    def __init__(
        self,
        agent: UserAgent,
        listener: Listener,
        route: Flow | Destination,
        contact: str,
        credentials: DigestClient | None,
        authorize: Authorize | None,
    ) -> None:
        self.agent = agent
        self.phase = Phase.CALLING
        self.call_id = ""
        self.listener = listener
        self.usage = DialogUsage(agent, route, f"<{contact}>", credentials)
        self.timer = SessionTimer(agent.wheel, agent.session_timer, self._refresh, self._on_expired)
        self.offers = Offers(self.usage, self, self.timer)
        self._authorize = authorize
        self._outgoing: OutgoingInvite | None = None
        self._incoming: IncomingInvite | None = None
        self._referral = Referral(self.usage, self.emit, self._on_transfer_over)
        self._asking = Asking(self.usage, self.emit)
        self._bye_when_acknowledged = False
        self._bye_when_told = False

    # --- InviteUser, for our INVITE

    def on_progress(self, event: events.Progress) -> None:
        self.emit(event)

    def on_refused(self, event: events.Refused) -> None:
        if self.phase is Phase.CALLING:
            self._finish()
            self.emit(event)

    def on_early_dialog(self, dialog: Dialog) -> None:
        self.usage.open(dialog, self)

    def on_settled(self, answer: bytes) -> None:
        self.offers.settled = True
        self.offers.remote = answer

    def on_answered(self, dialog: Dialog, response: Response, cancelled: bool) -> None:
        self.usage.open(dialog, self)
        self.usage.hear(response)
        self.usage.close(but=dialog)
        if cancelled:
            # The answer crossed our CANCEL (section 9.1): take it and hang up.
            self.offers.take_answer(response.cseq.number, owes=False)
            self._bye()
            return
        self.phase = Phase.UP
        self.timer.granted(response)
        # Once the first offer has its answer, any further description here is to be ignored (section 13.2.1).
        sdp = b"" if self.offers.settled else sdp_of(response)
        self.offers.remote = sdp or self.offers.remote
        self.offers.take_answer(response.cseq.number, owes=bool(sdp) and not self.offers.local)
        self.emit(events.Answered(sdp))

    def on_answer_repeated(self, number: int) -> None:
        self.offers.repeat_ack(number)

    # --- IncomingUser, for the peer's INVITE

    def on_accepting(self) -> None:
        self.phase = Phase.UP

    def on_gave_up(self, event: events.Cancelled) -> None:
        self._finish()
        self.emit(event)

    # --- OffersUser

    @property
    def up(self) -> bool:
        return self.phase is Phase.UP

    @property
    def over(self) -> bool:
        return self.phase is Phase.ENDED

    @property
    def calls(self) -> bool:
        return self._outgoing is not None

    def emit(self, event: events.SessionEvent) -> None:
        self.listener(event)

    def fail(self, cause: events.Cause) -> None:
        if self.phase is Phase.UP:
            self._bye()
            self.emit(events.Ended(cause))

    def on_never_acknowledged(self) -> None:
        was = self.phase
        self._bye()
        if was is Phase.UP:
            self.emit(events.Ended(events.Cause.NO_ACK))

    # --- DialogUser, for the agent

    def on_ack(self, ack: Request) -> None:
        if not self.offers.on_ack(ack):
            return
        if self._bye_when_acknowledged:
            self._bye()
        elif self.phase is Phase.UP:
            self.emit(events.Confirmed(sdp_of(ack)))

    def on_request(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        if self._authorize is not None and not self._authorize(transaction):
            return
        try:
            self._dialog_of(request).accept(request)
        except RemoteProtocolError as error:
            transaction.reply(error.status)
            return
        method = request.method
        if method == "BYE":
            self._on_bye(transaction)
        elif method == "OPTIONS":
            self.agent.answer_options(transaction)
        elif method == "NOTIFY":
            self._referral.on_notify(transaction)
        elif self.phase is Phase.ENDED:
            transaction.reply(481)
        elif method == "PRACK" and self._incoming is not None:
            self._incoming.on_prack(transaction)
        elif method == "UPDATE":
            self.offers.on_update(transaction)
        elif method in METHODS and method in self.agent.serves:
            self._asking.on_request(transaction)
        elif method == "INVITE":
            self.offers.on_reinvite(transaction)
        elif self.phase is not Phase.UP:
            transaction.reply(481)
        elif method == "REFER" and method in self.agent.serves:
            self._referral.on_refer(transaction, next(self._asking.numbers))
        else:
            self.agent.refuse_method(transaction)

    def _on_bye(self, transaction: ServerTransaction) -> None:
        transaction.reply(200)
        was = self.phase
        self._bye_when_told = False
        self._finish()
        if was is Phase.UP:
            self.emit(events.Ended(events.Cause.BYE))
        elif was is Phase.RINGING:
            self.emit(events.Cancelled())
        elif was is Phase.CALLING and self._outgoing is not None:
            # A callee may not (section 15), but whoever does it takes no call any more.
            self._outgoing.cancel()
            self.emit(events.Refused(480))

    # --- the session timer

    def _refresh(self) -> None:
        self.offers.refresh()

    def _on_expired(self) -> None:
        self.fail(events.Cause.EXPIRED)

    # --- ends

    def _bye(self) -> None:
        if self.offers.unacknowledged and self.phase is Phase.UP:
            # A callee may not send BYE before its answer is acknowledged (section 15).
            self._bye_when_acknowledged = True
            self.phase = Phase.ENDED
            self.timer.stop()
            return
        self._bye_when_acknowledged = False
        self.phase = Phase.ENDED
        self._stop()
        if self._referral.concluding:
            # A phone that is hung up before it hears how its transfer went believes that it failed.
            self._bye_when_told = True
            return
        self.usage.send(self.usage.need().request("BYE"), lambda outcome: self._finish())

    def _finish(self) -> None:
        self.phase = Phase.ENDED
        self._stop()
        if not self._referral.active:
            self._close()

    def _close(self) -> None:
        self.usage.close()
        # When whoever brought the end about is done with it; the last event may be on its way.
        self.agent.wheel.schedule(0.0, self._let_go)

    def _let_go(self) -> None:
        """Untie the knot of parts that know each other: memory comes free without the collector's walk.

        Tens of thousands of ended calls linger by design, and looking through them all stops a server for a second.
        """
        self.listener = events.unheard
        self._authorize = _closed
        self._outgoing = None
        self._incoming = None
        self.timer.let_go()
        self.offers.let_go()
        self._asking.let_go()
        self._referral.let_go()

    def _stop(self) -> None:
        self.timer.stop()
        self.offers.stop()
        self._asking.stop()
        if self._incoming is not None:
            self._incoming.stop()
        self._referral.stop()

    # --- helpers

    def _dialog_of(self, request: Request) -> Dialog:
        early = self._outgoing.early_dialog(request.from_tag) if self._outgoing is not None else None
        return early or self.usage.need()

    def _on_transfer_over(self) -> None:
        if self._bye_when_told:
            self._bye_when_told = False
            self._bye()
        elif self.phase is Phase.ENDED and not self._referral.active:
            self._close()

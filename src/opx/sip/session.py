"""Sessions: one INVITE and all that follows in its dialog (RFC 3261 sections 13 to 15), for either role.

A session says what happens as the events of `events.py` and is told what to do by its methods. It answers, repeats,
acknowledges and refreshes by itself; whether a call is taken, and with which description, is its owner's decision.
Its parts: `outgoing` (our INVITE), `reliable` (provisional answers), `offers` (descriptions), `session_timer`,
`referral` (REFER).
"""

from collections.abc import Callable, Sequence
from enum import Enum

from opx.sip import events
from opx.sip.agent import UserAgent, new_call_id, new_tag
from opx.sip.answering import attach_sdp, sdp_of
from opx.sip.asking import METHODS, Asking
from opx.sip.dialog import Dialog
from opx.sip.digest import DigestClient
from opx.sip.errors import LocalProtocolError, RemoteProtocolError
from opx.sip.flow import Destination, Flow
from opx.sip.incoming import IncomingInvite
from opx.sip.message import Request, Response
from opx.sip.offers import Offers
from opx.sip.outgoing import OutgoingInvite, build_invite
from opx.sip.referral import Referral
from opx.sip.reliable import OPTION
from opx.sip.replaces import ReferTo
from opx.sip.session_timer import SessionTimer
from opx.sip.transactions import ServerTransaction
from opx.sip.usage import DialogUsage

Listener = Callable[[events.SessionEvent], None]
Headers = Sequence[tuple[str, str]]
Authorize = Callable[[ServerTransaction], bool]
"""Looks at a request within the dialog before anything is done; when it says False it has answered already."""

ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'
"""RFC 3326: a phone that hears this lists no missed call."""


class Phase(Enum):
    CALLING = "our INVITE is out"
    RINGING = "the peer's INVITE waits for our answer"
    UP = "answered"
    ENDED = "over"


class Session:
    """See the module. Made by `Session.call` or `Session.incoming`."""

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
        self.timer = SessionTimer(
            agent.wheel, agent.session_timer, lambda: self.offers.refresh(), lambda: self.fail(events.Cause.EXPIRED)
        )
        self.offers = Offers(self.usage, self, self.timer)
        self._authorize = authorize
        self._outgoing: OutgoingInvite | None = None
        self._incoming: IncomingInvite | None = None
        self._referral = Referral(self.usage, self.emit, self._on_transfer_over)
        self._asking = Asking(self.usage, self.emit)
        self._bye_when_acknowledged = False
        self._bye_when_told = False

    # --- making one

    @classmethod
    def call(
        cls,
        agent: UserAgent,
        listener: Listener,
        route: Flow | Destination,
        *,
        uri: str,
        from_: str,
        to: str,
        contact: str,
        sdp: bytes,
        credentials: DigestClient | None = None,
        headers: Headers = (),
        authorize: Authorize | None = None,
        reliable: bool = True,
        patience: float | None = None,
    ) -> "Session":
        """Call `uri`. `from_` and `to` are name-addrs without tags, `contact` a URI. Without `sdp` the peer offers.

        Without `reliable` the peer is not told that we acknowledge provisional answers (RFC 3262). A peer that has
        not answered anything within `patience` seconds, not even 100, counts as one that never does.
        """
        session = cls(agent, listener, route, contact, credentials, authorize)
        session.call_id = new_call_id()
        invite = build_invite(uri, from_, to, session.call_id, session.usage.contact, agent.allow, headers)
        invite.add("supported", agent.supported_text if reliable else agent.supported_without(OPTION))
        session.timer.ask(invite)
        attach_sdp(invite, sdp)
        session.offers.local = sdp
        session._outgoing = OutgoingInvite(session.usage, session, invite, session.timer, patience)
        return session

    @classmethod
    def incoming(
        cls,
        agent: UserAgent,
        listener: Listener,
        transaction: ServerTransaction,
        *,
        contact: str,
        route: Flow | Destination | None = None,
        credentials: DigestClient | None = None,
        authorize: Authorize | None = None,
    ) -> "Session":
        """Take an INVITE, to be answered with `progress`, `accept` or `reject`.

        RemoteProtocolError when it lacks a Contact.
        """
        session = cls(agent, listener, route or transaction.flow, contact, credentials, authorize)
        request = transaction.request
        dialog = Dialog.as_server(request, new_tag(), session.usage.contact)
        session.call_id = dialog.call_id
        session.phase = Phase.RINGING
        session.usage.hear(request)
        session.offers.remote = sdp_of(request)
        session.usage.open(dialog, session)
        session._incoming = IncomingInvite(session.usage, session, session.offers, transaction)
        return session

    # --- what the owner sees

    @property
    def route(self) -> Flow | Destination:
        """A flow when requests may go nowhere else (a set); a destination when the dialog decides (an ICP)."""
        return self.usage.route

    @route.setter
    def route(self, route: Flow | Destination) -> None:
        self.usage.route = route

    @property
    def dialog(self) -> Dialog | None:
        return self.usage.dialog

    @property
    def ended(self) -> bool:
        return self.phase is Phase.ENDED

    @property
    def asked(self) -> bool:
        """The INVITE of the peer that began the session waits for our final answer."""
        return self._incoming is not None and self._incoming.waiting

    @property
    def offered(self) -> bool:
        """An offer of the peer waits for `answer_offer` or `refuse_offer`."""
        return self.offers.asked

    @property
    def busy(self) -> bool:
        """An offer is open, so that another one has to wait."""
        return self.offers.busy or not (self.phase is Phase.UP or self.offers.settled)

    @property
    def can_offer(self) -> bool:
        """`offer` may be called now."""
        up = self.phase is Phase.UP or self.usage.peer_allows("UPDATE") is True
        return up and not self.ended and not self.busy

    @property
    def owes_answer(self) -> bool:
        """An offer came in an answer of the peer's, and `acknowledge` may be called now."""
        return self.offers.owes_answer or (self._outgoing is not None and self._outgoing.owes_prack)

    @property
    def referring(self) -> bool:
        """A REFER of ours is under way, and another one has to wait."""
        return self._referral.asking

    @property
    def takes_reliable(self) -> bool:
        """The peer acknowledges provisional answers."""
        return self._incoming is not None and self._incoming.takes_reliable

    # --- what the owner says

    def progress(self, status: int, sdp: bytes = b"", *, reliable: bool = False) -> None:
        """Send a provisional answer, 101 to 199; with `reliable` so that it arrives, where the peer can tell us."""
        self._called().progress(status, sdp, reliable)

    def accept(self, sdp: bytes) -> None:
        """Answer the call: `sdp` is our answer, or our offer when the INVITE had none."""
        self._called().accept(sdp)

    def reject(self, status: int, headers: Headers = ()) -> None:
        """Refuse the call with a final status from 300 on."""
        self._called().reject(status, headers)
        self._finish()

    def offer(self, sdp: bytes, *, update: bool = False) -> None:
        """Send a new offer, in an UPDATE where it is asked for and possible. LocalProtocolError when it must wait."""
        self.offers.offer(sdp, update=update)

    def withdraw_offer(self) -> None:
        """Take our re-INVITE back; `OfferRefused` follows, or `OfferAnswered` when the answer was on its way."""
        self.offers.withdraw()

    def answer_offer(self, sdp: bytes) -> None:
        """Accept the peer's offer."""
        self.offers.answer(sdp)

    def refuse_offer(self, status: int) -> None:
        """Refuse the peer's offer; the session goes on as it was."""
        self.offers.refuse(status)

    def acknowledge(self, sdp: bytes) -> None:
        """Answer the offer that came in the peer's 2xx or provisional answer."""
        if self._outgoing is not None and self._outgoing.owes_prack:
            self.offers.local = sdp
            self.offers.settled = True
            self._outgoing.prack(sdp)
        else:
            self.offers.acknowledge(sdp)

    def hang_up(self, status: int = 480, *, elsewhere: bool = False) -> None:
        """End the session, whatever its phase. No event follows.

        `status` refuses a call that was not answered yet; `elsewhere` tells a phone that rings why it stops.
        """
        if self.phase is Phase.RINGING:
            self.reject(status)
        elif self.phase is Phase.CALLING:
            self._finish()
            if self._outgoing is not None:
                self._outgoing.cancel(ELSEWHERE if elsewhere else "")
        elif self.phase is Phase.UP:
            self._bye()

    def ask(self, method: str, content_type: str, body: bytes, on_final: Callable[[int], None]) -> None:
        """Send INFO or MESSAGE within the call; `on_final` gets the status, 408 when none came."""
        self._asking.ask(method, content_type, body, on_final)

    def answer_request(self, request_id: int, status: int) -> None:
        """Answer what `events.Asked` told of; nothing when the call is over meanwhile."""
        self._asking.answer(request_id, status)

    def refer(self, refer_to: ReferTo, on_final: Callable[[int], None]) -> None:
        """Ask the peer to call somebody else (RFC 3515); what comes of it are `events.TransferProgress`.

        LocalProtocolError while `referring`.
        """
        self._referral.refer(refer_to, on_final)

    def answer_transfer(self, request_id: int, status: int) -> None:
        """Answer a REFER, unless the call is over meanwhile; after 202 `notify_transfer` tells how it goes."""
        if not self.ended:
            self._referral.answer(request_id, status)

    def notify_transfer(self, status: int, over: bool) -> None:
        """Tell the peer what the transfer that it asked for met with; also after the call is over."""
        self._referral.notify(status, over)

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
            self.usage.close()

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

    def _called(self) -> IncomingInvite:
        if self._incoming is None:
            raise LocalProtocolError("the peer sent no INVITE that could be answered")
        return self._incoming

    def _on_transfer_over(self) -> None:
        if self._bye_when_told:
            self._bye_when_told = False
            self._bye()
        elif self.phase is Phase.ENDED and not self._referral.active:
            self.usage.close()

"""Sessions: one INVITE and all that follows in its dialog (RFC 3261 sections 13 to 15), for either role.

A session says what happens as the events of `events.py` and is told what to do by its methods. It answers, repeats
and acknowledges by itself; whether a call is taken, and with which description, is its owner's decision.
"""

import random
from collections.abc import Callable, Sequence
from enum import Enum

from opx.sip import events
from opx.sip.agent import UserAgent, new_call_id, new_tag
from opx.sip.answering import AnswerRepeater, attach_sdp, build_answer, sdp_of
from opx.sip.dialog import Dialog
from opx.sip.digest import DigestClient
from opx.sip.errors import LocalProtocolError, RemoteProtocolError
from opx.sip.exchange import Exchange, Outcome, route_within
from opx.sip.flow import Destination, Flow
from opx.sip.message import Request, Response
from opx.sip.outgoing import OutgoingInvite, build_invite
from opx.sip.timers import Timer
from opx.sip.transactions import Failure, ServerTransaction

Listener = Callable[[events.SessionEvent], None]
Headers = Sequence[tuple[str, str]]
Authorize = Callable[[ServerTransaction], bool]
"""Looks at a request within the dialog before anything is done; when it says False it has answered already."""


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
        authorize: Authorize | None = None,
    ) -> None:
        self.agent = agent
        self.route = route
        """A flow when requests may go nowhere else (a set); a destination when the dialog decides (an ICP)."""
        self.phase = Phase.CALLING
        self.dialog: Dialog | None = None
        self.call_id = ""
        self._listener = listener
        self._contact = contact
        self._credentials = credentials
        self._authorize = authorize
        self._outgoing: OutgoingInvite | None = None
        self._invite: ServerTransaction | None = None
        self._tag = ""
        self._answer: AnswerRepeater | None = None
        self._ack = b""
        self._ack_flow: Flow | None = None
        self._ack_number = 0
        self._awaiting_our_answer = False
        self._offering: Exchange | None = None
        self._offer_sdp = b""
        self._retry: Timer | None = None
        self._bye_when_acknowledged = False

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
    ) -> "Session":
        """Call `uri`. `from_` and `to` are name-addrs without tags, `contact` a URI. Without `sdp` the peer offers."""
        session = cls(agent, listener, route, f"<{contact}>", credentials, authorize)
        session.call_id = new_call_id()
        invite = build_invite(uri, from_, to, session.call_id, session._contact, agent.allow, headers)
        attach_sdp(invite, sdp)
        session._offer_sdp = sdp
        session._outgoing = OutgoingInvite(agent, session, invite, route, session._contact, credentials, session._way)
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
        session = cls(agent, listener, route or transaction.flow, f"<{contact}>", credentials, authorize)
        session._tag = new_tag()
        session.dialog = Dialog.as_server(transaction.request, session._tag, session._contact)
        session.call_id = session.dialog.call_id
        session.phase = Phase.RINGING
        session._invite = transaction
        agent.hold_invite(transaction, session)
        agent.open_dialog(session.dialog, session)
        transaction.reply(100)
        return session

    # --- what the owner says

    @property
    def ended(self) -> bool:
        return self.phase is Phase.ENDED

    @property
    def asked(self) -> bool:
        """An INVITE of the peer waits for our final answer."""
        return self._invite is not None

    def progress(self, status: int, sdp: bytes = b"") -> None:
        """Send a provisional answer, 101 to 199."""
        transaction = self._unanswered()
        response = build_answer(self.agent, transaction.request, status, self._tag, self._contact, sdp)
        transaction.respond(response)

    def accept(self, sdp: bytes) -> None:
        """Answer the call: `sdp` is our answer, or our offer when the INVITE had none."""
        transaction = self._unanswered()
        self._invite = None
        self.phase = Phase.UP
        self._answer_invite(transaction, sdp)

    def reject(self, status: int, headers: Headers = ()) -> None:
        """Refuse the call with a final status from 300 on."""
        transaction = self._unanswered()
        response = transaction.request.reply(status, to_tag=self._tag)
        for name, value in headers:
            response.add(name, value)
        self._invite = None
        transaction.respond(response)
        self._finish()

    def offer(self, sdp: bytes) -> None:
        """Send a re-INVITE. LocalProtocolError while another one is under way on either side."""
        if self.phase is not Phase.UP or self.busy:
            raise LocalProtocolError("a re-INVITE now would break the order of offers")
        self._offer_sdp = sdp
        invite = self._dialog().request("INVITE")
        invite.add("allow", self.agent.allow)
        attach_sdp(invite, sdp)
        self._offering = self._send(invite, self._on_offer_final)

    @property
    def busy(self) -> bool:
        """An offer is under way, so that another one has to wait."""
        return (
            self._offering is not None
            or self._invite is not None
            or self._answer is not None
            or self._awaiting_our_answer
            or self._retry is not None
        )

    def answer_offer(self, sdp: bytes) -> None:
        """Accept the peer's re-INVITE."""
        transaction = self._unanswered()
        self._invite = None
        self._answer_invite(transaction, sdp)

    def refuse_offer(self, status: int) -> None:
        """Refuse the peer's re-INVITE; the session goes on as it was."""
        transaction = self._unanswered()
        self._invite = None
        self.agent.release_invite(transaction)
        transaction.reply(status)

    def acknowledge(self, sdp: bytes) -> None:
        """Answer the offer that came in the peer's 2xx."""
        if not self._awaiting_our_answer:
            raise LocalProtocolError("no offer waits for an answer in an ACK")
        self._awaiting_our_answer = False
        self._send_ack(self._ack_number, sdp)

    def hang_up(self, status: int = 480) -> None:
        """End the session, whatever its phase; `status` refuses a call that was not answered yet. No event follows."""
        if self.phase is Phase.RINGING:
            self.reject(status)
        elif self.phase is Phase.CALLING:
            self._cancel()
        elif self.phase is Phase.UP:
            self._bye()

    # --- InviteUser, for our INVITE

    def on_progress(self, event: events.Progress) -> None:
        self._emit(event)

    def on_refused(self, event: events.Refused) -> None:
        if self.phase is Phase.CALLING:
            self._finish()
            self._emit(event)

    def on_answered(self, dialog: Dialog, response: Response, cancelled: bool) -> None:
        self.dialog = dialog
        self.agent.open_dialog(dialog, self)
        if cancelled:
            # The answer crossed our CANCEL (section 9.1): take it and hang up.
            self._send_ack(response.cseq.number, b"")
            self._bye()
            return
        self.phase = Phase.UP
        self._take_answer(response)
        self._emit(events.Answered(sdp_of(response)))

    def on_answer_repeated(self) -> None:
        if self._ack and self._ack_flow is not None:
            self.agent.layer.transmit(self._ack_flow, self._ack)

    def _cancel(self) -> None:
        self._finish()
        if self._outgoing is not None:
            self._outgoing.cancel()

    def _take_answer(self, response: Response) -> None:
        self._ack_number = response.cseq.number
        self._ack = b""
        if self._offer_sdp:
            self._send_ack(self._ack_number, b"")
        else:
            self._awaiting_our_answer = True

    def _send_ack(self, number: int, sdp: bytes) -> None:
        ack = self._dialog().request("ACK", cseq=number)
        attach_sdp(ack, sdp)
        flow = self._way()
        if flow is not None:
            self._ack_flow = flow
            self._ack = self.agent.layer.send_ack(ack, flow)

    # --- the peer's INVITEs

    def _unanswered(self) -> ServerTransaction:
        if self._invite is None:
            raise LocalProtocolError("no INVITE waits for an answer")
        return self._invite

    def _answer_invite(self, transaction: ServerTransaction, sdp: bytes) -> None:
        response = build_answer(self.agent, transaction.request, 200, self._tag, self._contact, sdp)
        number = transaction.request.cseq.number
        transaction.respond(response)
        self.agent.release_invite(transaction)
        self._answer = AnswerRepeater(self.agent, transaction, response, number, self._on_never_acknowledged)

    def _on_never_acknowledged(self) -> None:
        self._answer = None
        was = self.phase
        self._bye()
        if was is Phase.UP:
            self._emit(events.Ended(events.Cause.NO_ACK))

    # --- DialogUser, for the agent

    def on_cancel(self, transaction: ServerTransaction, cancel: Request) -> None:
        transaction.reply(487, to_tag=self._tag)
        self.agent.release_invite(transaction)
        self._invite = None
        if self.phase is Phase.RINGING:
            self._finish()
            self._emit(events.Cancelled())
        else:
            self._emit(events.OfferWithdrawn())

    def on_unanswered(self, transaction: ServerTransaction, failure: Failure) -> None:
        if transaction is self._invite and failure is Failure.TRANSPORT and self.phase is Phase.RINGING:
            self.agent.release_invite(transaction)
            self._invite = None
            self._finish()
            self._emit(events.Cancelled())

    def on_ack(self, ack: Request) -> None:
        if self._answer is None or ack.cseq.number != self._answer.number:
            return
        self._answer.stop()
        self._answer = None
        if self._bye_when_acknowledged:
            self._bye()
        elif self.phase is Phase.UP:
            self._emit(events.Confirmed(sdp_of(ack)))

    def on_request(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        if self._authorize is not None and not self._authorize(transaction):
            return
        try:
            self._dialog().accept(request)
        except RemoteProtocolError as error:
            transaction.reply(error.status)
            return
        if request.method == "BYE":
            self._on_bye(transaction)
        elif request.method == "OPTIONS":
            self.agent.answer_options(transaction)
        elif self.phase is not Phase.UP:
            transaction.reply(481)
        elif request.method == "INVITE":
            self._on_reinvite(transaction)
        else:
            self.agent.refuse_method(transaction)

    def _on_bye(self, transaction: ServerTransaction) -> None:
        transaction.reply(200)
        if self._invite is not None:
            self._invite.reply(487, to_tag=self._tag)
            self.agent.release_invite(self._invite)
            self._invite = None
        was = self.phase
        self._finish()
        if was is Phase.UP:
            self._emit(events.Ended(events.Cause.BYE))
        elif was is Phase.RINGING:
            self._emit(events.Cancelled())

    def _on_reinvite(self, transaction: ServerTransaction) -> None:
        if self._offering is not None or self._awaiting_our_answer:
            transaction.reply(491)
        elif self._invite is not None:
            response = transaction.request.reply(500)
            response.add("retry-after", str(random.randint(0, 10)))
            transaction.respond(response)
        elif self._answer is not None:
            transaction.reply(491)
        else:
            self._dialog().refresh_target(transaction.request)
            self._invite = transaction
            self.agent.hold_invite(transaction, self)
            transaction.reply(100)
            self._emit(events.Offered(sdp_of(transaction.request)))

    # --- our requests within the dialog

    def _on_offer_final(self, outcome: Outcome) -> None:
        if isinstance(outcome, Response) and outcome.status < 300 and self._offering is None:
            self.on_answer_repeated()
            return
        self._offering = None
        if self.phase is not Phase.UP:
            if isinstance(outcome, Response) and outcome.status < 300:
                self._send_ack(outcome.cseq.number, b"")
            return
        if isinstance(outcome, Failure):
            self._bye()
            self._emit(events.Ended(events.Cause.TRANSPORT))
        elif outcome.status < 300:
            self._dialog().refresh_target(outcome)
            self._take_answer(outcome)
            self._emit(events.OfferAnswered(sdp_of(outcome)))
        elif outcome.status == 491:
            self._retry = self.agent.wheel.schedule(self._glare_delay(), self._offer_again)
        elif outcome.status in (408, 481):
            self._bye()
            self._emit(events.Ended(events.Cause.LOST))
        else:
            self._emit(events.OfferRefused(outcome.status))

    def _glare_delay(self) -> float:
        # Section 14.1: whoever made the Call-ID waits longer, so that the two do not meet again.
        return random.uniform(2.1, 4.0) if self._outgoing is not None else random.uniform(0.0, 2.0)

    def _offer_again(self) -> None:
        self._retry = None
        if self.phase is Phase.UP and not self.busy:
            self.offer(self._offer_sdp)
        elif self.phase is Phase.UP:
            self._emit(events.OfferRefused(491))

    def _bye(self) -> None:
        if self._answer is not None and self.phase is Phase.UP:
            # A callee may not send BYE before its answer is acknowledged (section 15).
            self._bye_when_acknowledged = True
            self.phase = Phase.ENDED
            return
        self._bye_when_acknowledged = False
        self.phase = Phase.ENDED
        self._stop_timers()
        if self._invite is not None:
            self._invite.reply(487, to_tag=self._tag)
            self.agent.release_invite(self._invite)
            self._invite = None
        self._send(self._dialog().request("BYE"), lambda outcome: self._finish())

    def _send(self, request: Request, on_final: Callable[[Outcome], None]) -> Exchange:
        return self.agent.exchange(
            request,
            route_within(self._dialog(), self.route, self.agent.flows),
            on_final,
            credentials=self._credentials,
            next_cseq=self._next_cseq,
        )

    def _next_cseq(self) -> int:
        dialog = self._dialog()
        dialog.local_seq += 1
        return dialog.local_seq

    def _way(self, dialog: Dialog | None = None) -> Flow | None:
        route = route_within(dialog or self._dialog(), self.route, self.agent.flows)
        return route if isinstance(route, Flow) else self.agent.flows.flow_to(route)

    # --- ends

    def _dialog(self) -> Dialog:
        if self.dialog is None:
            raise LocalProtocolError("the session has no dialog yet")
        return self.dialog

    def _stop_timers(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _finish(self) -> None:
        self.phase = Phase.ENDED
        self._stop_timers()
        if self._answer is not None:
            self._answer.stop()
            self._answer = None
        if self._invite is not None:
            self.agent.release_invite(self._invite)
        if self.dialog is not None:
            self.agent.close_dialog(self.dialog)

    def _emit(self, event: events.SessionEvent) -> None:
        self._listener(event)

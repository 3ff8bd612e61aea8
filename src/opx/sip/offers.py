"""Offers and answers within a session's dialog: re-INVITE, UPDATE, their glare, and the ACK that may carry an answer.

RFC 3261 sections 13 and 14, RFC 3311, RFC 6337. At any moment at most one offer is open on either side.
"""

import random
from typing import Protocol

from opx.sip import events
from opx.sip.answering import AnswerRepeater, attach_sdp, build_answer, sdp_of
from opx.sip.errors import LocalProtocolError
from opx.sip.exchange import Exchange, Outcome
from opx.sip.flow import Flow
from opx.sip.message import Request, Response
from opx.sip.session_timer import SessionTimer
from opx.sip.timers import Timer
from opx.sip.transactions import Failure, ServerTransaction
from opx.sip.usage import DialogUsage

MAX_ACKS = 4
"""ACKs kept for 2xx that are repeated; whose turn has come again has acknowledged all but the last."""
REFRESH_AGAIN = 5.0
"""Seconds after which a refresh that found an offer under way is tried anew."""


class OffersUser(Protocol):
    """The session."""

    @property
    def up(self) -> bool:
        """Answered, and not over."""

    @property
    def over(self) -> bool: ...
    @property
    def calls(self) -> bool:
        """The session's own INVITE made the dialog."""

    def emit(self, event: events.SessionEvent) -> None: ...
    def fail(self, cause: events.Cause) -> None:
        """The peer is gone: end the session."""

    def on_never_acknowledged(self) -> None: ...


class _Over:
    """The user of offers whose session is over."""

    up = False
    over = True
    calls = False

    def emit(self, event: events.SessionEvent) -> None:
        """Nobody listens."""

    def fail(self, cause: events.Cause) -> None:
        """There is nothing left that could fail."""

    def on_never_acknowledged(self) -> None:
        """Nor anything to hang up."""


_OVER = _Over()


class Offers:
    """`local` and `remote` are the descriptions that were sent and came last."""

    def __init__(self, usage: DialogUsage, user: OffersUser, timer: SessionTimer) -> None:
        self.local = b""
        self.remote = b""
        self.settled = False
        """The first offer has its answer, reliably: before the call is answered, UPDATE may change it."""
        self._usage = usage
        self._user: OffersUser = user
        self._timer = timer
        self._asked: ServerTransaction | None = None
        self._asked_sdp = b""
        self._answer: AnswerRepeater | None = None
        self._ours: Exchange | None = None
        self._ours_number = 0
        self._ours_limit: Timer | None = None
        self._owes_ack = False
        self._acks: dict[int, tuple[Flow, bytes]] = {}
        self._ack_number = 0
        self._retry: Timer | None = None

    # --- state

    @property
    def asked(self) -> bool:
        """An offer of the peer waits for our answer."""
        return self._asked is not None

    @property
    def busy(self) -> bool:
        """An offer is open, so that another one has to wait."""
        return (
            self._ours is not None
            or self._asked is not None
            or self._answer is not None
            or self._owes_ack
            or self._retry is not None
        )

    @property
    def unacknowledged(self) -> bool:
        """Our 2xx waits for its ACK."""
        return self._answer is not None

    # --- our offers

    def offer(self, sdp: bytes, *, update: bool = False) -> None:
        """Send an offer: in an UPDATE where it is asked for or the call is not answered yet, else in a re-INVITE.

        LocalProtocolError while another offer is open, or when there is nothing that could carry it.
        """
        if self.busy or self._user.over or not (self._user.up or self.settled):
            raise LocalProtocolError("an offer now would break the order of offers")
        allowed = self._usage.peer_allows("UPDATE") is True
        if not self._user.up and not (allowed and sdp):
            raise LocalProtocolError("before the call is answered only an UPDATE can carry an offer")
        self._send("UPDATE" if allowed and sdp and (update or not self._user.up) else "INVITE", sdp)

    def withdraw(self) -> None:
        """Take a re-INVITE of ours back while it has no answer; whatever comes of it is reported as ever."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
            self._user.emit(events.OfferRefused(487))
        elif self._ours is not None and self._ours.request.method == "INVITE":
            self._ours.cancel()

    def refresh(self) -> None:
        """Keep the session timer of both ends from running out (RFC 4028 section 7.4)."""
        if not self._user.up:
            return
        if self.busy:
            self._timer.try_again(REFRESH_AGAIN)
        elif self._usage.peer_allows("UPDATE") is True:
            self._send("UPDATE", b"", refreshing=True)
        else:
            self._send("INVITE", self.local, refreshing=True)

    def _send(self, method: str, sdp: bytes, *, refreshing: bool = False) -> None:
        request = self._usage.need().request(method)
        request.add("allow", self._usage.agent.allow)
        request.add("supported", self._usage.agent.supported_text)
        self._timer.ask(request)
        attach_sdp(request, sdp)
        if sdp:
            self.local = sdp
        self._ours_number = number = self._ours_number + 1
        if method == "INVITE":
            limit = self._usage.agent.timing.ring_limit
            self._ours_limit = self._usage.agent.wheel.schedule(limit, self.withdraw)

        def final(outcome: Outcome) -> None:
            if number == self._ours_number:
                self._on_final(outcome, sdp, method, refreshing)
            elif isinstance(outcome, Response):
                self.repeat_ack(outcome.cseq.number)

        exchange = self._usage.send(request, final)
        if number == self._ours_number:
            self._ours = exchange

    def _forget_ours(self) -> None:
        self._ours = None
        # Whatever else comes of it is a repetition.
        self._ours_number += 1
        if self._ours_limit is not None:
            self._ours_limit.cancel()
            self._ours_limit = None

    def _on_final(self, outcome: Outcome, sdp: bytes, method: str, refreshing: bool) -> None:
        self._forget_ours()
        if self._user.over:
            if isinstance(outcome, Response) and outcome.status < 300 and method == "INVITE":
                self._usage.send_ack(outcome.cseq.number, b"")
            return
        if isinstance(outcome, Failure):
            self._user.fail(events.Cause.TRANSPORT)
        elif outcome.status < 300:
            self._accepted(outcome, sdp, method, refreshing)
        elif outcome.status in (408, 481):
            self._user.fail(events.Cause.LOST)
        elif outcome.status == 422 and self._timer.too_small(outcome):
            self._send(method, sdp, refreshing=refreshing)
        elif refreshing:
            # Whatever it is, the peer is there; how long it may refuse is the timer's business.
            self._timer.try_again(REFRESH_AGAIN)
        elif outcome.status == 491:
            self._retry = self._usage.agent.wheel.schedule(self._glare_delay(), lambda: self._again(sdp, method))
        else:
            self._user.emit(events.OfferRefused(outcome.status))

    def _accepted(self, response: Response, sdp: bytes, method: str, refreshing: bool) -> None:
        self._usage.need().refresh_target(response)
        self._usage.hear(response)
        self._timer.granted(response)
        answer = sdp_of(response)
        if answer:
            self.remote = answer
        if method == "INVITE":
            self.take_answer(response.cseq.number, owes=bool(answer) and not sdp)
        if not refreshing:
            self._user.emit(events.OfferAnswered(answer))

    def _glare_delay(self) -> float:
        # Section 14.1: whoever made the Call-ID waits longer, so that the two do not meet again.
        return random.uniform(2.1, 4.0) if self._user.calls else random.uniform(0.0, 2.0)

    def _again(self, sdp: bytes, method: str) -> None:
        self._retry = None
        if self._user.over:
            return
        if self.busy:
            self._user.emit(events.OfferRefused(491))
        else:
            self._send(method, sdp)

    # --- the ACK of the peer's 2xx

    def take_answer(self, number: int, *, owes: bool) -> None:
        """A 2xx came: acknowledge it, or with `owes` wait for the owner's answer to the offer in it."""
        self._ack_number = number
        self._owes_ack = owes
        if not owes:
            self._send_ack(b"")

    def _send_ack(self, sdp: bytes) -> None:
        ack = self._usage.send_ack(self._ack_number, sdp)
        if ack is not None:
            self._acks[self._ack_number] = ack
            if len(self._acks) > MAX_ACKS:
                del self._acks[next(iter(self._acks))]

    @property
    def owes_answer(self) -> bool:
        return self._owes_ack

    def acknowledge(self, sdp: bytes) -> None:
        """Answer the offer that came in the peer's 2xx. LocalProtocolError when there was none."""
        if not self._owes_ack:
            raise LocalProtocolError("no offer waits for an answer in an ACK")
        self._owes_ack = False
        self.local = sdp
        self._send_ack(sdp)

    def repeat_ack(self, number: int) -> None:
        """The peer repeats the 2xx of that CSeq number: our ACK was lost."""
        ack = self._acks.get(number)
        if ack is not None:
            self._usage.agent.layer.transmit(*ack)

    # --- the peer's offers

    def on_reinvite(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        first_open = not self._user.up
        if self._ours is not None or self._owes_ack or self._answer is not None or (first_open and self._user.calls):
            transaction.reply(491)
        elif self._asked is not None or first_open:
            _come_back_later(transaction)
        else:
            self._usage.need().refresh_target(request)
            self._usage.hear(request)
            sdp = sdp_of(request)
            transaction.reply(100)
            if sdp and sdp == self.remote and self.local:
                # Nothing new: the peer refreshes its session timer (RFC 4028 section 7.4).
                self.answer_invite(transaction, self.local)
                return
            self._ask(transaction, sdp)

    def on_update(self, transaction: ServerTransaction) -> None:
        """RFC 3311 section 5.2."""
        request = transaction.request
        sdp = sdp_of(request)
        if sdp and (self._ours is not None or self._owes_ack or self._answer is not None):
            transaction.reply(491)
        elif sdp and (self._asked is not None or not (self._user.up or self.settled)):
            _come_back_later(transaction)
        elif not sdp:
            self._usage.need().refresh_target(request)
            self._usage.hear(request)
            self._answer_update(transaction, b"")
        else:
            self._usage.need().refresh_target(request)
            self._usage.hear(request)
            self._ask(transaction, sdp)

    def on_offer_in_prack(self, transaction: ServerTransaction, sdp: bytes) -> None:
        """A PRACK may make a further offer once the first has its answer (RFC 3262 section 5)."""
        if self.busy:
            transaction.reply(491)
        else:
            self._ask(transaction, sdp)

    def _ask(self, transaction: ServerTransaction, sdp: bytes) -> None:
        self._asked = transaction
        self._asked_sdp = sdp
        if transaction.invite:
            self._usage.agent.hold_invite(transaction, self)
        self._user.emit(events.Offered(sdp, update=not transaction.invite))

    def answer(self, sdp: bytes) -> None:
        """Accept the peer's offer; LocalProtocolError when there is none."""
        transaction = self._take_asked()
        self.remote = self._asked_sdp or self.remote
        if transaction.invite:
            self.answer_invite(transaction, sdp)
        else:
            self._answer_update(transaction, sdp)

    def refuse(self, status: int) -> None:
        """Refuse the peer's offer; the session goes on as it was."""
        transaction = self._take_asked()
        self._usage.agent.release_invite(transaction)
        transaction.reply(status)

    def _take_asked(self) -> ServerTransaction:
        if self._asked is None:
            raise LocalProtocolError("no offer waits for an answer")
        transaction, self._asked = self._asked, None
        return transaction

    def answer_invite(self, transaction: ServerTransaction, sdp: bytes) -> None:
        """Send the 2xx of an INVITE, the first one of the session or a later one, until it is acknowledged."""
        agent = self._usage.agent
        request = transaction.request
        number = request.cseq.number
        response = build_answer(agent, request, 200, self._usage.need().local_tag, self._usage.contact, sdp)
        self._timer.grant(request, response)
        if sdp:
            self.local = sdp
        transaction.respond(response)
        agent.release_invite(transaction)
        self._answer = AnswerRepeater(agent, transaction, response, number, self._on_never_acknowledged)

    def _answer_update(self, transaction: ServerTransaction, sdp: bytes) -> None:
        agent = self._usage.agent
        response = transaction.request.reply(200)
        if transaction.method == "UPDATE":
            response.add("contact", self._usage.contact)
            response.add("allow", agent.allow)
            if self._user.up:
                self._timer.grant(transaction.request, response)
        attach_sdp(response, sdp)
        if sdp:
            self.local = sdp
        transaction.respond(response)

    def on_ack(self, ack: Request) -> bool:
        """An ACK came; whether it was the one that our 2xx waited for."""
        if self._answer is None or ack.cseq.number != self._answer.number:
            return False
        self._answer.stop()
        self._answer = None
        sdp = sdp_of(ack)
        if sdp:
            self.remote = sdp
        return True

    def _on_never_acknowledged(self) -> None:
        self._answer = None
        self._user.on_never_acknowledged()

    # --- InviteOwner, for a re-INVITE of the peer that waits

    def on_cancel(self, transaction: ServerTransaction, cancel: Request) -> None:
        transaction.reply(487)
        self._usage.agent.release_invite(transaction)
        if transaction is self._asked:
            self._asked = None
            self._user.emit(events.OfferWithdrawn())

    def on_unanswered(self, transaction: ServerTransaction, failure: Failure) -> None:
        """A refusal that nobody acknowledged changes nothing."""

    # --- the end

    def let_go(self) -> None:
        """The session is over and not to be called any more."""
        self._user = _OVER

    def stop(self) -> None:
        """The session is over: nothing more is sent or answered, but what waits gets its answer."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._ours_limit is not None and self._ours is not None:
            # A peer that has begun to answer could keep it open for ever.
            self._ours_limit.cancel()
            self._ours_limit = None
            self._ours.cancel()
        if self._owes_ack:
            # Every 2xx is acknowledged (RFC 3261 section 13.2.2.4), also where the offer in it finds no taker.
            self._owes_ack = False
            self._send_ack(b"")
        if self._answer is not None:
            self._answer.stop()
            self._answer = None
        if self._asked is not None:
            transaction, self._asked = self._asked, None
            self._usage.agent.release_invite(transaction)
            transaction.reply(487)


def _come_back_later(transaction: ServerTransaction) -> None:
    response = transaction.request.reply(500)
    response.add("retry-after", str(random.randint(0, 10)))
    transaction.respond(response)

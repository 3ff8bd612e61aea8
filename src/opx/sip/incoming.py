"""The peer's INVITE until it has its final answer: ringing, reliable provisional answers, CANCEL."""

from collections.abc import Sequence
from typing import Protocol

from opx.sip import events
from opx.sip.answering import build_answer, sdp_of
from opx.sip.errors import LocalProtocolError
from opx.sip.message import Request, Response
from opx.sip.offers import Offers
from opx.sip.reliable import OPTION, ReliableAnswers, has_option, rack_of
from opx.sip.transactions import Failure, ServerTransaction
from opx.sip.usage import DialogUsage


class IncomingUser(Protocol):
    """The session that is called."""

    def on_accepting(self) -> None:
        """The 2xx goes out now."""

    def on_gave_up(self, event: events.Cancelled) -> None:
        """The caller has its final answer, or cannot be given one."""

    def emit(self, event: events.SessionEvent) -> None: ...


class IncomingInvite:
    """Holds `transaction` and answers it; the dialog is that of `usage`."""

    def __init__(self, usage: DialogUsage, user: IncomingUser, offers: Offers, transaction: ServerTransaction) -> None:
        self._usage = usage
        self._agent = usage.agent
        self._user = user
        self._offers = offers
        self._transaction: ServerTransaction | None = transaction
        request = transaction.request
        self._number = request.cseq.number
        self._offered = bool(sdp_of(request))
        self._required = has_option(request, "require")
        self._reliable: ReliableAnswers | None = None
        self._accepting: bytes | None = None
        self._agent.hold_invite(transaction, self)
        transaction.reply(100)

    @property
    def waiting(self) -> bool:
        """It has no final answer yet, and none is on its way."""
        return self._transaction is not None and self._accepting is None

    @property
    def over(self) -> bool:
        return self._transaction is None

    @property
    def takes_reliable(self) -> bool:
        """The caller acknowledges provisional answers (RFC 3262)."""
        return self._required or self._usage.peer_supports(OPTION)

    # --- answers

    def progress(self, status: int, sdp: bytes, reliable: bool) -> None:
        """Send a provisional answer, 101 to 199; reliably where it is asked for and the caller can."""
        transaction = self._need()
        reliable = self._required or (reliable and self.takes_reliable)
        if self._offers.settled or not (self._offered or reliable):
            # Only what arrives for sure may hold an offer, and a settled one is not answered twice.
            sdp = b""
        response = self._build(transaction, status, sdp)
        if sdp:
            self._offers.local = sdp
        if not reliable:
            transaction.respond(response)
            return
        if self._reliable is None:
            self._reliable = ReliableAnswers(self._agent, transaction, self._number, self._on_never_acknowledged)
        self._reliable.send(response)

    def accept(self, sdp: bytes) -> None:
        """Send the 2xx, at once or when the description in a provisional answer has its PRACK."""
        transaction = self._need()
        if self._reliable is not None and self._reliable.unacknowledged:
            # RFC 3262 section 3: the caller could miss a description that was sent before.
            self._accepting = sdp
            return
        self._transaction = None
        self._reliable = None
        self._user.on_accepting()
        if self._offers.settled:
            sdp = b""
        elif not sdp and self._offered:
            sdp = self._offers.local
        self._offers.answer_invite(transaction, sdp)

    def reject(self, status: int, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Refuse with a final status from 300 on; nothing when there is an answer already."""
        if self._transaction is None:
            return
        response = self._transaction.request.reply(status, to_tag=self._usage.need().local_tag)
        for name, value in headers:
            response.add(name, value)
        self._close().respond(response)

    def stop(self) -> None:
        """The session is over: what waits is answered 487."""
        self.reject(487)

    def _build(self, transaction: ServerTransaction, status: int, sdp: bytes) -> Response:
        tag = self._usage.need().local_tag
        return build_answer(self._agent, transaction.request, status, tag, self._usage.contact, sdp)

    def _need(self) -> ServerTransaction:
        if self._transaction is None or self._accepting is not None:
            raise LocalProtocolError("no INVITE waits for an answer")
        return self._transaction

    def _close(self) -> ServerTransaction:
        assert self._transaction is not None
        transaction, self._transaction = self._transaction, None
        self._accepting = None
        if self._reliable is not None:
            self._reliable.stop()
            self._reliable = None
        self._agent.release_invite(transaction)
        return transaction

    # --- what the caller does

    def on_prack(self, transaction: ServerTransaction) -> None:
        """RFC 3262 section 3; its description answers our offer, or is a further offer (section 5)."""
        rack = rack_of(transaction.request)
        acknowledged = self._reliable.acknowledged(rack) if self._reliable is not None and rack is not None else None
        if acknowledged is None:
            transaction.reply(481)
            return
        sdp = sdp_of(transaction.request)
        if sdp_of(acknowledged):
            self._offers.settled = True
        if sdp and self._offered and self._offers.settled:
            self._offers.on_offer_in_prack(transaction, sdp)
        else:
            transaction.reply(200)
            if sdp:
                self._offers.remote = sdp
                self._user.emit(events.Confirmed(sdp))
        if self._accepting is not None and self._reliable is not None and not self._reliable.unacknowledged:
            accepting, self._accepting = self._accepting, None
            self.accept(accepting)

    def on_cancel(self, transaction: ServerTransaction, cancel: Request) -> None:
        """InviteOwner: the caller gave up."""
        self.reject(487)
        elsewhere = "cause=200" in (cancel.get("reason") or "").replace(" ", "")
        self._user.on_gave_up(events.Cancelled(elsewhere))

    def on_unanswered(self, transaction: ServerTransaction, failure: Failure) -> None:
        """InviteOwner: the way to the caller is gone."""
        if self._transaction is not None and failure is Failure.TRANSPORT:
            self._close()
            self._user.on_gave_up(events.Cancelled())

    def _on_never_acknowledged(self) -> None:
        self.reject(504)
        self._user.on_gave_up(events.Cancelled())

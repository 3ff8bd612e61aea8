"""Our INVITE until it is answered: ringing, early dialogs, giving up, and what a forking proxy makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from opx.sip import events
from opx.sip.agent import new_tag
from opx.sip.answering import attach_sdp, redirect_targets, retry_after_of, sdp_of
from opx.sip.dialog import MAX_FORWARDS, Dialog
from opx.sip.errors import RemoteProtocolError
from opx.sip.exchange import Exchange, Outcome
from opx.sip.message import Request, Response
from opx.sip.reliable import rseq_of
from opx.sip.session_timer import SessionTimer
from opx.sip.timers import Timer
from opx.sip.transactions import Failure
from opx.sip.usage import DialogUsage, vouch

MAX_FORKS = 16
"""Early dialogs of one call; a hunt group of phones that ring together is smaller."""


class InviteUser(Protocol):
    """The session that called."""

    def on_progress(self, event: events.Progress) -> None: ...
    def on_refused(self, event: events.Refused) -> None: ...
    def on_early_dialog(self, dialog: Dialog) -> None:
        """A reliable provisional answer made a dialog, in which requests may go both ways from now on."""

    def on_settled(self, answer: bytes) -> None:
        """The first offer has its answer before the call is answered."""

    def on_answered(self, dialog: Dialog, response: Response, cancelled: bool) -> None: ...
    def on_answer_repeated(self, number: int) -> None: ...


@dataclass(slots=True)
class _Fork:
    """One callee behind our INVITE; `rseq` is its last reliable provisional answer."""

    dialog: Dialog
    rseq: int | None = None


@dataclass(slots=True)
class _OwedPrack:
    """A reliable provisional answer with an offer: its PRACK waits for our answer."""

    fork: _Fork
    rack: str


class OutgoingInvite:
    """Sends `invite` and reports to `user`; at most one refusal or one answer."""

    def __init__(
        self,
        usage: DialogUsage,
        user: InviteUser,
        invite: Request,
        timer: SessionTimer,
        patience: float | None = None,
    ) -> None:
        self._usage = usage
        self._agent = usage.agent
        self._user = user
        self._timer = timer
        self._offered = bool(invite.body)
        self._settled = False
        self._cancelled = False
        self._over = False
        self._final = False
        self._forks: dict[str, _Fork] = {}
        self._owed: _OwedPrack | None = None
        self._answered: Dialog | None = None
        self._ring_timer: Timer | None = None
        self._patience_timer: Timer | None = None
        if patience is not None:
            self._patience_timer = self._agent.wheel.schedule(patience, self._on_patience_over)
        self._request = usage.invite = invite
        self._exchange: Exchange | None = None
        self._send()

    def cancel(self, reason: str = "") -> None:
        """Give up; an answer that crosses this is still reported, with `cancelled`. `reason` is a Reason header."""
        self._cancelled = True
        self._stop_waiting()
        if self._exchange is not None:
            self._exchange.cancel(reason)

    def early_dialog(self, remote_tag: str) -> Dialog | None:
        """The dialog with one of the callees."""
        fork = self._forks.get(remote_tag)
        return fork.dialog if fork else None

    @property
    def owes_prack(self) -> bool:
        """An offer came that `prack` must answer."""
        return self._owed is not None

    def prack(self, sdp: bytes) -> None:
        """Acknowledge the provisional answer with an offer, giving our answer to it (RFC 3262 section 5)."""
        owed, self._owed = self._owed, None
        if owed is not None:
            self._send_prack(owed.fork, owed.rack, sdp)

    # --- sending and waiting

    def _send(self) -> None:
        self._wait_for_answer()
        self._final = False
        exchange = self._agent.exchange(
            self._request,
            self._usage.route,
            self._on_final,
            on_provisional=self._on_provisional,
            credentials=self._usage.credentials,
        )
        # It holds us for as long as a 2xx may be repeated; to hold it, too, would keep both for ever.
        self._exchange = None if self._final else exchange

    def _wait_for_answer(self) -> None:
        self._stop_waiting()
        self._ring_timer = self._agent.wheel.schedule(self._agent.timing.ring_limit, self._on_ring_limit)

    def _stop_waiting(self) -> None:
        if self._ring_timer is not None:
            self._ring_timer.cancel()
            self._ring_timer = None

    def _on_ring_limit(self) -> None:
        self.cancel()
        self._refuse(events.Refused(480, local=True))

    def _on_patience_over(self) -> None:
        if self._exchange is not None and not self._exchange.heard:
            self.cancel()
            self._refuse(events.Refused(408, local=True))

    # --- provisional answers

    def _on_provisional(self, response: Response) -> None:
        if self._cancelled or self._over:
            return
        self._wait_for_answer()
        self._usage.hear(response)
        rseq = rseq_of(response)
        if rseq is None:
            # What is not sent reliably cannot carry an offer (RFC 3262 section 5).
            self._user.on_progress(events.Progress(response.status, sdp_of(response) if self._offered else b""))
            return
        fork = self._fork(response)
        if fork is None or (fork.rseq is not None and rseq != fork.rseq + 1):
            # A repetition, or one whose predecessor is still on its way and will be repeated.
            return
        fork.rseq = rseq
        self._on_reliable(response, fork, f"{rseq} {response.cseq.number} INVITE")

    def _on_reliable(self, response: Response, fork: _Fork, rack: str) -> None:
        sdp = sdp_of(response)
        self._user.on_early_dialog(fork.dialog)
        offers = bool(sdp) and not self._offered and not self._settled
        if offers:
            self._owed = _OwedPrack(fork, rack)
        else:
            self._send_prack(fork, rack, b"")
            if sdp and not self._settled:
                self._settled = True
                self._user.on_settled(sdp)
        self._user.on_progress(events.Progress(response.status, sdp, reliable=True, offers=offers))

    def _fork(self, response: Response) -> _Fork | None:
        tag = response.to_tag
        fork = self._forks.get(tag)
        if fork is None and tag and len(self._forks) < MAX_FORKS:
            fork = self._forks[tag] = _Fork(Dialog.as_client(self._request, response, self._usage.contact))
        return fork

    def _send_prack(self, fork: _Fork, rack: str, sdp: bytes) -> None:
        prack = fork.dialog.request("PRACK")
        prack.add("rack", rack)
        attach_sdp(prack, sdp)
        if sdp:
            self._settled = True
        self._usage.send(prack, lambda outcome: None, fork.dialog)

    # --- the final answer

    def _on_final(self, outcome: Outcome) -> None:
        self._final = True
        self._exchange = None
        self._stop_waiting()
        if self._patience_timer is not None:
            self._patience_timer.cancel()
        if isinstance(outcome, Failure):
            self._refuse(events.Refused(408 if outcome is Failure.TIMEOUT else 503, local=True))
        elif outcome.status == 422 and self._ask_for_longer(outcome):
            return
        elif outcome.status >= 300:
            targets = redirect_targets(outcome) if outcome.status < 400 else ()
            self._refuse(events.Refused(outcome.status, retry_after_of(outcome), targets=targets))
        elif self._answered is None:
            self._take(outcome)
        elif outcome.to_tag == self._answered.remote_tag:
            self._user.on_answer_repeated(outcome.cseq.number)
        else:
            self._drop_fork(outcome)

    def _ask_for_longer(self, response: Response) -> bool:
        if self._cancelled or not self._timer.too_small(response):
            return False
        again = self._request
        for name in ("via", "session-expires", "min-se"):
            again.remove(name)
        again.set("cseq", f"{again.cseq.number + 1} INVITE")
        self._timer.ask(again)
        self._send()
        return True

    def _refuse(self, event: events.Refused) -> None:
        if not self._over:
            self._over = True
            self._user.on_refused(event)

    def _take(self, response: Response) -> None:
        try:
            dialog = self._dialog_of(response)
        except RemoteProtocolError:
            self._end_unreadable(response)
            self._refuse(events.Refused(502, local=True))
            return
        self._answered = dialog
        self._over = True
        self._user.on_answered(dialog, response, self._cancelled)

    def _dialog_of(self, response: Response) -> Dialog:
        fork = self._forks.get(response.to_tag)
        if fork is None:
            return Dialog.as_client(self._request, response, self._usage.contact)
        fork.dialog.confirm(response)
        return fork.dialog

    def _drop_fork(self, response: Response) -> None:
        """A second phone answered behind a forking proxy: one dialog is enough (RFC 3261 section 13.2.2.4)."""
        try:
            fork = self._dialog_of(response)
        except RemoteProtocolError:
            self._end_unreadable(response)
        else:
            self._end_fork(fork, response)

    def _end_unreadable(self, response: Response) -> None:
        """A callee whose answer says nothing usable of where it is still waits for an ACK, and believes in a call."""
        if response.to_tag:
            self._end_fork(Dialog.as_asked(self._request, response, self._usage.contact), response)

    def _end_fork(self, fork: Dialog, response: Response) -> None:
        flow = self._usage.way(fork)
        if flow is not None:
            ack = fork.request("ACK", cseq=response.cseq.number)
            vouch(ack, self._request)
            self._agent.layer.send_ack(ack, flow)
            self._usage.send(fork.request("BYE"), _whatever, fork)


def _whatever(outcome: Outcome) -> None:
    """A call that is not wanted is over, whatever the peer says to it."""


def build_invite(
    uri: str, from_: str, to: str, call_id: str, contact: str, allow: str, headers: Sequence[tuple[str, str]]
) -> Request:
    """An INVITE that begins a dialog (RFC 3261 section 8.1.1); `from_` and `to` without tags, `contact` in brackets."""
    invite = Request.new("INVITE", uri)
    invite.add("max-forwards", MAX_FORWARDS)
    invite.add("from", f"{from_};tag={new_tag()}")
    invite.add("to", to)
    invite.add("call-id", call_id)
    invite.add("cseq", "1 INVITE")
    invite.add("contact", contact)
    invite.add("allow", allow)
    for name, value in headers:
        invite.add(name, value)
    return invite

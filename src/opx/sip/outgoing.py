"""Our INVITE until it is answered: ringing, giving up, and what a forking proxy makes of it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from opx.sip import events
from opx.sip.agent import UserAgent, new_tag
from opx.sip.answering import retry_after_of, sdp_of
from opx.sip.dialog import MAX_FORWARDS, Dialog
from opx.sip.digest import DigestClient
from opx.sip.errors import RemoteProtocolError
from opx.sip.exchange import Outcome
from opx.sip.flow import Destination, Flow
from opx.sip.message import Request, Response
from opx.sip.timers import Timer
from opx.sip.transactions import Failure


class InviteUser(Protocol):
    """The session that called."""

    def on_progress(self, event: events.Progress) -> None: ...
    def on_refused(self, event: events.Refused) -> None: ...
    def on_answered(self, dialog: Dialog, response: Response, cancelled: bool) -> None: ...
    def on_answer_repeated(self) -> None: ...


class OutgoingInvite:
    """Sends `invite` and reports to `user`; at most one refusal or one answer.

    `way` gives the flow for requests of a dialog that is not the session's own.
    """

    def __init__(
        self,
        agent: UserAgent,
        user: InviteUser,
        invite: Request,
        route: Flow | Destination,
        contact: str,
        credentials: DigestClient | None,
        way: Callable[[Dialog], Flow | None],
    ) -> None:
        self._agent = agent
        self._user = user
        self._contact = contact
        self._credentials = credentials
        self._way = way
        self._cancelled = False
        self._over = False
        self._dialog: Dialog | None = None
        self._ring_timer: Timer | None = None
        self._wait_for_answer()
        self._exchange = agent.exchange(
            invite, route, self._on_final, on_provisional=self._on_provisional, credentials=credentials
        )

    def cancel(self) -> None:
        """Give up; an answer that crosses this is still reported, with `cancelled`."""
        self._cancelled = True
        self._stop_waiting()
        self._exchange.cancel()

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

    def _on_provisional(self, response: Response) -> None:
        if not self._cancelled:
            self._wait_for_answer()
            self._user.on_progress(events.Progress(response.status, sdp_of(response)))

    def _on_final(self, outcome: Outcome) -> None:
        self._stop_waiting()
        if isinstance(outcome, Failure):
            self._refuse(events.Refused(408 if outcome is Failure.TIMEOUT else 503, local=True))
        elif outcome.status >= 300:
            self._refuse(events.Refused(outcome.status, retry_after_of(outcome)))
        elif self._dialog is None:
            self._take(outcome)
        elif outcome.to_tag == self._dialog.remote_tag:
            self._user.on_answer_repeated()
        else:
            self._drop_fork(outcome)

    def _refuse(self, event: events.Refused) -> None:
        if not self._over:
            self._over = True
            self._user.on_refused(event)

    def _take(self, response: Response) -> None:
        try:
            self._dialog = Dialog.as_client(self._exchange.request, response, self._contact)
        except RemoteProtocolError:
            self._refuse(events.Refused(502, local=True))
            return
        self._over = True
        self._user.on_answered(self._dialog, response, self._cancelled)

    def _drop_fork(self, response: Response) -> None:
        """A second phone answered behind a forking proxy: one dialog is enough (RFC 3261 section 13.2.2.4)."""
        try:
            fork = Dialog.as_client(self._exchange.request, response, self._contact)
        except RemoteProtocolError:
            return
        flow = self._way(fork)
        if flow is not None:
            self._agent.layer.send_ack(fork.request("ACK", cseq=fork.local_seq), flow)
            self._agent.exchange(fork.request("BYE"), flow, lambda outcome: None, credentials=self._credentials)


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

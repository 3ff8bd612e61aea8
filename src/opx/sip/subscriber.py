"""Subscribing (RFC 6665 section 4.1): one SUBSCRIBE, its refreshes, and the notifications that come of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from opx.sip.agent import UserAgent, new_call_id, new_tag
from opx.sip.answering import retry_after_of
from opx.sip.dialog import MAX_FORWARDS, Dialog, contact_of
from opx.sip.digest import DigestClient
from opx.sip.errors import RemoteProtocolError
from opx.sip.exchange import Exchange, Outcome, route_within
from opx.sip.flow import Destination, Flow
from opx.sip.message import Request, Response
from opx.sip.subscription import FOR_GOOD, LEG_FAILED, MAX_SECONDS, Content, EventType, State, SubscriptionState
from opx.sip.timers import Timer
from opx.sip.transactions import Failure, ServerTransaction

AGAIN_AT_ONCE = frozenset(("deactivated", "timeout"))
"""Reasons that invite a new subscription without a pause (section 4.1.3)."""


class Over(Enum):
    """Why a subscription is over."""

    REFUSED = "it was refused"
    TERMINATED = "the notifier ended it"
    LOST = "the notifier does not know it any more"
    UNANSWERED = "no answer"
    SILENT = "no notification came"
    EXPIRED = "it could not be refreshed in time"


@dataclass(frozen=True, slots=True)
class Granted:
    """A SUBSCRIBE, the first or a refresh, was accepted for `expires` seconds."""

    expires: int


@dataclass(frozen=True, slots=True)
class Notified:
    """A NOTIFY, which has been answered. With a state of TERMINATED a `Closed` follows."""

    state: SubscriptionState
    content: Content


@dataclass(frozen=True, slots=True)
class Closed:
    """The subscription is over. `status` is the refusing answer, 0 without one; `reason` is the notifier's."""

    why: Over
    status: int = 0
    reason: str = ""
    retry_after: int | None = None

    @property
    def again_after(self) -> float | None:
        """Seconds after which a new subscription may be asked for, None when that makes no sense.

        The owner adds its own back-off: what invites a new one at once is 0 here.
        """
        if self.why is Over.REFUSED:
            for_now = self.status in (408, 480) or 500 <= self.status < 600
            return float(self.retry_after or 0) if for_now else None
        if self.why is Over.TERMINATED:
            if self.reason in FOR_GOOD:
                return None
            return 0.0 if self.reason in AGAIN_AT_ONCE else float(self.retry_after or 0)
        return 0.0


SubscriberEvent = Granted | Notified | Closed


@dataclass(frozen=True, slots=True)
class SubscriberPolicy:
    """Seconds. `expires` of 0 asks for the state once (section 4.4.3)."""

    expires: int = 3600
    refresh_at: float = 0.8
    retry: float = 30.0
    """Pause until a refresh is tried again that failed while the subscription still stands."""


class Subscriber:
    """One subscription to `event` at `uri`. `start` it; `on_event` hears what comes, a `Closed` once and last.

    `from_` and `to` are name-addrs without tags, `contact` a URI. `route` is a flow when requests may go nowhere
    else, a destination when the dialog decides.
    """

    def __init__(
        self,
        agent: UserAgent,
        on_event: Callable[[SubscriberEvent], None],
        route: Flow | Destination,
        *,
        uri: str,
        from_: str,
        to: str,
        contact: str,
        event: EventType,
        accept: Sequence[str] = (),
        credentials: DigestClient | None = None,
        policy: SubscriberPolicy | None = None,
    ) -> None:
        self.agent = agent
        self.route = route
        self.event = event
        self.dialog: Dialog | None = None
        self.expires_at = 0.0
        """When the subscription ends unless it is refreshed, on the agent's clock; 0 until it is granted."""
        self._on_event = on_event
        self._uri = uri
        self._from = from_
        self._to = to
        self._contact = f"<{contact}>"
        self._accept = ", ".join(accept)
        self._credentials = credentials
        self._policy = policy or SubscriberPolicy()
        self._asked = self._policy.expires
        self._call_id = new_call_id()
        self._tag = new_tag()
        self._first: Exchange | None = None
        self._busy = False
        self._again = False
        self._wanted = True
        self._over = False
        self._notified = False
        self._refresh_timer: Timer | None = None
        self._end_timer: Timer | None = None

    @property
    def over(self) -> bool:
        """Nothing more will come."""
        return self._over

    def start(self) -> None:
        """Subscribe."""
        self.agent.expect_dialog(self._call_id, self._tag, self)
        request = Request.new("SUBSCRIBE", self._uri)
        request.add("max-forwards", MAX_FORWARDS)
        request.add("from", f"{self._from};tag={self._tag}")
        request.add("to", self._to)
        request.add("call-id", self._call_id)
        request.add("cseq", "1 SUBSCRIBE")
        request.add("contact", self._contact)
        self._busy = True
        self._ask(request, self.route, None)

    def refresh(self, delay: float = 0.0) -> None:
        """Refresh now or after `delay` seconds instead of when it would be due; brings a notification, too."""
        if self._over or not self._wanted or self._asked == 0:
            return
        self._cancel(self._refresh_timer)
        self._refresh_timer = self.agent.wheel.schedule(delay, self._refresh)

    def unsubscribe(self) -> None:
        """End it. Nothing more is reported; the last notification is still answered."""
        if self._over or not self._wanted:
            return
        self._wanted = False
        self._cancel(self._refresh_timer)
        if self._busy:
            self._again = True
        else:
            self._send_within()

    # --- our requests

    def _ask(self, request: Request, route: Flow | Destination, dialog: Dialog | None) -> None:
        expires = self._asked if self._wanted else 0
        request.set("event", str(self.event))
        if self._accept:
            request.set("accept", self._accept)
        request.set("expires", str(expires))
        exchange = self.agent.exchange(
            request,
            route,
            lambda outcome: self._on_final(outcome, expires),
            credentials=self._credentials,
            next_cseq=None if dialog is None else self._next_cseq,
        )
        if dialog is None:
            self._first = exchange

    def _next_cseq(self) -> int:
        assert self.dialog is not None
        self.dialog.local_seq += 1
        return self.dialog.local_seq

    def _send_within(self) -> None:
        if self.dialog is None:
            self._finish()
            return
        self._busy = True
        request = self.dialog.request("SUBSCRIBE")
        self._ask(request, route_within(self.dialog, self.route, self.agent.flows), self.dialog)

    def _refresh(self) -> None:
        self._refresh_timer = None
        if self._busy:
            self._again = True
        elif not self._over:
            self._send_within()

    def _on_final(self, outcome: Outcome, asked: int) -> None:
        self._busy = False
        if self._over:
            return
        if isinstance(outcome, Response) and outcome.status < 300:
            self._accepted(outcome, asked)
        elif isinstance(outcome, Response) and outcome.status == 423 and self._ask_for_longer(outcome):
            self._ask_again()
        else:
            self._failed(outcome)
        if self._again and not self._over and not self._busy:
            self._again = False
            self._send_within()

    def _accepted(self, response: Response, asked: int) -> None:
        if self.dialog is None:
            assert self._first is not None
            try:
                self._open(Dialog.as_client(self._first.request, response, self._contact))
            except RemoteProtocolError:
                self._close(Closed(Over.REFUSED, 502))
                return
        elif response.to_tag == self.dialog.remote_tag:
            self.dialog.refresh_target(response)
        if not self._wanted or asked == 0:
            # What is left is the last notification (section 4.4.1).
            self._wait_for_notification()
            return
        granted = min(asked if response.expires is None else response.expires, asked)
        if not self._notified:
            self._wait_for_notification()
        self._granted(granted)
        if not self._over:
            self._on_event(Granted(granted))

    def _granted(self, seconds: int) -> None:
        self.expires_at = self.agent.now + seconds
        if self._notified:
            self._wait_for_expiry()
        # The last round trips before the end must still fit in, whatever the share.
        self.refresh(max(1.0, min(seconds * self._policy.refresh_at, seconds - 5.0)))

    def _ask_for_longer(self, response: Response) -> bool:
        value = (response.get("min-expires") or "").strip()
        if not (self._wanted and value.isascii() and value.isdigit() and len(value) <= 10):
            return False
        if not self._asked < int(value) <= MAX_SECONDS:
            return False
        self._asked = int(value)
        return True

    def _ask_again(self) -> None:
        if self.dialog is not None:
            self._send_within()
            return
        assert self._first is not None
        request = self._first.request
        request.remove("via")
        request.set("cseq", f"{request.cseq.number + 1} SUBSCRIBE")
        self._busy = True
        self._ask(request, self.route, None)

    def _failed(self, outcome: Outcome) -> None:
        if not self._wanted:
            self._finish()
        elif isinstance(outcome, Failure):
            if self.expires_at > self.agent.now:
                self.refresh(self._policy.retry)
            elif not self._notified:
                self._close(Closed(Over.UNANSWERED))
            elif self._asked:
                # A notifier that spoke to us before it answered has subscribed us, whatever became of its answer.
                self._granted(self._asked)
        elif outcome.status == 481 and self.expires_at:
            self._close(Closed(Over.LOST, 481))
        elif self.expires_at > self.agent.now and outcome.status not in LEG_FAILED:
            # A refresh that failed leaves the subscription as it was (section 4.1.2.2).
            self.refresh(max(self._policy.retry, float(retry_after_of(outcome) or 0)))
        else:
            self._close(Closed(Over.REFUSED, outcome.status, retry_after=retry_after_of(outcome)))

    # --- notifications

    def on_request(self, transaction: ServerTransaction) -> None:
        """DialogUser: a request of the notifier."""
        request = transaction.request
        if request.method != "NOTIFY":
            self.agent.refuse_method(transaction)
            return
        try:
            event, state = EventType.of(request), SubscriptionState.of(request)
            if not event.matches(self.event) or not self._belongs(request):
                transaction.reply(481)
                return
            assert self.dialog is not None
            self.dialog.accept(request)
            self.dialog.refresh_target(request)
        except RemoteProtocolError as error:
            transaction.reply(error.status)
            return
        content = Content.of(request)
        transaction.reply(200)
        self._take(state, content)

    def _belongs(self, request: Request) -> bool:
        """Whether a NOTIFY is of our dialog, which the first one makes (section 4.4.1): of a fork only one is kept."""
        if self.dialog is not None and request.from_tag == self.dialog.remote_tag:
            return True
        if self._notified or self._first is None or not contact_of(request):
            return False
        dialog = Dialog.as_server(request, self._tag, self._contact)
        dialog.local_seq = self._first.request.cseq.number
        if self.dialog is not None:
            self.agent.close_dialog(self.dialog)
        self._open(dialog)
        return True

    def _take(self, state: SubscriptionState, content: Content) -> None:
        first, self._notified = not self._notified, True
        if first:
            self.agent.forget_expected(self._call_id, self._tag)
            self._cancel(self._end_timer)
            if self.expires_at:
                self._wait_for_expiry()
        if not self._wanted:
            if state.state is State.TERMINATED:
                self._finish()
            elif first:
                self._wait_for_notification()
            return
        self._on_event(Notified(state, content))
        if self._over or not self._wanted:
            return
        if state.state is State.TERMINATED or self._asked == 0:
            self._close(Closed(Over.TERMINATED, reason=state.reason, retry_after=state.retry_after))
        elif state.expires is not None and self.agent.now + state.expires < self.expires_at - 1:
            # The notifier cut it short (section 4.1.3).
            self._granted(state.expires)

    # --- ends

    def _open(self, dialog: Dialog) -> None:
        self.dialog = dialog
        self.agent.open_dialog(dialog, self)

    def _wait_for_notification(self) -> None:
        """Timer N (section 4.1.2.4)."""
        self._cancel(self._end_timer)
        self._end_timer = self.agent.wheel.schedule(self.agent.timing.timeout, self._on_silence)

    def _on_silence(self) -> None:
        if self._wanted:
            self._close(Closed(Over.SILENT))
        else:
            self._finish()

    def _wait_for_expiry(self) -> None:
        self._cancel(self._end_timer)
        delay = max(0.0, self.expires_at - self.agent.now)
        self._end_timer = self.agent.wheel.schedule(delay, lambda: self._close(Closed(Over.EXPIRED)))

    def _close(self, closed: Closed) -> None:
        if self._over:
            return
        self._finish()
        if self._wanted:
            self._on_event(closed)

    def _finish(self) -> None:
        self._over = True
        self._cancel(self._refresh_timer)
        self._cancel(self._end_timer)
        self.agent.forget_expected(self._call_id, self._tag)
        if self.dialog is not None:
            self.agent.close_dialog(self.dialog)

    @staticmethod
    def _cancel(timer: Timer | None) -> None:
        if timer is not None:
            timer.cancel()

    def on_ack(self, ack: Request) -> None:
        """DialogUser: no INVITE is ever taken here."""

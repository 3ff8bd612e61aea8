"""Notifying (RFC 6665 section 4.2): one subscription of a peer, its refreshes, and the state that it is told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from opx.sip.agent import UserAgent, new_tag
from opx.sip.answering import retry_after_of
from opx.sip.dialog import Dialog
from opx.sip.digest import DigestClient
from opx.sip.errors import LocalProtocolError, RemoteProtocolError
from opx.sip.exchange import Outcome, route_within
from opx.sip.flow import Destination, Flow
from opx.sip.message import Request
from opx.sip.subscription import Content, EventType, Reason, State, SubscriptionState
from opx.sip.timers import Timer
from opx.sip.transactions import Failure, ServerTransaction

MAX_PAUSE = 300
"""Seconds; longest Retry-After of a subscriber that is followed."""


class Gone(Enum):
    """Why a subscription is over that its notifier did not end by itself."""

    UNSUBSCRIBED = "the subscriber ended it"
    EXPIRED = "it was not refreshed"
    FAILED = "a notification was not accepted"


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The subscriber refreshed for `expires` seconds and has been answered.

    It is told the last state again, unless the owner tells it a newer one while it hears of this.
    """

    expires: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The subscription is over. `status` is the answer to the NOTIFY that failed, 0 when there was none."""

    why: Gone
    status: int = 0


NotifierEvent = Refreshed | Ended


@dataclass(frozen=True, slots=True)
class ExpiresBounds:
    """Seconds. Less than `least` is refused with 423, more than `most` cut down."""

    least: int = 60
    usual: int = 3600
    """Granted where none was asked for."""
    most: int = 3600

    def grant(self, request: Request) -> int | None:
        """What a SUBSCRIBE gets, 0 for one that ends; None when it asks for too little. RemoteProtocolError."""
        asked = request.expires
        if asked is None:
            return self.usual
        if 0 < asked < self.least:
            return None
        return min(asked, self.most)


class Notifier:
    """A subscription that a peer asked for with the SUBSCRIBE of `transaction`.

    Then `accept` it and `notify` the state, or `reject` it. Each notification carries the whole state: one that waits
    for the answer to the one before is replaced by a newer one. `on_event` hears what the peer does; an `Ended` comes
    once and last, and not after `reject`, `terminate` or `drop`.

    `route` is a flow when requests may go nowhere else, a destination when the dialog decides. RemoteProtocolError
    when the SUBSCRIBE cannot be used.
    """

    def __init__(
        self,
        agent: UserAgent,
        on_event: Callable[[NotifierEvent], None],
        transaction: ServerTransaction,
        *,
        contact: str,
        route: Flow | Destination | None = None,
        credentials: DigestClient | None = None,
        bounds: ExpiresBounds | None = None,
        authorize: Callable[[ServerTransaction], bool] | None = None,
    ) -> None:
        request = transaction.request
        self.agent = agent
        self.event = EventType.of(request)
        self.expires_at = 0.0
        """When the subscription ends unless it is refreshed, on the agent's clock."""
        self._tag = new_tag()
        self.dialog = Dialog.as_server(request, self._tag, f"<{contact}>")
        self._bounds = bounds or ExpiresBounds()
        self._asked = self._bounds.grant(request)
        self._on_event = on_event
        self._transaction: ServerTransaction | None = transaction
        self._route: Flow | Destination | None = route or transaction.flow
        self._credentials = credentials
        self._authorize = authorize
        self._content = Content()
        self._state = State.ACTIVE
        self._last: SubscriptionState | None = None
        self._told = False
        self._reported = False
        self._waiting = False
        self._busy = False
        self._over = False
        self._expiry: Timer | None = None
        self._retry: Timer | None = None

    @property
    def over(self) -> bool:
        """Nothing more is told, apart from a last notification that is under way."""
        return self._over or self._last is not None

    @property
    def asked(self) -> bool:
        """The SUBSCRIBE still waits for `accept` or `reject`."""
        return self._transaction is not None

    @property
    def route(self) -> Flow | Destination | None:
        """Where notifications go. None holds them back until there is a way again."""
        return self._route

    @route.setter
    def route(self, route: Flow | Destination | None) -> None:
        self._route = route
        if self._waiting:
            self._send()

    # --- what the owner says

    @property
    def too_brief(self) -> bool:
        """The SUBSCRIBE asks for less than the bounds allow; `reject_too_brief` says so."""
        return self._asked is None

    @property
    def once(self) -> bool:
        """The SUBSCRIBE asks for the state once only (section 4.4.3)."""
        return self._asked == 0

    def reject(self, status: int, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Refuse the subscription, 300 to 699."""
        response = self._unanswered().request.reply(status, to_tag=self._tag)
        for name, value in headers:
            response.add(name, value)
        self._unanswered().respond(response)
        self._transaction = None
        self._over = self._reported = True

    def reject_too_brief(self) -> None:
        """423 with the least that is granted (section 4.2.1.1)."""
        self.reject(423, (("min-expires", str(self._bounds.least)),))

    def accept(self) -> None:
        """Grant the subscription. `notify` is to follow at once: a subscriber waits for it."""
        transaction = self._unanswered()
        self._transaction = None
        self.agent.open_dialog(self.dialog, self)
        self._answer(transaction, self._asked or 0)
        if self._asked:
            self._grant(self._asked)
        else:
            self._last = SubscriptionState(State.TERMINATED, reason=Reason.TIMEOUT)
            # The state may take a while to come; a fetch does not wait for it any longer than for an answer.
            limit = self.agent.timing.timeout
            self._expiry = self.agent.wheel.schedule(limit, lambda: self._end(Ended(Gone.EXPIRED)))

    def notify(self, content: Content, state: State = State.ACTIVE) -> None:
        """Tell the whole state as it is now. Nothing is sent once the subscription is over."""
        if self._over or self._told:
            return
        self._content, self._state = content, state
        self._send()

    def terminate(self, reason: Reason, retry_after: int | None = None) -> None:
        """End the subscription and say why, with the last state."""
        self._reported = True
        if not self._over and not self._told:
            self._tell_last(SubscriptionState(State.TERMINATED, reason=reason, retry_after=retry_after))

    def drop(self) -> None:
        """End it and tell nobody: there is no way to the subscriber any more."""
        self._reported = True
        self._close()

    def _unanswered(self) -> ServerTransaction:
        if self._transaction is None:
            raise LocalProtocolError("no SUBSCRIBE waits for an answer")
        return self._transaction

    # --- notifications

    def _tell_last(self, state: SubscriptionState) -> None:
        self._last = state
        if self._route is None:
            self._close()
        else:
            self._send()

    def _send(self) -> None:
        if self._busy or self._route is None or self._retry is not None:
            self._waiting = True
            return
        self._waiting = False
        self._busy = True
        if self._last is not None:
            self._told = True
            self._stop_timers()
        sent_on = self._route
        request = self.dialog.request("NOTIFY")
        request.add("event", str(self.event))
        request.add("subscription-state", str(self._last or self._standing()))
        self._content.attach(request)
        self.agent.exchange(
            request,
            route_within(self.dialog, self._route, self.agent.flows),
            lambda outcome: self._on_final(outcome, sent_on),
            credentials=self._credentials,
            next_cseq=self._next_cseq,
        )

    def _standing(self) -> SubscriptionState:
        return SubscriptionState(self._state, max(0, round(self.expires_at - self.agent.now)))

    def _next_cseq(self) -> int:
        self.dialog.local_seq += 1
        return self.dialog.local_seq

    def _on_final(self, outcome: Outcome, sent_on: Flow | Destination) -> None:
        self._busy = False
        if self._over:
            return
        if self._told:
            self._end(Ended(Gone.UNSUBSCRIBED))
        elif isinstance(outcome, Failure):
            self._undelivered(outcome, sent_on)
        elif outcome.status < 300:
            if self._waiting:
                self._send()
        elif outcome.status != 481 and (pause := retry_after_of(outcome)):
            self._waiting = True
            self._retry = self.agent.wheel.schedule(float(min(pause, MAX_PAUSE)), self._try_again)
        else:
            # Nobody remembers the subscription any more (section 4.2.2).
            self._end(Ended(Gone.FAILED, outcome.status))

    def _undelivered(self, failure: Failure, sent_on: Flow | Destination) -> None:
        if self._route != sent_on:
            self._send()
        elif failure is Failure.TRANSPORT and isinstance(sent_on, Flow):
            # The flow is gone; the subscriber may come back on another one.
            self._route = None
            self._waiting = True
        else:
            self._end(Ended(Gone.FAILED))

    def _try_again(self) -> None:
        self._retry = None
        self._send()

    # --- the subscriber

    def on_request(self, transaction: ServerTransaction) -> None:
        """DialogUser: a request of the subscriber."""
        request = transaction.request
        if request.method != "SUBSCRIBE":
            self.agent.refuse_method(transaction)
            return
        if self._authorize is not None and not self._authorize(transaction):
            return
        try:
            if not EventType.of(request).matches(self.event):
                transaction.reply(481)
                return
            self.dialog.accept(request)
            self.dialog.refresh_target(request)
            granted = self._bounds.grant(request)
        except RemoteProtocolError as error:
            transaction.reply(error.status)
            return
        if self._last is not None:
            transaction.reply(481)
        elif granted is None:
            response = request.reply(423)
            response.add("min-expires", str(self._bounds.least))
            transaction.respond(response)
        else:
            self._answer(transaction, granted)
            self._refreshed(granted)

    def _refreshed(self, granted: int) -> None:
        if granted:
            self._grant(granted)
            self._waiting = True
            self._on_event(Refreshed(granted))
            if self._waiting and not self.over:
                self._send()
        else:
            self._report(Ended(Gone.UNSUBSCRIBED))
            self._tell_last(SubscriptionState(State.TERMINATED, reason=Reason.TIMEOUT))

    def _answer(self, transaction: ServerTransaction, granted: int) -> None:
        response = transaction.request.reply(200, to_tag=self._tag)
        for route in transaction.request.get_all("record-route"):
            response.add("record-route", route)
        response.add("contact", self.dialog.local_contact)
        response.add("expires", str(granted))
        transaction.respond(response)

    def _grant(self, seconds: int) -> None:
        self.expires_at = self.agent.now + seconds
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = self.agent.wheel.schedule(float(seconds), self._on_expiry)

    def _on_expiry(self) -> None:
        self._report(Ended(Gone.EXPIRED))
        self._tell_last(SubscriptionState(State.TERMINATED, reason=Reason.TIMEOUT))

    # --- ends

    def _stop_timers(self) -> None:
        for timer in (self._expiry, self._retry):
            if timer is not None:
                timer.cancel()
        self._expiry = self._retry = None

    def _end(self, ended: Ended) -> None:
        self._close()
        self._report(ended)

    def _report(self, ended: Ended) -> None:
        if not self._reported:
            self._reported = True
            self._on_event(ended)

    def _close(self) -> None:
        self._over = True
        self._stop_timers()
        self.agent.close_dialog(self.dialog)

    def on_ack(self, ack: Request) -> None:
        """DialogUser: no INVITE is ever taken here."""

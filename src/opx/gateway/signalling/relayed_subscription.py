"""One subscription through the gateway: a set's, and the one at its ICP that feeds it. They share no message."""

from collections.abc import Callable
from dataclasses import dataclass

from opx.gateway.signalling.bodies import BodyRefused, BodyTranslator, take
from opx.gateway.signalling.icps import IcpLink
from opx.gateway.signalling.nodes import Node
from opx.gateway.signalling.refusals import CREDENTIALS, told
from opx.sip.notifier import Gone, Notifier, NotifierEvent, Refreshed
from opx.sip.subscriber import Closed, Granted, Notified, Over, Subscriber, SubscriberEvent
from opx.sip.subscription import Content, Reason, State, SubscriptionState
from opx.sip.timers import Timer

FIRST_STATE = 2.0
"""Seconds that an accepted SUBSCRIBE is kept for the ICP's first notification, which usually follows at once."""

FULL_STATE_PAUSE = 60.0
"""Seconds between two requests for a full state: an ICP that never counts its versions may not be asked in a circle."""

MAX_DOUBLINGS = 10


@dataclass(frozen=True, slots=True)
class RenewalPolicy:
    """Seconds. The pause before a lost subscription is made again doubles from `retry` to `retry_max`."""

    retry: float = 5.0
    retry_max: float = 300.0
    patience: float = 20.0
    """How long a set waits for the ICP's word."""


class RelayedSubscription:
    """`notifier` holds the set's SUBSCRIBE, unanswered; `subscribe` makes a Subscriber at the ICP.

    `on_end` hears once that it is over, with what to write about it, "" for the usual end. Then `start`.
    """

    def __init__(
        self,
        *,
        what: str,
        device_id: int,
        contact: str,
        link: IcpLink,
        notifier: Notifier,
        body: BodyTranslator,
        subscribe: Callable[[Node, Callable[[SubscriberEvent], None]], Subscriber],
        policy: RenewalPolicy,
        on_end: Callable[["RelayedSubscription", str], None],
        on_trouble: Callable[["RelayedSubscription", str], None],
    ) -> None:
        self.what = what
        self.device_id = device_id
        self.contact = contact
        self.link = link
        self.node: Node | None = None
        """Where the one at the ICP is, or was last."""
        self.notifier = notifier
        self._body = body
        self._subscribe = subscribe
        self._policy = policy
        self._on_end = on_end
        self._on_trouble = on_trouble
        self._wheel = notifier.agent.wheel
        self._subscriber: Subscriber | None = None
        self._timer: Timer | None = None
        self._failures = 0
        self._placed_at = 0.0
        self._full_asked_at = float("-inf")
        self._over = False

    def start(self) -> None:
        """Ask the ICP."""
        self._schedule(self._policy.patience, self._on_no_answer)
        self._place()

    def renew(self, delay: float, *, moved: bool = False) -> None:
        """The ICP was away and may have forgotten the subscription: ask for it again after `delay` seconds.

        With `moved` another node of it does so, anew.
        """
        if self.notifier.asked or self._over:
            return
        if self._subscriber is not None and moved:
            self._subscriber.unsubscribe()
            self._subscriber = None
        if self._subscriber is not None:
            self._subscriber.refresh(delay)
        else:
            self._schedule(delay, self._place)

    def end(self, reason: Reason | None, retry_after: int | None = None) -> None:
        """End both; the set is told why, or nothing where there is no way to it (None)."""
        if self.notifier.asked:
            self.notifier.reject(480)
        elif reason is None:
            self.notifier.drop()
        else:
            self.notifier.terminate(reason, retry_after)
        self._finish("")

    # --- what the set does

    def on_set(self, event: NotifierEvent) -> None:
        if isinstance(event, Refreshed):
            state = self._body.state()
            if state.body:
                self.notifier.notify(state)
        else:
            refused = event.why is Gone.FAILED
            text = f"{self.what}: {event.why.value} by the phone ({event.status or 'no answer'})" if refused else ""
            self._finish(text)

    # --- what the ICP does

    def _place(self) -> None:
        node = self.link.best(self.device_id)
        if not self._over and node is not None:
            self.node = node
            self._placed_at = self._wheel.now
            self._subscriber = self._subscribe(node, self._on_icp)
            self._subscriber.start()

    def _on_icp(self, event: SubscriberEvent) -> None:
        if self._over:
            return
        if self.node is not None:
            if isinstance(event, Closed) and event.why is Over.UNANSWERED:
                self.node.doubt()
            elif not (isinstance(event, Closed) and event.why in (Over.SILENT, Over.EXPIRED)):
                self.node.answered()
        if isinstance(event, Granted):
            if self.notifier.asked:
                self._schedule(FIRST_STATE, self._accept_without_state)
        elif isinstance(event, Notified):
            self._on_state(event.state, event.content)
        else:
            self._on_closed(event)

    def _on_state(self, state: SubscriptionState, content: Content) -> None:
        first = self.notifier.asked
        if content.body:
            try:
                complete = take(self._body, content)
            except BodyRefused as error:
                self._on_trouble(self, f"{self.what}: a body of the ICP was dropped: {error}")
                if not first:
                    return
            else:
                if not complete:
                    self._ask_for_full_state()
        elif not first and state.state is not State.PENDING:
            return
        if first:
            self._accept()
        if state.state is not State.TERMINATED or self.notifier.once:
            self.notifier.notify(self._body.state(), state.state)
        elif first:
            self.notifier.notify(self._body.state(), State.PENDING)

    def _ask_for_full_state(self) -> None:
        if self._subscriber is not None and self._wheel.now - self._full_asked_at >= FULL_STATE_PAUSE:
            self._full_asked_at = self._wheel.now
            self._subscriber.refresh()

    def _accept(self) -> None:
        self._cancel_timer()
        self.notifier.accept()

    def _accept_without_state(self) -> None:
        if self.notifier.asked:
            self._accept()
            self.notifier.notify(Content(), State.PENDING)

    def _on_no_answer(self) -> None:
        if self.notifier.asked:
            self._refuse(504, None, "the ICP does not answer")

    def _on_closed(self, closed: Closed) -> None:
        self._subscriber = None
        if self.notifier.asked:
            self._closed_at_once(closed)
        elif self.notifier.over:
            self._finish("")
        elif closed.again_after is None:
            reason = closed.reason if closed.why is Over.TERMINATED else Reason.REJECTED
            self.notifier.terminate(Reason(reason))
            self._finish(f"{self.what}: the ICP ended it ({closed.reason or closed.status})")
        else:
            self._again(closed.again_after)

    def _closed_at_once(self, closed: Closed) -> None:
        if closed.why is not Over.REFUSED:
            self._refuse(504, None, f"the ICP: {closed.why.value}")
            return
        why = f"the ICP answered {closed.status}"
        if closed.status in CREDENTIALS:
            why = "the ICP does not accept the ICP-side credentials"
        self._refuse(*told(closed.status, closed.retry_after), why)

    def _refuse(self, status: int, retry_after: int | None, why: str) -> None:
        headers = (("retry-after", str(retry_after)),) if retry_after else ()
        self.notifier.reject(status, headers)
        self._finish(f"{self.what} refused with {status}: {why}")

    def _again(self, at_least: float) -> None:
        """Make the subscription again. While the ICP is down nothing is tried: its return renews all, spread."""
        if self._wheel.now - self._placed_at > self._policy.retry_max:
            self._failures = 0
        pause = min(self._policy.retry * 2 ** (self._failures - 1), self._policy.retry_max) if self._failures else 0.0
        self._failures = min(self._failures + 1, MAX_DOUBLINGS)
        if self.link.available:
            self._schedule(max(pause, at_least), self._place)

    # --- ends

    def _finish(self, text: str) -> None:
        if self._over:
            return
        self._over = True
        self._cancel_timer()
        if self._subscriber is not None:
            self._subscriber.unsubscribe()
            self._subscriber = None
        self._on_end(self, text)

    def _schedule(self, delay: float, action: Callable[[], None]) -> None:
        self._cancel_timer()
        self._timer = self._wheel.schedule(delay, action)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

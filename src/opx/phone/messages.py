"""A phone's message lamp (RFC 3842), whether it subscribes or is told unasked."""

from __future__ import annotations

from collections.abc import Callable

from opx.phone.account import Account
from opx.sip.agent import UserAgent
from opx.sip.bodies.message_summary import CONTENT_TYPE, MessageSummary
from opx.sip.digest import DigestClient
from opx.sip.subscriber import Closed, Notified, Subscriber, SubscriberEvent
from opx.sip.subscription import Content, EventType

EVENT = "message-summary"
RETRY = 60.0
"""Seconds until a subscription that ended is asked for again, where that makes sense."""


class MessageLamp:
    """`new` and `old` are the voice messages that were last told of."""

    def __init__(
        self,
        agent: UserAgent,
        account: Account,
        credentials: DigestClient,
        contact: Callable[[], str],
        say: Callable[[str], None],
    ) -> None:
        self.new = 0
        self.old = 0
        self._agent = agent
        self._account = account
        self._credentials = credentials
        self._contact = contact
        self._say = say
        self._subscriber: Subscriber | None = None

    @property
    def watched(self) -> bool:
        """A subscription is alive or asked for."""
        return self._subscriber is not None and not self._subscriber.over

    def subscribe(self) -> None:
        """Ask the server to be told, and go on asking."""
        self._subscriber = Subscriber(
            self._agent,
            self._on_event,
            self._account.destination,
            uri=self._account.aor,
            from_=f"<{self._account.aor}>",
            to=f"<{self._account.aor}>",
            contact=self._contact(),
            event=EventType(EVENT),
            accept=(CONTENT_TYPE,),
            credentials=self._credentials,
        )
        self._subscriber.start()

    def stop(self) -> None:
        if self._subscriber is not None:
            self._subscriber.unsubscribe()

    def notified(self, content: Content) -> bool:
        """Take what a NOTIFY says; False when it cannot be read."""
        try:
            summary = MessageSummary.parse(content.body)
        except ValueError:
            return False
        voice = next((count for count in summary.counts if count.kind == "voice-message"), None)
        # A summary may say that messages wait without counting them.
        told = (voice.new, voice.old) if voice is not None else (int(summary.waiting), 0)
        if told != (self.new, self.old):
            self.new, self.old = told
            self._say(f"messages: {self.new} new, {self.old} old")
        return True

    def _on_event(self, event: SubscriberEvent) -> None:
        match event:
            case Notified(_, content) if content.body:
                self.notified(content)
            case Closed(why, status):
                self._say(f"messages are not watched: {why.value}{f' ({status})' if status else ''}")
                if event.again_after is not None:
                    self._agent.wheel.schedule(max(RETRY, event.again_after), self.subscribe)

"""Message lamps (RFC 3842): by subscription, and unasked where a phone never subscribed, as office PBXs do it."""

from collections.abc import Callable

from opx.pbx.features.states import FeatureState
from opx.pbx.features.subscriptions import Package
from opx.pbx.notices import send_notice
from opx.pbx.office import Office
from opx.sip.bodies.message_summary import CONTENT_TYPE, MessageCount, MessageSummary
from opx.sip.subscription import Content

EVENT = "message-summary"


class MessageWaiting:
    """A phone's lamp is that of the hot desk extension which is logged in there, else its own.

    `tell` tells those who subscribed to a phone's messages, and says whether anybody did.
    """

    def __init__(self, office: Office, tell: Callable[[str], bool]) -> None:
        self._office = office
        self._tell = tell
        self.package = Package(EVENT, CONTENT_TYPE, lambda watcher, watched: watcher == watched, self._content)

    def on_feature(self, number: str, before: FeatureState, after: FeatureState) -> None:
        """An extension's state has changed."""
        if (before.new_messages, before.old_messages) != (after.new_messages, after.old_messages):
            self._show(after.phone or number)
        if before.phone != after.phone:
            for phone in (before.phone, after.phone):
                if phone:
                    self._show(phone)

    def on_registered(self, phone: str) -> None:
        """A phone is there again and has forgotten its lamp."""
        if self._state(phone).new_messages:
            # Behind the answer to the REGISTER, before which a phone takes nothing from us.
            self._office.agent.wheel.schedule(0.0, lambda: self._show(phone))

    def _show(self, phone: str) -> None:
        contacts = self._office.registrar.contacts(phone)
        if not self._tell(phone) and contacts:
            send_notice(self._office, contacts[-1], EVENT, self._content(phone, 0))

    def _state(self, phone: str) -> FeatureState:
        return self._office.states.of(self._office.states.guest_at(phone) or phone)

    def _content(self, phone: str, document: int) -> Content:
        state = self._state(phone)
        counts = MessageCount("voice-message", state.new_messages, state.old_messages, (0, 0))
        account = str(self._office.uri_of(self._office.states.guest_at(phone) or phone))
        return Content(CONTENT_TYPE, MessageSummary(state.new_messages > 0, account, (counts,)).encode())

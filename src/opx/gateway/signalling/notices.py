"""Notifications that nobody subscribed to: an ICP, or the gateway itself, has something to say to a device's phone.

check-sync makes a phone fetch its configuration, message-summary lights its lamp, aastra-xml shows a screen. Each goes
on the phone's own flow, and what the phone answered goes back.
"""

from collections.abc import Callable
from dataclasses import dataclass

from opx.gateway.repository import DeviceRecord
from opx.gateway.signalling.answers import answer, refuse, status_for_icp
from opx.gateway.signalling.bindings import BindingTable, LiveBinding
from opx.gateway.signalling.bodies import BodyRefused, OutsideNames, SummaryTranslator, take
from opx.gateway.signalling.identity import domain_of
from opx.gateway.signalling.inside import InsideNames
from opx.gateway.signalling.timeline import Kind, Timeline
from opx.sip.agent import UserAgent, new_call_id, new_tag
from opx.sip.bodies import message_summary, xml
from opx.sip.dialog import MAX_FORWARDS
from opx.sip.errors import LocalProtocolError, RemoteProtocolError
from opx.sip.exchange import Outcome
from opx.sip.flow import host_port
from opx.sip.grammar import is_token
from opx.sip.message import Request, Response
from opx.sip.subscription import Content, EventType, State, SubscriptionState
from opx.sip.transactions import ServerTransaction

EVENTS = ("check-sync", "resync", "reboot", "message-summary", "aastra-xml", "talk", "hold")
"""Events that pass from an ICP to a phone without a subscription."""

EVENT_PARAMS = ("reboot", "id")
"""Parameters of an Event that pass: check-sync;reboot=true is what makes a phone restart."""

MAX_PARAM = 32
"""Characters of one."""

XML_EVENTS = frozenset(("aastra-xml",))
XML_TYPES = frozenset(("application/xml", "text/xml"))


@dataclass(frozen=True, slots=True)
class NoticePolicy:
    """`xml_bytes` bounds an aastra-xml body: phones take no more. `inside_links` lets bodies pass that name hosts of
    the inside, for sites where the phones reach those by other ways."""

    events: tuple[str, ...] = EVENTS
    xml_bytes: int = 10_000
    inside_links: bool = False


class Notices:
    """Relays unsolicited NOTIFYs of ICPs, and sends the gateway's own with `notify_device`."""

    def __init__(
        self,
        *,
        set_agent: UserAgent,
        bindings: BindingTable,
        timeline: Timeline,
        inside: InsideNames,
        policy: NoticePolicy,
    ) -> None:
        self._set_agent = set_agent
        self._bindings = bindings
        self._timeline = timeline
        self._inside = inside
        self._policy = policy

    def from_icp(self, transaction: ServerTransaction, device: DeviceRecord) -> None:
        """A NOTIFY of an ICP for `device`, outside any dialog."""
        request = transaction.request
        try:
            event = _plain(EventType.of(request))
            content = self._content(event.package, Content.of(request), device)
            state = SubscriptionState.of(request) if request.get("subscription-state") else None
        except RemoteProtocolError as error:
            why = f"NOTIFY of the ICP refused: {error}"
            headers = (("allow-events", ", ".join(self._policy.events)),) if error.status == 489 else ()
            refuse(self._timeline, transaction, device.id, error.status, why, headers=headers)
            return
        binding = self._bindings.reachable(device.id)
        if binding is None:
            what = f"NOTIFY {event.package} of the ICP: the phone cannot be reached"
            refuse(self._timeline, transaction, device.id, 480, what)
            return
        lasting = State.TERMINATED if state is None else state.state

        def on_final(outcome: Outcome) -> None:
            self._note(device.id, event.package, outcome)
            answer(transaction, *status_for_icp(outcome))

        self._send(binding, event, SubscriptionState(lasting), content, on_final)

    def notify_device(
        self, device_id: int, event: str, content_type: str, body: bytes, done: Callable[[int], None]
    ) -> None:
        """Send a NOTIFY of the gateway's own to a device's phone.

        `done` gets the final status: the phone's, 480 when it cannot be reached or does not answer. LocalProtocolError
        when `event` is no event or the body is too large.
        """
        try:
            parsed = EventType.parse(event)
        except RemoteProtocolError as error:
            raise LocalProtocolError(f"{event!r} is no event: {error}") from None
        if len(body) > self._policy.xml_bytes:
            raise LocalProtocolError(f"a body holds at most {self._policy.xml_bytes} bytes")
        binding = self._bindings.reachable(device_id)
        if binding is None:
            done(480)
            return
        state = SubscriptionState(State.TERMINATED)
        content = Content(content_type, body) if body else Content()
        self._send(binding, parsed, state, content, lambda outcome: done(status_for_icp(outcome)[0]))

    def _note(self, device_id: int, package: str, outcome: Outcome) -> None:
        if isinstance(outcome, Response) and outcome.status < 300:
            return
        how = f"answered {outcome.status}" if isinstance(outcome, Response) else "did not answer"
        self._timeline.add(device_id, Kind.MESSAGE, f"NOTIFY {package} of the ICP: the phone {how}", once=True)

    def _content(self, package: str, content: Content, device: DeviceRecord) -> Content:
        """What of a body passes. RemoteProtocolError with the status for the ICP."""
        if package not in self._policy.events:
            raise RemoteProtocolError(f"event {package} does not pass", status=489)
        if not content.body:
            return Content()
        if package in XML_EVENTS:
            return self._xml(content)
        if content.media_type == message_summary.CONTENT_TYPE:
            names = OutsideNames(domain_of(self._set_agent.local), device, self._inside)
            translator = SummaryTranslator(names)
            try:
                take(translator, content)
            except BodyRefused as error:
                raise RemoteProtocolError(str(error)) from None
            return translator.state()
        # The others are understood without a body; what an ICP puts into one is for phones inside.
        return Content()

    def _xml(self, content: Content) -> Content:
        if content.media_type not in XML_TYPES:
            raise RemoteProtocolError(f"{content.media_type or 'no type'} is no XML", status=415)
        if len(content.body) > self._policy.xml_bytes:
            raise RemoteProtocolError(f"a body of {len(content.body)} bytes is too large", status=413)
        try:
            root = xml.parse(content.body)
        except xml.XmlError as error:
            raise RemoteProtocolError(f"the body is no XML that passes: {error}") from None
        if not self._policy.inside_links and any(map(self._inside.found_in, _texts(root))):
            raise RemoteProtocolError("the body names a host of the inside", status=403)
        return Content(content.media_type, xml.write(root))

    def _send(
        self,
        binding: LiveBinding,
        event: EventType,
        state: SubscriptionState,
        content: Content,
        on_final: Callable[[Outcome], None],
    ) -> None:
        ours = f"sip:{host_port(self._set_agent.local)}"
        request = Request.new("NOTIFY", binding.contact)
        request.add("max-forwards", MAX_FORWARDS)
        request.add("from", f"<{ours}>;tag={new_tag()}")
        request.add("to", f"<{binding.contact}>")
        request.add("call-id", new_call_id())
        request.add("cseq", "1 NOTIFY")
        request.add("contact", f"<{ours}>")
        request.add("event", str(event))
        request.add("subscription-state", str(state))
        content.attach(request)
        self._set_agent.exchange(request, binding.flow, on_final)


def _plain(event: EventType) -> EventType:
    """The event with the parameters that pass and are words; an address is none."""
    kept = tuple((name, value) for name, value in event.params if name in EVENT_PARAMS and _is_word(value or "x"))
    return EventType(event.package, kept)


def _is_word(value: str) -> bool:
    return is_token(value) and "." not in value and len(value) <= MAX_PARAM


def _texts(root: xml.Element) -> list[str]:
    return [
        text
        for element in root.walk()
        for text in (
            element.namespace,
            *element.attributes.values(),
            "".join(part for part in element.content if isinstance(part, str)),
        )
    ]

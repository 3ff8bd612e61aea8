"""NOTIFY to a phone that did not ask for it: check-sync from the suite, message lamps as office PBXs light them."""

from collections.abc import Callable

from opx.pbx.office import Office
from opx.pbx.registrar import Contact
from opx.sip.agent import new_call_id, new_tag
from opx.sip.dialog import MAX_FORWARDS
from opx.sip.exchange import Outcome
from opx.sip.message import Request, Response
from opx.sip.subscription import Content


def send_notice(
    office: Office, contact: Contact, event: str, content: Content, done: Callable[[int], None] = lambda status: None
) -> None:
    """`done` gets the phone's final status, 408 when none came."""
    request = Request.new("NOTIFY", contact.uri)
    request.add("max-forwards", MAX_FORWARDS)
    request.add("from", f"<{office.contact}>;tag={new_tag()}")
    request.add("to", f"<{contact.uri}>")
    request.add("call-id", new_call_id())
    request.add("cseq", "1 NOTIFY")
    request.add("contact", f"<{office.contact}>")
    request.add("event", event)
    request.add("subscription-state", "terminated")
    content.attach(request)

    def final(outcome: Outcome) -> None:
        done(outcome.status if isinstance(outcome, Response) else 408)

    office.agent.exchange(request, contact.flow, final)

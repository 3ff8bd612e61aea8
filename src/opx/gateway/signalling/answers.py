"""Answers that several parts of signalling give: a refusal with its reason on the timeline, a status passed on."""

from opx.gateway.signalling.refusals import CREDENTIALS, told
from opx.gateway.signalling.timeline import Kind, Timeline
from opx.sip.agent import new_tag
from opx.sip.answering import retry_after_of
from opx.sip.bridge import Headers
from opx.sip.exchange import Outcome
from opx.sip.message import Response
from opx.sip.transactions import ServerTransaction


def refuse(
    timeline: Timeline,
    transaction: ServerTransaction,
    device_id: int | None,
    status: int,
    why: str,
    retry_after: int | None = None,
    headers: Headers = (),
) -> None:
    """Answer a request with `status`, and write down why."""
    timeline.add(device_id, Kind.REFUSAL, f"{why} ({status})", once=True)
    answer(transaction, status, retry_after, headers)


def answer(transaction: ServerTransaction, status: int, retry_after: int | None = None, headers: Headers = ()) -> None:
    """A final answer without a body."""
    response = transaction.request.reply(status, to_tag=new_tag())
    for name, value in headers:
        response.add(name, value)
    if retry_after:
        response.add("retry-after", str(retry_after))
    transaction.respond(response)


def status_for_set(outcome: Outcome) -> tuple[int, int | None]:
    """Status and Retry-After that a set gets for what an ICP made of its request."""
    if not isinstance(outcome, Response):
        return 504, None
    return told(outcome.status, retry_after_of(outcome))


def status_for_icp(outcome: Outcome) -> tuple[int, int | None]:
    """Status and Retry-After that an ICP gets for what a set made of its request."""
    if not isinstance(outcome, Response) or 300 <= outcome.status < 400:
        return 480, None
    return (403 if outcome.status in CREDENTIALS else outcome.status), retry_after_of(outcome)

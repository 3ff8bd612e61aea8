"""What a set is told when its ICP refuses a call: nothing that it would take for its own or the gateway's trouble."""

from opx.sip.bridge import Headers
from opx.sip.events import Refused

WITH_RETRY_AFTER = frozenset((404, 413, 480, 486, 500, 503, 600, 603))
"""Statuses that a Retry-After goes with (RFC 3261 section 20.33)."""
CREDENTIALS = frozenset((401, 407))
"""Our own credentials are wrong; a set could only take this for its own."""
BETWEEN_US = frozenset((406, 415, 417, 420, 421, 422, 423, 439, 440, 469, 494))
"""About headers and extensions of our own request, which the set knows nothing of."""


def told(status: int, retry_after: int | None) -> tuple[int, int | None]:
    """Status and Retry-After for the set.

    503 would make it leave the whole gateway alone (section 21.5.4): it gets that only together with the time for
    which to do so.
    """
    if 300 <= status < 400:
        status = 480
    elif status in CREDENTIALS:
        status = 503
    elif status in BETWEEN_US:
        status = 502
    elif status == 503 and retry_after is None:
        status = 500
    return status, retry_after if status in WITH_RETRY_AFTER else None


def refusal_of_icp(event: Refused) -> tuple[int, Headers]:
    """Status and headers for a set whose call came to nothing."""
    status, retry_after = told(event.status, event.retry_after)
    return status, (("retry-after", str(retry_after)),) if retry_after is not None else ()

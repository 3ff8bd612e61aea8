"""REFER within a session, and the NOTIFYs that tell what became of it (RFC 3515, RFC 4488), both ends."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from opx.sip import events
from opx.sip.errors import LocalProtocolError, RemoteProtocolError
from opx.sip.exchange import Outcome
from opx.sip.message import Response
from opx.sip.reasons import REASONS
from opx.sip.replaces import ReferTo
from opx.sip.timers import Timer
from opx.sip.transactions import Failure, ServerTransaction
from opx.sip.usage import DialogUsage

SIPFRAG = "message/sipfrag;version=2.0"
LIFETIME = 180.0
"""Seconds that a transfer may take; then nothing more is said or heard of it."""
MAX_QUEUED = 8
"""NOTIFYs that wait for the answer to the one before."""


@dataclass(slots=True)
class _Asked:
    """A REFER of the peer that we accepted. `quiet`: it wants to hear nothing of it (RFC 4488)."""

    event: str
    quiet: bool
    limit: Timer | None = None


class Referral:
    """One session's. `on_over` hears when nothing is left to be told to the peer, or `active` has ended."""

    __slots__ = ("_asked", "_asking", "_count", "_emit", "_on_over", "_queue", "_sending", "_usage", "_waiting")

    def __init__(
        self, usage: DialogUsage, emit: Callable[[events.SessionEvent], None], on_over: Callable[[], None]
    ) -> None:
        self._usage = usage
        self._emit = emit
        self._on_over = on_over
        self._waiting: tuple[int, ServerTransaction] | None = None
        self._asked: _Asked | None = None
        self._asking: Timer | None = None
        self._queue: deque[tuple[int, bool]] = deque()
        self._sending = False
        self._count = 0

    @property
    def active(self) -> bool:
        """NOTIFYs are still to come or to be sent."""
        return self._asked is not None or self._asking is not None or self._sending or self._waiting is not None

    @property
    def asking(self) -> bool:
        """Our REFER is under way."""
        return self._asking is not None

    @property
    def concluding(self) -> bool:
        """The peer is being told the end of its transfer, and has not taken note of it yet."""
        return self._asked is None and (self._sending or bool(self._queue))

    # --- the peer refers us

    def on_refer(self, transaction: ServerTransaction, request_id: int) -> None:
        request = transaction.request
        if self._waiting is not None or self._asked is not None:
            # One transfer at a time: what it does to the session decides whether another makes sense.
            transaction.reply(491)
            return
        values = request.values("refer-to")
        try:
            if len(values) != 1:
                raise RemoteProtocolError("a REFER has one Refer-To")
            refer_to = ReferTo.parse(values[0])
        except RemoteProtocolError as error:
            transaction.reply(error.status)
            return
        self._waiting = (request_id, transaction)
        self._emit(events.TransferAsked(request_id, refer_to))

    def answer(self, request_id: int, status: int) -> None:
        """Answer a REFER. After a 2xx the peer hears of the progress by `notify`, first that we are at it."""
        if self._waiting is None or self._waiting[0] != request_id:
            raise LocalProtocolError("no REFER of that number waits")
        transaction, self._waiting = self._waiting[1], None
        request = transaction.request
        if status >= 300:
            transaction.reply(status)
            self._check_over()
            return
        quiet = (request.get("refer-sub") or "").strip().lower().startswith("false")
        self._count += 1
        event = "refer" if self._count == 1 else f"refer;id={request.cseq.number}"
        response = request.reply(status)
        response.add("contact", self._usage.contact)
        if quiet:
            response.add("refer-sub", "false")
        transaction.respond(response)
        self._asked = _Asked(event, quiet, self._usage.agent.wheel.schedule(LIFETIME, self._on_too_long))
        self.notify(100, False)

    def notify(self, status: int, over: bool) -> None:
        """Tell the peer what its transfer met with; nothing when it did not ask or knows the end already."""
        asked = self._asked
        if asked is None:
            return
        if not asked.quiet and (over or len(self._queue) < MAX_QUEUED):
            self._queue.append((status, over))
            self._send_next(asked.event)
        if over:
            self._end_asked()

    def _send_next(self, event: str) -> None:
        if self._sending or not self._queue:
            return
        status, over = self._queue.popleft()
        notify = self._usage.need().request("NOTIFY")
        notify.add("event", event)
        state = "terminated;reason=noresource" if over else f"active;expires={LIFETIME:.0f}"
        notify.add("subscription-state", state)
        notify.add("content-type", SIPFRAG)
        notify.body = f"SIP/2.0 {status} {REASONS.get(status, 'Unknown')}\r\n".encode()
        self._sending = True
        self._usage.send(notify, lambda outcome: self._on_notified(outcome, event))

    def _on_notified(self, outcome: Outcome, event: str) -> None:
        self._sending = False
        if isinstance(outcome, Failure) or outcome.status in (408, 481):
            # The peer has forgotten its REFER.
            self._queue.clear()
            self._end_asked()
        self._send_next(event)
        self._check_over()

    def _on_too_long(self) -> None:
        self.notify(408, True)

    def _end_asked(self) -> None:
        if self._asked is not None and self._asked.limit is not None:
            self._asked.limit.cancel()
        self._asked = None
        self._check_over()

    # --- we refer the peer

    def refer(self, refer_to: ReferTo, on_final: Callable[[int], None]) -> None:
        """Send REFER; `on_final` gets its final status, 408 when none came. Progress follows as events.

        LocalProtocolError while another one is under way.
        """
        if self._asking is not None:
            raise LocalProtocolError("a transfer is under way already")
        request = self._usage.need().request("REFER")
        request.add("refer-to", str(refer_to))
        # The other side's last word may still be on its way when its time is up.
        limit = LIFETIME + self._usage.agent.timing.timeout
        self._asking = self._usage.agent.wheel.schedule(limit, self._end_asking)

        def final(outcome: Outcome) -> None:
            status = outcome.status if isinstance(outcome, Response) else 408
            if status >= 300:
                self._end_asking()
            on_final(status)

        self._usage.send(request, final)

    def on_notify(self, transaction: ServerTransaction) -> None:
        """A NOTIFY within the dialog: 481 when we await none, 489 for another event."""
        request = transaction.request
        if (request.get("event") or "").partition(";")[0].strip().lower() != "refer":
            transaction.reply(489)
            return
        if self._asking is None:
            transaction.reply(481)
            return
        status = _status_of(request.body)
        state = (request.get("subscription-state") or "").partition(";")[0].strip().lower()
        transaction.reply(200 if status is not None else 400)
        if status is None:
            return
        over = state == "terminated" or status >= 200
        if over:
            self._end_asking()
        self._emit(events.TransferProgress(status, over))

    def _end_asking(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None
        self._check_over()

    # --- the end

    def stop(self) -> None:
        """The call is over; a REFER that waits is answered, what is under way goes on in the dialog."""
        if self._waiting is not None:
            transaction, self._waiting = self._waiting[1], None
            transaction.reply(487)

    def let_go(self) -> None:
        """The session is over and not to be called any more."""
        self._emit = events.unheard
        self._on_over = _nothing

    def _check_over(self) -> None:
        if not self.concluding:
            self._on_over()


def _status_of(sipfrag: bytes) -> int | None:
    """The status in the first line of a message/sipfrag, None when it is none."""
    version, _, rest = sipfrag[:64].partition(b" ")
    code = rest[:3]
    if version.upper() != b"SIP/2.0" or not code.isdigit() or not 100 <= int(code) <= 699:
        return None
    return int(code)


def _nothing() -> None:
    """Nobody waits for the end of a transfer."""

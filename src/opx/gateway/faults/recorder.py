"""Makes a record of each call that ends and keeps the messages of recent ones at hand: in memory, inside signalling."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from opx.gateway.control.live import LiveView, media_figures
from opx.gateway.faults.records import CallRecord
from opx.gateway.media.interface import RelayStats, Side
from opx.gateway.signalling.call import Call
from opx.gateway.signalling.call_log import RefusedCall
from opx.gateway.signalling.call_media import CallMedia
from opx.gateway.signalling.signalling import Signalling
from opx.gateway.signalling.traces import LegTrace
from opx.sip.bridge import CallReport, End, Outcome
from opx.sip.entropy import random_hex

COUNT_PATIENCE = 3.0
"""Seconds that a record waits for what the relay counted; a relay that died counts nothing any more."""
LINGER = 4.0
"""Seconds after a call's end in which messages still belong to its ladder: the answer to a BYE, repetitions."""
REPEAT_WINDOW = 60.0
"""Seconds in which the same refusal to the same device is recorded once: a phone may dial on and on."""
MAX_REMEMBERED = 10_000
"""Refusals remembered for that."""
MAX_RECENT_OCTETS = 32 * 1024 * 1024
"""Bytes of messages that recent calls may hold together."""

log = logging.getLogger(__name__)

_ENDED_BY = {Side.SET: "phone", Side.ICP: "icp"}


@dataclass(frozen=True, slots=True)
class RecordPolicy:
    """`recent`: calls whose messages stay in memory. `ladders_per_second`: of calls that went well, how many are
    handed on to be kept; those of failed calls all are."""

    recent: int = 200
    ladders_per_second: float = 10.0


@dataclass(frozen=True, slots=True)
class CallMessages:
    """A call's messages, by reference, to be masked and packed by whoever keeps them."""

    call_id: str
    at: float
    failed: bool
    legs: tuple[LegTrace, ...]
    octets: int
    """Bytes that they held when the call ended."""


@dataclass(slots=True)
class _Ending:
    record: CallRecord
    media: CallMedia


class CallRecorder:
    """A `CallLog`. `on_record` gets every record once, `on_messages` the messages of those to be kept."""

    def __init__(
        self,
        policy: RecordPolicy,
        *,
        on_record: Callable[[CallRecord], None],
        on_messages: Callable[[CallMessages], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.recent: dict[str, CallMessages] = {}
        self.ladders_passed_over = 0
        self._policy = policy
        self._on_record = on_record
        self._on_messages = on_messages
        self._wall = wall
        self._ending: dict[str, _Ending] = {}
        self._lingering: dict[str, CallMessages] = {}
        self._refused: dict[tuple[int, str, int], float] = {}
        self._octets = 0
        self._allowance = 1.0
        self._allowed_at = 0.0

    def attach(self, signalling: Signalling, live: LiveView) -> None:
        """What it writes down is that of `signalling`, whose times `live` translates."""
        self._signalling = signalling
        self._live = live

    # --- CallLog

    def began(self, call: Call) -> None:
        """A call was accepted from one side and goes to the other."""
        if log.isEnabledFor(logging.INFO):
            device = self._signalling.directory.device(call.device_id)
            name = device.set_username if device is not None else ""
            direction = "to" if call.caller is Side.SET else "from"
            log.info("call began, %s %s", direction, call.number, extra={"call": call.call_id, "device": name})

    def over(self, call: Call, report: CallReport) -> None:
        """A call has ended."""
        record = self._record(call, report)
        ids = {"call": record.call_id, "device": record.device}
        log.info("call ended, %s: %s", record.outcome, record.reason, extra=ids)
        self._keep_messages(record, tuple(call.traces))
        if call.media.ports is None:
            self._on_record(record)
            return
        self._ending[call.call_id] = _Ending(record, call.media)
        self._schedule(COUNT_PATIENCE, lambda: self._uncounted(call.call_id))

    def counted(self, call_id: str, stats: RelayStats) -> None:
        """The relay says what it counted."""
        ending = self._ending.pop(call_id, None)
        if ending is not None:
            ending.record.media = media_figures(ending.media, stats)
            self._on_record(ending.record)

    def refused(self, refusal: RefusedCall) -> None:
        """A call was turned away at once."""
        now = self._wall()
        key = (refusal.device_id, refusal.number, refusal.status)
        last = self._refused.pop(key, None)
        if len(self._refused) >= MAX_REMEMBERED:
            del self._refused[next(iter(self._refused))]
        fresh = last is None or now - last >= REPEAT_WINDOW
        self._refused[key] = now if fresh else last or now
        trace = self._signalling.traces.claim(refusal.caller, refusal.request.call_id)
        if not fresh:
            self._signalling.traces.release(trace)
            return
        directory = self._signalling.directory
        device = directory.device(refusal.device_id)
        icp = directory.icp(device.icp_id) if device is not None else None
        outgoing = refusal.caller is Side.SET
        extension = device.icp_username if device is not None else ""
        where = str(refusal.flow)
        record = CallRecord(
            call_id=random_hex(8),
            device_id=refusal.device_id,
            device=device.set_username if device is not None else "",
            icp=icp.name if icp is not None else "",
            direction="outgoing" if outgoing else "incoming",
            caller=extension if outgoing else refusal.number,
            callee=refusal.number if outgoing else extension,
            started_at=now,
            rang_at=0.0,
            answered_at=0.0,
            ended_at=now,
            outcome=Outcome.REFUSED.value,
            ended_by="gateway",
            status=refusal.status,
            reason=refusal.reason,
            phone=where if outgoing else "",
            user_agent=(refusal.request.get("user-agent") or "") if outgoing else "",
            node="" if outgoing else where,
            codec="",
        )
        self._on_record(record)
        self._keep_messages(record, (trace,))

    def flush(self) -> None:
        """The program stops: hand on what waits for something."""
        for call_id in list(self._ending):
            self._uncounted(call_id)
        for call_id in list(self._lingering):
            self._settled(call_id)

    # --- what it makes of it

    def _record(self, call: Call, report: CallReport) -> CallRecord:
        live = self._live.call(call)
        by = None if report.by is None else call.caller if report.by is End.CALLER else call.caller.other
        moments = (report.started_at, report.rang_at, report.answered_at, report.ended_at)
        started_at, rang_at, answered_at, ended_at = self._live.times(*moments)
        bindings = self._signalling.registrar.bindings.of(call.device_id)
        return CallRecord(
            call_id=call.call_id,
            device_id=call.device_id,
            device=live.device,
            icp=live.icp,
            direction=live.direction,
            caller=live.caller,
            callee=live.callee,
            started_at=started_at,
            rang_at=rang_at,
            answered_at=answered_at,
            ended_at=ended_at,
            outcome=report.outcome.value,
            ended_by="gateway" if by is None else _ENDED_BY[by],
            status=report.status if report.outcome in (Outcome.REFUSED, Outcome.FAILED) else 0,
            reason=report.reason,
            phone=live.phone,
            user_agent=bindings[-1].user_agent if bindings else "",
            node=live.node,
            codec=live.codec,
        )

    def _uncounted(self, call_id: str) -> None:
        ending = self._ending.pop(call_id, None)
        if ending is not None:
            self._on_record(ending.record)

    # --- messages

    def _keep_messages(self, record: CallRecord, legs: tuple[LegTrace, ...]) -> None:
        octets = sum(leg.octets for leg in legs)
        messages = CallMessages(record.call_id, record.ended_at, record.failed, legs, octets)
        self._lingering[record.call_id] = messages
        self.recent[record.call_id] = messages
        self._octets += messages.octets
        while self.recent and (len(self.recent) > self._policy.recent or self._octets > MAX_RECENT_OCTETS):
            self._octets -= self.recent.pop(next(iter(self.recent))).octets
        self._schedule(LINGER, lambda: self._settled(record.call_id))

    def _settled(self, call_id: str) -> None:
        """Nothing more comes for that call."""
        messages = self._lingering.pop(call_id, None)
        if messages is None:
            return
        for leg in messages.legs:
            self._signalling.traces.release(leg)
        if messages.failed or self._allowed():
            self._on_messages(messages)
        else:
            self.ladders_passed_over += 1

    def _allowed(self) -> bool:
        """Keeping a ladder costs a call's worth of work: under load those of good calls are passed over."""
        now = self._wall()
        rate = self._policy.ladders_per_second
        if not rate:
            return False
        self._allowance = min(max(rate, 1.0), self._allowance + (now - self._allowed_at) * rate)
        self._allowed_at = now
        if self._allowance < 1.0:
            return False
        self._allowance -= 1.0
        return True

    def _schedule(self, seconds: float, what: Callable[[], None]) -> None:
        self._signalling.set_agent.wheel.schedule(seconds, what)

"""Wires this room inside signalling: what is recorded, watched, kept and sent out."""

import asyncio
import logging
import time
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from opx.alarms import Alarm, AlarmBoard
from opx.gateway.certificates import near_expiry
from opx.gateway.control.lag import LagMeter
from opx.gateway.control.live import LiveView
from opx.gateway.control.protocol import (
    AskLadder,
    Counter,
    Done,
    Ladder,
    NotAllowed,
    NotFound,
    Sent,
    SetAlarm,
    TryAlarm,
)
from opx.gateway.control.server import Handler
from opx.gateway.faults.courier import Courier, Item, envelope
from opx.gateway.faults.kinds import KINDS
from opx.gateway.faults.messages import masked, pack, to_wire
from opx.gateway.faults.recorder import CallMessages, CallRecorder, RecordPolicy
from opx.gateway.faults.records import CallRecord
from opx.gateway.faults.repository import FaultsRepository, Keeping, PackedLadder, Row
from opx.gateway.faults.watch import LOOK_EVERY, Watch, WatchPolicy
from opx.gateway.faults.ways import ways
from opx.gateway.settings import GatewaySettings
from opx.gateway.signalling.signalling import Signalling
from opx.gateway.writer import WriteBehind
from opx.sip.entropy import random_hex
from opx.web.authority import CertificateError

THROW_AWAY_EVERY = 600.0
"""Seconds between two looks for what is too old or too much."""
FORWARDS_EVERY = 30.0
"""Seconds between two looks at the forwards in force."""
STORE_LIMIT = 5.0
"""Seconds that an alarm waits for the database before it is told all the same."""
EXPIRY_EVERY = 3600.0
"""Seconds between two looks at what expires."""

log = logging.getLogger(__name__)


class Faults:
    """Made before signalling, whose `CallLog` is `recorder`; `attach` it, `start`, and `stop` in the end."""

    def __init__(self, settings: GatewaySettings, engine: AsyncEngine) -> None:
        self._settings = settings
        records, alarms = settings.records, settings.alarms
        self.repository = FaultsRepository(engine)
        self.recorder = CallRecorder(
            RecordPolicy(records.recent, records.messages_per_second),
            on_record=self._on_record,
            on_messages=self._on_messages,
        )
        self.board = AlarmBoard(
            partial(self._on_alarm, "raised"), partial(self._on_alarm, "cleared"), settle=alarms.settle
        )
        self.watch = Watch(self.board, WatchPolicy(alarms.refusals, alarms.refusal_window, alarms.lag))
        self._keeping = Keeping(
            records.days, records.most, records.message_days, records.messages_of, records.messages_of_failed
        )
        self._couriers: dict[str, Courier] = {}
        self._calls: Tally[tuple[str, str]] = Tally()
        self._packets: Tally[tuple[str, str]] = Tally()
        self._talked = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._telling: set[asyncio.Task[None]] = set()

    def attach(
        self,
        signalling: Signalling,
        live: LiveView,
        writer: WriteBehind,
        lag: LagMeter,
        forwards: Callable[[], Awaitable[Sequence[str]]],
    ) -> None:
        """`forwards` says what of the port forwarding is not in force as it is wanted."""
        self._forwards = forwards
        self._signalling, self._writer, self._lag = signalling, writer, lag
        self.recorder.attach(signalling, live)

    async def start(self) -> None:
        """ConfigError when a file that the settings name cannot be read."""
        for way, most, gather in await asyncio.to_thread(ways, self._settings):
            courier = Courier(way, most=most, gather=gather, on_trouble=self._on_trouble)
            self._couriers[way.name] = courier
            courier.start()
        standing, _ = await self.repository.alarms(standing=True, limit=1000)
        self.board.restore(reversed(standing))
        loop = asyncio.get_running_loop()
        for delay, seconds, what in (
            (0.0, LOOK_EVERY, self._look),
            (0.0, THROW_AWAY_EVERY, self._throw_away),
            (FORWARDS_EVERY, FORWARDS_EVERY, self._look_at_forwards),
            (0.0, EXPIRY_EVERY, self._look_at_certificates),
            (0.0, EXPIRY_EVERY, self._look_at_tokens),
        ):
            self._tasks.append(loop.create_task(_again_and_again(delay, seconds, what)))

    async def stop(self) -> None:
        """Hand on what is to be written; call it before the writer stops."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.recorder.flush()
        await asyncio.gather(*self._telling, return_exceptions=True)
        await asyncio.gather(*(courier.stop() for courier in self._couriers.values()))

    async def write(self, rows: Sequence[Row | CallMessages]) -> None:
        """What the writer has gathered. Masking and packing happen here, in a thread, long after the call."""
        raw = [row for row in rows if isinstance(row, CallMessages)]
        packed = await asyncio.to_thread(lambda: list(map(_packed, raw))) if raw else []
        plain: list[Row] = [row for row in rows if not isinstance(row, CallMessages)]
        await self.repository.write([*plain, *packed])

    # --- questions

    @property
    def handlers(self) -> Mapping[str, Handler]:
        known: dict[type[Any], Callable[[Any], Awaitable[Any]]] = {
            AskLadder: self._ladder,
            SetAlarm: self._set_alarm,
            TryAlarm: self._test_alarm,
        }
        return {question.name: Handler(question, answer) for question, answer in known.items()}

    async def _ladder(self, question: AskLadder) -> Ladder:
        call = self._signalling.calls.find(question.call_id)
        kept = self.recorder.recent.get(question.call_id)
        if call is not None:
            return to_wire(masked(call.traces))
        if kept is not None:
            return to_wire(masked(kept.legs))
        raise NotFound("the messages of that call are not at hand")

    async def _set_alarm(self, question: SetAlarm) -> Done:
        if question.kind not in KINDS:
            raise NotAllowed(f"there is no alarm {question.kind}")
        self.board.set(question.kind, question.subject, question.cause, question.raised)
        return Done()

    async def _test_alarm(self, question: TryAlarm) -> Sent:
        trial = Alarm(random_hex(8), "test", "", "sent to try the way out; nothing is wrong", time.time())
        item = _item("test", replace(trial))
        found = {name: await courier.try_out(item) for name, courier in self._couriers.items()}
        return Sent(ways=found)

    def counters(self) -> list[Counter]:
        """This room's numbers for the metrics."""
        found = [
            Counter(name="calls_talked_seconds", value=self._talked, kind="counter"),
            Counter(name="call_traces_passed_over", value=self.recorder.ladders_passed_over, kind="counter"),
            Counter(name="alarms_standing", value=len(self.board.standing)),
        ]
        for (direction, outcome), number in self._calls.items():
            labels = {"direction": direction, "outcome": outcome}
            found.append(Counter(name="calls_ended", value=number, kind="counter", labels=labels))
        for (name, side), number in self._packets.items():
            found.append(Counter(name=name, value=number, kind="counter", labels={"side": side}))
        standing = Tally(alarm.kind for alarm in self.board.standing)
        for kind in KINDS:
            found.append(Counter(name="alarm", value=standing[kind], labels={"kind": kind}))
        for name, courier in self._couriers.items():
            found.append(Counter(name="deliveries_waiting", value=courier.waiting, labels={"way": name}))
            found.append(Counter(name="deliveries", value=courier.delivered, kind="counter", labels={"way": name}))
            dropped = courier.dropped
            found.append(Counter(name="deliveries_dropped", value=dropped, kind="counter", labels={"way": name}))
        return found

    # --- what happens

    def _on_record(self, record: CallRecord) -> None:
        self._writer.add(record)
        self.watch.record(record)
        self._calls[record.direction, record.outcome] += 1
        self._talked += record.talked
        if record.media is not None:
            for side, stream in (("set", record.media.set_side), ("icp", record.media.icp_side)):
                self._packets["media_packets", side] += stream.packets
                self._packets["media_packets_lost", side] += stream.lost
        webhook = self._couriers.get("webhook")
        if webhook is not None and "call" in self._settings.webhook.events:
            webhook.take(envelope("call", record.call_id, record.values()))

    def _on_messages(self, messages: CallMessages) -> None:
        if self._writer.failure:
            # While the database is away records wait for it; messages would fill the memory.
            self.recorder.ladders_passed_over += 1
        else:
            self._writer.add(messages)

    def _on_alarm(self, state: str, alarm: Alarm) -> None:
        log.warning("alarm %s: %s (%s)", state, alarm.title(KINDS), alarm.cause, extra={"alarm": alarm.kind})
        self._writer.add(alarm)
        if alarm.kind != "delivery-failing" and self._couriers:
            self._later(self._tell(state, alarm))

    async def _tell(self, state: str, alarm: Alarm) -> None:
        """Store first: a gateway that is killed now may not tell of the same alarm again."""
        try:
            async with asyncio.timeout(STORE_LIMIT):
                await self._writer.flush()
        except Exception as error:
            log.info("an alarm is told before it is stored: %s", type(error).__name__)
        for name, courier in self._couriers.items():
            if name != "webhook" or "alarm" in self._settings.webhook.events:
                courier.take(_item(state, alarm))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    def _on_trouble(self, name: str, why: str) -> None:
        self.board.set("delivery-failing", name, why, bool(why))

    async def _look(self) -> None:
        self.watch.look(self._signalling, self._writer, self._lag)

    async def _throw_away(self) -> None:
        await self.repository.throw_away(self._keeping, time.time())

    async def _look_at_certificates(self) -> None:
        try:
            expiring = await asyncio.to_thread(near_expiry, self._settings, time.time())
        except (CertificateError, OSError):
            # The web face, which serves with them, says what is wrong with them.
            return
        for info in expiring:
            left = info.days_left(time.time())
            self.board.raise_("certificate-expiring", str(info.path), f"{left:.0f} days are left")
        self.board.clear_others("certificate-expiring", (str(info.path) for info in expiring))

    async def _look_at_tokens(self) -> None:
        now = time.time()
        within = self._settings.certificates.warn_days * 86400.0
        expiring = await self.repository.tokens_near_expiry(now + within)
        for name, expires_at in expiring:
            self.board.raise_("token-expiring", name, f"{(expires_at - now) / 86400:.0f} days are left")
        self.board.clear_others("token-expiring", (name for name, _ in expiring))

    async def _look_at_forwards(self) -> None:
        problems = await self._forwards()
        self.board.set("forwarding-not-in-force", "", "; ".join(problems)[:500], bool(problems))


def _packed(messages: CallMessages) -> PackedLadder:
    return PackedLadder(messages.call_id, messages.at, messages.failed, pack(masked(messages.legs)))


def _item(state: str, alarm: Alarm) -> Item:
    at = alarm.cleared_at or alarm.raised_at
    data: Item = {
        "state": state,
        "kind": alarm.kind,
        "subject": alarm.subject,
        "title": alarm.title(KINDS),
        "cause": alarm.cause,
        "raised_at": alarm.raised_at,
        "cleared_at": alarm.cleared_at,
        "when": time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(at)),
    }
    return envelope("alarm", f"{alarm.alarm_id}-{state}", data)


async def _again_and_again(delay: float, seconds: float, what: Callable[[], Awaitable[None]]) -> None:
    """After a delay, and every so many seconds; what goes wrong once is tried again the next time."""
    await asyncio.sleep(delay)
    while True:
        try:
            await what()
        except Exception:
            log.exception("a regular look has failed")
        await asyncio.sleep(seconds)

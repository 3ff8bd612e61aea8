"""Call records, ladders and alarms in the database: written in batches, read in pages, thrown away when old."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from opx.alarms import Alarm
from opx.gateway.control.protocol import MediaFigures
from opx.gateway.faults.messages import CallTrace, unpack
from opx.gateway.faults.models import AlarmRow, CallRow, LadderRow
from opx.gateway.faults.records import COLUMNS, CallRecord
from opx.gateway.journal import storable
from opx.gateway.webservices.models import Consumer, FinalToken
from opx.store.engine import for_reading

CHUNK = 500
"""Rows of one statement: what is old goes bit by bit, so that no write of signalling waits for long."""
MAX_SEARCH = 100


@dataclass(frozen=True, slots=True)
class PackedLadder:
    """A call's messages as they are stored."""

    call_id: str
    at: float
    failed: bool
    data: bytes


Row = CallRecord | PackedLadder | Alarm


@dataclass(frozen=True, slots=True)
class CallQuery:
    """Which calls: `search` in names, numbers and addresses; times in seconds since 1970; "" and None mean all."""

    search: str = ""
    device_id: int | None = None
    outcome: str = ""
    direction: str = ""
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Keeping:
    """How much is kept: days of records and of messages, and how many of each at most."""

    record_days: float = 90.0
    records: int = 200_000
    ladder_days: float = 14.0
    ladders: int = 2000
    failed_ladders: int = 2000
    alarms: int = 10_000


class FaultsRepository:
    """On an engine that others share; the tables are those of the gateway's migrations."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    # --- writing

    async def write(self, rows: Sequence[Row]) -> None:
        """All in one transaction. What has the key of an older row takes its place."""
        async with self._engine.begin() as connection:
            await _put(connection, CallRow, [_call_values(row) for row in rows if isinstance(row, CallRecord)])
            await _put(connection, LadderRow, [_ladder_values(row) for row in rows if isinstance(row, PackedLadder)])
            await _put(connection, AlarmRow, [_alarm_values(row) for row in rows if isinstance(row, Alarm)])

    async def throw_away(self, keeping: Keeping, now: float) -> int:
        """Delete what is too old or too much; returns how many rows went."""
        gone = 0
        day = 86400.0
        gone += await self._delete(CallRow, CallRow.call_id, CallRow.ended_at < now - keeping.record_days * day)
        gone += await self._delete(LadderRow, LadderRow.call_id, LadderRow.at < now - keeping.ladder_days * day)
        gone += await self._beyond(CallRow, CallRow.call_id, CallRow.started_at, keeping.records)
        for failed, most in ((False, keeping.ladders), (True, keeping.failed_ladders)):
            gone += await self._beyond(LadderRow, LadderRow.call_id, LadderRow.at, most, LadderRow.failed.is_(failed))
        cleared = AlarmRow.cleared_at > 0
        gone += await self._beyond(AlarmRow, AlarmRow.alarm_id, AlarmRow.raised_at, keeping.alarms, cleared)
        return gone

    async def _beyond(self, table: Any, key: Any, order: Any, most: int, *wanted: ColumnElement[bool]) -> int:
        """Delete all but the newest `most` rows."""
        async with self._reading.connect() as connection:
            last = select(order).where(*wanted).order_by(order.desc()).offset(most).limit(1)
            limit = await connection.scalar(last)
        return 0 if limit is None else await self._delete(table, key, order <= limit, *wanted)

    async def _delete(self, table: Any, key: Any, *which: ColumnElement[bool]) -> int:
        gone = 0
        while True:
            async with self._engine.begin() as connection:
                keys = list(await connection.scalars(select(key).where(*which).limit(CHUNK)))
                if keys:
                    await connection.execute(delete(table).where(key.in_(keys)))
            gone += len(keys)
            if len(keys) < CHUNK:
                return gone

    # --- reading

    async def calls(
        self, query: CallQuery, *, offset: int = 0, limit: int = 50, sort: str = "started_at", descending: bool = True
    ) -> tuple[list[CallRecord], int]:
        """A page of calls, and how many there are in all. `sort` is a column's name."""
        order = getattr(CallRow, sort if sort in COLUMNS else "started_at")
        wanted = _where(query)
        rows = (
            select(CallRow.__table__)
            .where(*wanted)
            .order_by(order.desc() if descending else order, CallRow.call_id)
            .offset(offset)
            .limit(limit)
        )
        async with self._reading.connect() as connection:
            total = await connection.scalar(select(func.count()).select_from(CallRow).where(*wanted))
            return [_call(row) for row in await connection.execute(rows)], total or 0

    async def each_call(self, query: CallQuery, most: int) -> AsyncIterator[CallRecord]:
        """The newest `most` calls, one after the other, in pages of their own: a long download holds nothing up."""
        wanted = _where(query)
        last: tuple[float, str] | None = None
        while most > 0:
            rows: Select[Any] = select(CallRow.__table__).where(*wanted)
            if last is not None:
                same = (CallRow.started_at == last[0]) & (CallRow.call_id > last[1])
                rows = rows.where(or_(CallRow.started_at < last[0], same))
            rows = rows.order_by(CallRow.started_at.desc(), CallRow.call_id).limit(min(CHUNK, most))
            async with self._reading.connect() as connection:
                found = [_call(row) for row in await connection.execute(rows)]
            for record in found:
                yield record
            if len(found) < CHUNK:
                return
            most -= len(found)
            last = (found[-1].started_at, found[-1].call_id)

    async def call(self, call_id: str) -> CallRecord | None:
        async with self._reading.connect() as connection:
            row = (await connection.execute(select(CallRow.__table__).where(CallRow.call_id == call_id))).first()
        return _call(row) if row is not None else None

    async def ladder(self, call_id: str) -> CallTrace | None:
        """The messages of a call, None when they are not kept. ValueError when they are damaged."""
        async with self._reading.connect() as connection:
            data = await connection.scalar(select(LadderRow.data).where(LadderRow.call_id == call_id))
        return unpack(data) if data is not None else None

    async def tokens_near_expiry(self, before: float) -> list[tuple[str, float]]:
        """Consumers of the web services whose last token expires before that time, and when."""
        last = func.max(FinalToken.expires_at)
        query = (
            select(Consumer.name, last)
            .join(FinalToken, FinalToken.consumer == Consumer.id)
            .where(FinalToken.revoked_at.is_(None))
            .group_by(Consumer.name)
            .having(last < before)
        )
        async with self._reading.connect() as connection:
            return [(name, expires_at) for name, expires_at in await connection.execute(query)]

    async def alarms(self, *, standing: bool = False, offset: int = 0, limit: int = 50) -> tuple[list[Alarm], int]:
        """A page of alarms, those that stand first and then the newest, and how many there are in all."""
        wanted = [AlarmRow.cleared_at == 0] if standing else []
        rows = (
            select(AlarmRow.__table__)
            .where(*wanted)
            .order_by(AlarmRow.cleared_at > 0, AlarmRow.raised_at.desc(), AlarmRow.alarm_id)
            .offset(offset)
            .limit(limit)
        )
        async with self._reading.connect() as connection:
            total = await connection.scalar(select(func.count()).select_from(AlarmRow).where(*wanted))
            return [Alarm(*row) for row in await connection.execute(rows)], total or 0


async def _put(connection: AsyncConnection, table: Any, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    # The newest of one key counts; deleted and inserted, the same two statements on every database.
    (key,) = table.__table__.primary_key.columns
    newest = {row[key.name]: row for row in rows}
    keys = list(newest)
    for start in range(0, len(keys), CHUNK):
        part = keys[start : start + CHUNK]
        await connection.execute(delete(table).where(key.in_(part)))
        await connection.execute(insert(table), [newest[one] for one in part])


def _call_values(record: CallRecord) -> dict[str, Any]:
    values = {name: getattr(record, name) for name in COLUMNS}
    columns = CallRow.__table__.columns
    for name, value in values.items():
        if isinstance(value, str):
            values[name] = storable(value)[: getattr(columns[name].type, "length", None)]
    return {**values, "media": record.media.model_dump_json() if record.media is not None else ""}


def _ladder_values(ladder: PackedLadder) -> dict[str, Any]:
    return {"call_id": ladder.call_id, "at": ladder.at, "failed": ladder.failed, "data": ladder.data}


def _alarm_values(alarm: Alarm) -> dict[str, Any]:
    return {
        "alarm_id": alarm.alarm_id,
        "kind": alarm.kind,
        "subject": storable(alarm.subject)[:200],
        "cause": storable(alarm.cause)[:500],
        "raised_at": alarm.raised_at,
        "cleared_at": alarm.cleared_at,
    }


def _call(row: Any) -> CallRecord:
    values = row._mapping
    media = MediaFigures.model_validate(json.loads(values["media"])) if values["media"] else None
    return CallRecord(**{name: values[name] for name in COLUMNS}, media=media)


def _where(query: CallQuery) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if query.device_id is not None:
        wanted.append(CallRow.device_id == query.device_id)
    if query.outcome:
        wanted.append(CallRow.outcome == query.outcome)
    if query.direction:
        wanted.append(CallRow.direction == query.direction)
    if query.since is not None:
        wanted.append(CallRow.started_at >= query.since)
    if query.until is not None:
        wanted.append(CallRow.started_at < query.until)
    if query.search:
        text = query.search[:MAX_SEARCH]
        searched = (CallRow.device, CallRow.caller, CallRow.callee, CallRow.phone, CallRow.node, CallRow.reason)
        wanted.append(or_(*(column.icontains(text, autoescape=True) for column in searched), CallRow.call_id == text))
    return wanted

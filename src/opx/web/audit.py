"""The audit log: who changed what, when and from where. No secret ever stands in it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from opx.store.engine import for_reading
from opx.web.tables import MAX_ACTION, MAX_DETAIL, MAX_SOURCE, MAX_TARGET, MAX_USER_NAME, ConsoleTables

MAX_ENTRIES = 20_000
"""Kept; the oldest go. A busy site makes some dozens a day."""
TRIM_EVERY = 200
"""Entries after which the oldest are looked for."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """`at` in seconds since 1970; `user` is "" before anybody is signed in."""

    at: float
    user: str
    source: str
    action: str
    target: str
    detail: str


class Audit:
    def __init__(self, engine: AsyncEngine, tables: ConsoleTables, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._reading = for_reading(engine)
        self._table = tables.audit
        self._clock = clock
        self._untrimmed = TRIM_EVERY

    async def note(self, user: str, source: str, action: str, target: str = "", detail: str = "") -> None:
        values = {
            "at": self._clock(),
            "user": user[:MAX_USER_NAME],
            "source": source[:MAX_SOURCE],
            "action": action[:MAX_ACTION],
            "target": target[:MAX_TARGET],
            "detail": detail[:MAX_DETAIL],
        }
        async with self._engine.begin() as connection:
            await connection.execute(insert(self._table).values(values))
            self._untrimmed += 1
            if self._untrimmed >= TRIM_EVERY:
                self._untrimmed = 0
                newest = select(self._table.c.id).order_by(self._table.c.id.desc()).limit(MAX_ENTRIES)
                kept = select(newest.subquery().c.id)
                await connection.execute(delete(self._table).where(self._table.c.id.not_in(kept)))

    async def entries(self, search: str, offset: int, limit: int) -> tuple[list[AuditEntry], int]:
        """The newest first, and how many there are in all; `search` looks into every column of text."""
        table = self._table
        columns = (table.c.user, table.c.source, table.c.action, table.c.target, table.c.detail)
        wanted = or_(*(column.icontains(search, autoescape=True) for column in columns))
        query = select(table).where(wanted).order_by(table.c.id.desc()).offset(offset).limit(limit)
        count = select(func.count()).select_from(table).where(wanted)
        async with self._reading.connect() as connection:
            rows = [_entry(row) for row in await connection.execute(query)]
            return rows, await connection.scalar(count) or 0

    async def last(self, target: str) -> AuditEntry | None:
        """The newest entry about `target`."""
        query = select(self._table).where(self._table.c.target == target[:MAX_TARGET])
        async with self._reading.connect() as connection:
            row = (await connection.execute(query.order_by(self._table.c.id.desc()).limit(1))).first()
        return _entry(row) if row is not None else None


def differences(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    """What changed, in words: `name "a" to "b"`. Both hold the same keys, and no secrets."""
    found = [f"{key} {_shown(before[key])} to {_shown(after[key])}" for key in after if before[key] != after[key]]
    return "; ".join(found)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == "":
        return "nothing"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _entry(row: object) -> AuditEntry:
    values = row._mapping  # type: ignore[attr-defined]
    return AuditEntry(*(values[name] for name in AuditEntry.__slots__))

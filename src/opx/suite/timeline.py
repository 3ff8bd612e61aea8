"""What happened to an extension, a phone, the gateway or the site, with the reason, for the console to show."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from opx.store.engine import for_reading
from opx.suite.models import TimelineEntry

MAX_TEXT = 512
KEPT = 200
"""Entries of one subject; older ones go."""
TRIM_EVERY = 50
"""Entries of a subject between two trims."""


class Kind(StrEnum):
    """What an entry is about, for the eye: something done, something refused, something to act upon."""

    DONE = "done"
    REFUSED = "refused"
    WARNING = "warning"


GATEWAY = "gateway"
"""The subject of what happens between suite and gateway as a whole."""


def extension_subject(extension_id: int) -> str:
    return f"extension:{extension_id}"


def phone_subject(mac: str) -> str:
    return f"phone:{mac}"


@dataclass(frozen=True, slots=True)
class Entry:
    """`at` in seconds since 1970."""

    subject: str
    at: float
    kind: Kind
    text: str

    @classmethod
    def now(cls, subject: str, kind: Kind, text: str) -> "Entry":
        return cls(subject, time.time(), kind, text)


class Timeline:
    """Entries in the suite's database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)
        self._untrimmed: dict[str, int] = {}

    async def note(self, entries: Iterable[Entry]) -> None:
        """Write entries down in one transaction of their own."""
        async with self._engine.begin() as connection:
            await self.note_in(connection, entries)

    async def note_in(self, connection: AsyncConnection, entries: Iterable[Entry]) -> None:
        """The same within a transaction of the caller's."""
        rows = [
            {"subject": entry.subject, "at": entry.at, "kind": entry.kind.value, "text": entry.text[:MAX_TEXT]}
            for entry in entries
        ]
        if not rows:
            return
        await connection.execute(insert(TimelineEntry), rows)
        for subject, added in Counter(str(row["subject"]) for row in rows).items():
            await self._trim(connection, subject, added)

    async def entries(self, subject: str, limit: int = 100) -> Sequence[Entry]:
        """A subject's newest entries, the newest first."""
        query = select(TimelineEntry.subject, TimelineEntry.at, TimelineEntry.kind, TimelineEntry.text)
        query = query.where(TimelineEntry.subject == subject).order_by(TimelineEntry.at.desc(), TimelineEntry.id.desc())
        async with self._reading.connect() as connection:
            rows = await connection.execute(query.limit(limit))
            return [Entry(row.subject, row.at, Kind(row.kind), row.text) for row in rows]

    async def newest(self, limit: int) -> Sequence[Entry]:
        """The newest entries of all subjects, the newest first."""
        query = select(TimelineEntry.subject, TimelineEntry.at, TimelineEntry.kind, TimelineEntry.text)
        async with self._reading.connect() as connection:
            rows = await connection.execute(query.order_by(TimelineEntry.id.desc()).limit(limit))
            return [Entry(row.subject, row.at, Kind(row.kind), row.text) for row in rows]

    async def _trim(self, connection: AsyncConnection, subject: str, added: int) -> None:
        count = self._untrimmed.get(subject, 0) + added
        if count < TRIM_EVERY:
            self._untrimmed[subject] = count
            return
        self._untrimmed.pop(subject, None)
        oldest = (
            select(TimelineEntry.id)
            .where(TimelineEntry.subject == subject)
            .order_by(TimelineEntry.at.desc(), TimelineEntry.id.desc())
            .offset(KEPT)
        )
        await connection.execute(delete(TimelineEntry).where(TimelineEntry.id.in_(oldest)))

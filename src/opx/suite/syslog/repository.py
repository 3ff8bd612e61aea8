"""The lines in the suite's database, so many of each phone."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, delete, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from opx.store.engine import for_reading
from opx.suite.syslog.models import PhoneLogLine

KEPT = 500
"""Lines of one phone; older ones go. Those of unknown phones count as one phone's."""


@dataclass(frozen=True, slots=True)
class LogLine:
    mac: str
    source: str
    at: float
    severity: int
    text: str


class PhoneLog:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    async def write(self, lines: Sequence[LogLine]) -> None:
        if not lines:
            return
        rows = [
            {"mac": line.mac, "source": line.source, "at": line.at, "severity": line.severity, "text": line.text}
            for line in lines
        ]
        async with self._engine.begin() as connection:
            await connection.execute(insert(PhoneLogLine), rows)
            for mac in {line.mac for line in lines}:
                await self._trim(connection, mac)

    async def lines(self, mac: str, source: str, limit: int = 100) -> list[LogLine]:
        """The newest of a phone, the newest first, with those that came from its address before it was known."""
        mine = PhoneLogLine.mac == mac
        if source:
            mine = or_(mine, and_(PhoneLogLine.mac == "", PhoneLogLine.source == source))
        query = select(PhoneLogLine).where(mine).order_by(PhoneLogLine.at.desc(), PhoneLogLine.id.desc()).limit(limit)
        async with self._reading.connect() as connection:
            rows = await connection.execute(query)
            return [LogLine(row.mac, row.source, row.at, row.severity, row.text) for row in rows]

    async def forget(self, mac: str) -> None:
        """All that a phone has said."""
        async with self._engine.begin() as connection:
            await connection.execute(delete(PhoneLogLine).where(PhoneLogLine.mac == mac))

    async def _trim(self, connection: AsyncConnection, mac: str) -> None:
        oldest = (
            select(PhoneLogLine.id)
            .where(PhoneLogLine.mac == mac)
            .order_by(PhoneLogLine.at.desc(), PhoneLogLine.id.desc())
            .offset(KEPT)
        )
        await connection.execute(delete(PhoneLogLine).where(PhoneLogLine.id.in_(oldest)))

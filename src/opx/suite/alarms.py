"""The suite's alarms: what there can be alarm for, and those that were raised, in the database for the console to show.

Each process has a `AlarmDesk` for the kinds that it raises. What the others do about theirs it does not touch.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from opx.alarms import Alarm, AlarmBoard
from opx.kept.bulletin import Bulletin
from opx.store.engine import for_reading
from opx.suite.models import AlarmRow
from opx.suite.topics import ALARMS

KINDS: Mapping[str, str] = {
    "phone-guessed": "Somebody else may be asking for a phone's configuration",
    "phone-moved": "A phone asks from another place than before",
    "phones-unknown": "Many unknown phones ask from one source",
    "phones-full": "Unknown phones are not listed any more",
    "codes-guessed": "A one-time code is being guessed",
    "origin-off": "The true source of phones outside is not known",
}
"""What there can be alarm for, in words."""
KEPT = 5000
"""Cleared alarms that are kept; older ones go."""
TICK_SECONDS = 10.0
MAX_CAUSE = 500
MAX_SUBJECT = 200

log = logging.getLogger(__name__)


class AlarmRepository:
    """On the suite's engine."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    async def alarms(self, *, standing: bool = False, offset: int = 0, limit: int = 50) -> tuple[list[Alarm], int]:
        """A page, those that stand first and the newest first, and how many there are."""
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

    async def standing_of(self, kinds: Collection[str]) -> list[Alarm]:
        """Those of some kinds that stand, the oldest first."""
        query = select(AlarmRow.__table__).where(AlarmRow.cleared_at == 0, AlarmRow.kind.in_(kinds))
        async with self._reading.connect() as connection:
            return [Alarm(*row) for row in await connection.execute(query.order_by(AlarmRow.raised_at))]

    async def write(self, raised: Collection[Alarm], cleared: Collection[Alarm]) -> None:
        """In one transaction; what is too old goes."""
        async with self._engine.begin() as connection:
            if raised:
                await connection.execute(insert(AlarmRow), [_values(alarm) for alarm in raised])
            for alarm in cleared:
                row = update(AlarmRow).where(AlarmRow.alarm_id == alarm.alarm_id)
                await connection.execute(row.values(cleared_at=alarm.cleared_at))
            old = select(AlarmRow.alarm_id).where(AlarmRow.cleared_at > 0).order_by(AlarmRow.raised_at.desc())
            if cleared:
                await connection.execute(delete(AlarmRow).where(AlarmRow.alarm_id.in_(old.offset(KEPT))))


class AlarmDesk:
    """Raises alarms of some `kinds` in this process, and keeps them in the database. `start`, then `stop`.

    `settle`: seconds that a cause must be gone before its alarm is cleared.
    """

    def __init__(self, repository: AlarmRepository, bulletin: Bulletin, kinds: Collection[str], settle: float) -> None:
        self.repository = repository
        self._bulletin = bulletin
        self._kinds = tuple(kinds)
        self._raised: list[Alarm] = []
        self._cleared: list[Alarm] = []
        self.board = AlarmBoard(self._raised.append, self._cleared.append, settle=settle)
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Those that stood when the process ended stand again, until their cause was gone for long enough."""
        for alarm in await self.repository.standing_of(self._kinds):
            self.board.restore([alarm])
            self.board.clear(alarm.kind, alarm.subject)
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self.flush()

    def event(self, kind: str, subject: str, cause: str) -> None:
        """Something happened that there is alarm for; it stands until it was quiet for `settle` seconds."""
        self.board.raise_(kind, subject[:MAX_SUBJECT], cause[:MAX_CAUSE])
        self.board.clear(kind, subject[:MAX_SUBJECT])

    async def flush(self) -> None:
        """Write down what was raised and cleared since the last time."""
        self.board.tick()
        raised, cleared = list(self._raised), list(self._cleared)
        if not raised and not cleared:
            return
        try:
            await self.repository.write(raised, cleared)
        except DBAPIError:
            log.exception("alarms could not be written down; they are kept for the next time")
            return
        del self._raised[: len(raised)], self._cleared[: len(cleared)]
        for alarm in raised:
            log.warning("alarm: %s (%s)", alarm.title(KINDS), alarm.cause)
        self._bulletin.publish(ALARMS)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self.flush()
            except Exception:
                log.exception("alarms could not be written down")


def _values(alarm: Alarm) -> dict[str, object]:
    return {
        "alarm_id": alarm.alarm_id,
        "kind": alarm.kind,
        "subject": alarm.subject[:MAX_SUBJECT],
        "cause": alarm.cause[:MAX_CAUSE],
        "raised_at": alarm.raised_at,
        "cleared_at": alarm.cleared_at,
    }

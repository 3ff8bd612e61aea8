"""How writers on one PostgreSQL server tell each other's processes that something has changed (LISTEN and NOTIFY).

SQLite has nothing of the kind; there, a program's control socket does it alone.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import event, func, select
from sqlalchemy.orm import ORMExecuteState, Session, UOWTransaction

from opx.store.errors import DatabaseUnusable
from opx.store.place import Place, connect

CHANNEL = "opx_changed"
BACKOFF_MIN = 1.0
"""Seconds until the first try to reach a server that went away; doubled with each further one."""
BACKOFF_MAX = 30.0
PING_SECONDS = 30.0
"""Between two proofs that the connection still stands, for a listener sends nothing by itself."""
_CHANGED = "opx_changed"

log = logging.getLogger(__name__)


class AnnouncingSession(Session):
    """For `async_sessionmaker(engine, sync_session_class=AnnouncingSession)`: a transaction that changes something says
    so to all `ChangeFeed`s when it is committed, and only then. Nothing is said on SQLite."""


@event.listens_for(AnnouncingSession, "after_flush")
def _flushed(session: Session, context: UOWTransaction) -> None:
    session.info[_CHANGED] = True


@event.listens_for(AnnouncingSession, "do_orm_execute")
def _executed(state: ORMExecuteState) -> None:
    if state.is_insert or state.is_update or state.is_delete:
        state.session.info[_CHANGED] = True


@event.listens_for(AnnouncingSession, "before_commit")
def _committing(session: Session) -> None:
    changed = session.info.pop(_CHANGED, False) or session.new or session.dirty or session.deleted
    if changed and session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_notify(CHANNEL, "")))


class ChangeFeed:
    """Runs `on_change` after each announcement, and after a time in which one may have been missed.

    Announcements that come while it runs are taken together afterwards. `start`, then `stop`.
    """

    def __init__(
        self,
        place: Place,
        on_change: Callable[[], Awaitable[object]],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._place = place
        self._on_change = on_change
        self._sleep = sleep
        self._due = asyncio.Event()
        self._lost = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listens when it returns, so nothing that is announced afterwards is missed. DatabaseUnusable."""
        connection = await self._listen()
        self._tasks = [asyncio.create_task(self._keep(connection)), asyncio.create_task(self._take())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self) -> Any:
        connection = await connect(self._place)
        self._lost.clear()
        connection.add_termination_listener(lambda _: self._lost.set())
        await connection.add_listener(CHANNEL, lambda *_: self._due.set())
        return connection

    async def _keep(self, connection: Any) -> None:
        try:
            while True:
                await self._watch(connection)
                connection.terminate()
                log.warning("%s: the connection that hears of changes is lost", self._place)
                connection = await self._reconnect()
                # What changed meanwhile was announced to nobody.
                self._due.set()
        finally:
            connection.terminate()

    async def _watch(self, connection: Any) -> None:
        """Until the connection is lost."""
        while True:
            try:
                async with asyncio.timeout(PING_SECONDS):
                    await self._lost.wait()
                return
            except TimeoutError:
                pass
            try:
                await connection.execute("SELECT 1")
            except Exception as error:
                log.debug("no answer to a ping: %s", error)
                return

    async def _reconnect(self) -> Any:
        delay = BACKOFF_MIN
        while True:
            await self._sleep(delay)
            try:
                return await self._listen()
            except DatabaseUnusable as error:
                delay = min(2 * delay, BACKOFF_MAX)
                log.warning("%s; next try in %.0f s", error, delay)

    async def _take(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self._on_change()
            except Exception:
                log.exception("what changed in the database could not be taken over")

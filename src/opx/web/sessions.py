"""Sessions of signed-in users: random ids, of which only the hash is kept, with an idle and an absolute end."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from opx.store.engine import for_reading
from opx.web.accounts import TOKEN_BYTES, User, digest_of, user_of
from opx.web.tables import MAX_SOURCE, ConsoleTables

TOUCH_EVERY = 60.0
"""Seconds in which a session that is used is written at most once."""


def form_token(secret: str) -> str:
    """What a form carries to show that it came from a page of ours: bound to the cookie's secret, and not it."""
    return hmac.new(secret.encode(), b"form", hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is signed in, and by which session."""

    user: User
    session_id: str

    @property
    def form_token(self) -> str:
        return form_token(self.session_id)


class Sessions:
    """`idle` and `longest` in seconds: a session ends when it was not used for so long, and after that time anyway."""

    def __init__(
        self,
        engine: AsyncEngine,
        tables: ConsoleTables,
        *,
        idle: float,
        longest: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._reading = for_reading(engine)
        self._tables = tables
        self._idle = idle
        self._longest = longest
        self._clock = clock

    async def begin(self, user_id: int, source: str) -> str:
        """The id of a new session; those that have ended are cleared away."""
        session_id = secrets.token_urlsafe(TOKEN_BYTES)
        table, now = self._tables.session, self._clock()
        async with self._engine.begin() as connection:
            over = (table.c.seen_at <= now - self._idle) | (table.c.created_at <= now - self._longest)
            await connection.execute(delete(table).where(over))
            values = {"user_id": user_id, "source": source[:MAX_SOURCE], "created_at": now, "seen_at": now}
            await connection.execute(insert(table).values(id_hash=digest_of(session_id), **values))
        return session_id

    async def visitor(self, session_id: str, *, used: bool = True) -> Visitor | None:
        """Who a session belongs to, None when it has ended. `used` False for what a page asks for by itself: that does
        not keep a session alive."""
        session, user, now = self._tables.session, self._tables.user, self._clock()
        query = (
            select(user, session.c.seen_at, session.c.created_at.label("begun_at"))
            .join(session, session.c.user_id == user.c.id)
            .where(session.c.id_hash == digest_of(session_id))
        )
        async with self._reading.connect() as connection:
            row = (await connection.execute(query)).first()
        if row is None or row.seen_at <= now - self._idle or row.begun_at <= now - self._longest:
            return None
        if used and now - row.seen_at >= TOUCH_EVERY:
            mine = session.c.id_hash == digest_of(session_id)
            async with self._engine.begin() as connection:
                await connection.execute(update(session).where(mine).values(seen_at=now))
        return Visitor(user_of(row), session_id)

    async def end(self, session_id: str) -> None:
        table = self._tables.session
        async with self._engine.begin() as connection:
            await connection.execute(delete(table).where(table.c.id_hash == digest_of(session_id)))

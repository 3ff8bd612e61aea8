"""Database engines, and what makes SQLite and PostgreSQL behave alike.

On both, transactions that write come one after the other and transactions that read see one state of the database, so a
repository may read, decide and write without asking which database it stands on.
"""

import asyncio
from functools import partial
from typing import Any

from sqlalchemy import URL, BigInteger, Connection, Integer, event, inspect
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from opx.store.errors import DatabaseUnusable
from opx.store.place import Place, connect

BUSY_TIMEOUT = 10_000
"""Milliseconds that a writer waits for another process's write."""
BIG_ID = BigInteger().with_variant(Integer(), "sqlite")
"""The type of an id in a table that grows for ever: 64 bits on both."""
_READING = "opx_reading"
_WRITERS = 0x6F7078
"""The advisory lock that writers of one database hold."""


def open_engine(place: Place | URL | str) -> AsyncEngine:
    """An engine for a place, or for a URL such as `sqlite+aiosqlite:////var/lib/opx/pbx.db`."""
    if isinstance(place, Place) and place.server is not None:
        return _open_postgresql(place)
    engine = create_async_engine(place.url if isinstance(place, Place) else place, hide_parameters=True)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def for_reading(engine: AsyncEngine) -> AsyncEngine:
    """The same engine for transactions that only read: they neither wait for a writer nor hold one up."""
    if is_postgresql(engine):
        return engine.execution_options(**{_READING: True}, isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return engine.execution_options(**{_READING: True})


def is_postgresql(engine: AsyncEngine) -> bool:
    return engine.dialect.name == "postgresql"


async def is_new(place: Place) -> bool:
    """Whether nothing has been made at a place yet; makes nothing. DatabaseUnusable."""
    if place.file is not None:
        return not await asyncio.to_thread(place.file.exists)
    engine = open_engine(place)
    try:
        async with for_reading(engine).connect() as connection:
            return not await connection.run_sync(lambda sync: inspect(sync).has_table("alembic_version"))
    finally:
        await engine.dispose()


def _open_postgresql(place: Place) -> AsyncEngine:
    policy = place.policy
    engine = create_async_engine(
        place.url,
        async_creator=partial(connect, place),
        pool_size=policy.pool_size,
        max_overflow=policy.pool_overflow,
        pool_timeout=policy.pool_timeout,
        pool_recycle=policy.recycle,
        # A connection that the server has closed meanwhile is noticed before it is used, and replaced.
        pool_pre_ping=True,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "begin", _begin_postgresql)
    return engine


def _begin_postgresql(connection: Connection) -> None:
    if not connection.get_execution_options().get(_READING):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")


def _prepare_sqlite(connection: Any, record: object) -> None:
    # The driver's own transactions begin at the first write only, and never around a CREATE TABLE.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT}")
    cursor.execute("PRAGMA journal_mode=WAL")
    # A commit has reached the disk when it returns, so what was acknowledged outlives a loss of power, too.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once when another process wrote in between; one that
    # takes the write lock at its beginning waits for its turn instead.
    reading = connection.get_execution_options().get(_READING)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


__all__ = ["BIG_ID", "BUSY_TIMEOUT", "DatabaseUnusable", "for_reading", "is_new", "is_postgresql", "open_engine"]

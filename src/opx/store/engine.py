"""Database engines: SQLite by default, anything SQLAlchemy knows by its URL."""

from typing import Any

from sqlalchemy import URL, Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

BUSY_TIMEOUT = 10_000
"""Milliseconds that a writer waits for another process's write."""
_READING = "opx_reading"


def open_engine(url: str | URL) -> AsyncEngine:
    """An engine for `url`, such as `sqlite+aiosqlite:////var/lib/opx/gateway.db`."""
    engine = create_async_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def for_reading(engine: AsyncEngine) -> AsyncEngine:
    """The same engine for transactions that only read: they neither wait for a writer nor hold one up."""
    return engine.execution_options(**{_READING: True})


def _prepare_sqlite(connection: Any, record: object) -> None:
    # The driver's own transactions begin at the first write only, and never around a CREATE TABLE.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once when another process wrote in between; one that
    # takes the write lock at its beginning waits for its turn instead.
    reading = connection.get_execution_options().get(_READING)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

"""Brings a program's database to the state that the program needs, at its start."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from opx.store.engine import for_reading
from opx.store.errors import DatabaseTooNew, DatabaseUnusable
from opx.store.revisions import revision_of, revisions_in


async def migrate(engine: AsyncEngine, scripts: Path) -> None:
    """Run the migrations of `scripts` that are still to be run; two starts at once do not get in each other's way.

    A migration that fails leaves the database as it was. DatabaseTooNew when the database knows a migration that is
    not in `scripts`, DatabaseUnusable.
    """
    async with _locked(engine):
        try:
            async with engine.connect() as connection:
                await connection.run_sync(_upgrade, scripts)
        except DBAPIError as error:
            raise _unusable(engine, error) from error


async def is_behind(engine: AsyncEngine, scripts: Path) -> bool:
    """Whether `migrate` would change an existing database; changes nothing. The same errors."""
    try:
        async with for_reading(engine).connect() as connection:
            return await connection.run_sync(_is_behind, scripts)
    except DBAPIError as error:
        raise _unusable(engine, error) from error


def _unusable(engine: AsyncEngine, error: DBAPIError) -> DatabaseUnusable:
    return DatabaseUnusable(f"{engine.url.database}: the database cannot be used: {reason_of(error)}")


def reason_of(error: DBAPIError) -> str:
    """What a database said, without the driver's own words around it."""
    text = str(error.orig)
    return text.partition(">: ")[2] or text if text.startswith("<class ") else text


@contextlib.asynccontextmanager
async def _locked(engine: AsyncEngine) -> AsyncIterator[None]:
    # On PostgreSQL the lock that all writers take serves.
    database = engine.url.database
    if engine.dialect.name != "sqlite" or not database or database == ":memory:":
        yield
        return
    lock = await asyncio.to_thread(_lock, Path(database))
    try:
        yield
    finally:
        os.close(lock)


def _lock(database: Path) -> int:
    """A lock beside the database, held until the descriptor is closed.

    Also sees to it that the database file, and those that SQLite puts beside it with the same mode, are for the owner
    only. An existing file is not opened for that: closing it would drop the locks that SQLite holds in this process.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(database.with_name(database.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if not database.exists():
            os.close(os.open(database, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        elif database.stat().st_mode & 0o077:
            database.chmod(0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _upgrade(connection: Connection, scripts: Path) -> None:
    with _without_cascades(connection), connection.begin():
        if _is_behind(connection, scripts):
            _run(connection, scripts, "head")
            if connection.dialect.name == "sqlite":
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
                if broken is not None:
                    raise DatabaseUnusable(f"a row of table {broken[0]} refers to one of {broken[2]} that is missing")


def migrate_to(connection: Connection, scripts: Path, revision: str) -> None:
    """Make the tables of `revision` in an empty database, within the connection's own transaction. DatabaseTooNew."""
    if revision not in ("head", *revisions_in(scripts)):
        raise DatabaseTooNew(f"this release does not know revision {revision}; a newer one wrote it")
    _run(connection, scripts, revision)


def _is_behind(connection: Connection, scripts: Path) -> bool:
    known, current = revisions_in(scripts), revision_of(connection)
    if current and current not in known:
        raise DatabaseTooNew(
            f"the database is at revision {current}, which this release does not know; a newer one wrote it"
        )
    return current != known[-1]


def _run(connection: Connection, scripts: Path, revision: str) -> None:
    # Loaded only when there is something to run: it takes longer than the rest of a start.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


@contextlib.contextmanager
def _without_cascades(connection: Connection) -> Iterator[None]:
    """SQLite changes most of a table by copying and dropping it; with foreign keys on, the drop would delete the rows
    of other tables. The pragma has an effect only outside a transaction."""
    if connection.dialect.name != "sqlite":
        yield
        return
    cursor = connection.connection.cursor()
    cursor.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

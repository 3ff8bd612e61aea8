"""Brings a program's database to the state that the program needs, at its start."""

import asyncio
import fcntl
import os
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine


class DatabaseTooNew(Exception):
    """The database was written by a newer release."""


async def migrate(engine: AsyncEngine, scripts: Path) -> None:
    """Run the migrations of `scripts` that are still to be run; two starts at once do not get in each other's way.

    DatabaseTooNew when the database knows a migration that is not in `scripts`.
    """
    database = make_url(str(engine.url)).database
    if engine.dialect.name == "sqlite" and database and database != ":memory:":
        lock = await asyncio.to_thread(_lock, Path(database))
        try:
            await _upgrade(engine, scripts)
            await asyncio.to_thread(Path(database).chmod, 0o600)
        finally:
            os.close(lock)
    else:
        await _upgrade(engine, scripts)


def _lock(database: Path) -> int:
    """A lock beside the database, held until the descriptor is closed."""
    database.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(database.with_name(database.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


async def _upgrade(engine: AsyncEngine, scripts: Path) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: _run(sync, scripts))


def _run(connection: Connection, scripts: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(scripts))
    config.attributes["connection"] = connection
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None:
        try:
            ScriptDirectory.from_config(config).get_revision(current)
        except CommandError:
            raise DatabaseTooNew(
                f"the database is at revision {current}, which this release does not know; a newer one wrote it"
            ) from None
    command.upgrade(config, "head")

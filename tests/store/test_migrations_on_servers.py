"""Bringing a database up to date is the same on a server as in a file."""

import asyncio
from pathlib import Path

import pytest

from opx.store.engine import for_reading, open_engine
from opx.store.errors import DatabaseTooNew, DatabaseUnusable
from opx.store.migrations import is_behind, migrate
from support.migration_scripts import COPYING, FAILING, FIRST, scripts_of
from support.postgres import DATABASES
from support.together import run_together

pytestmark = pytest.mark.usefixtures("each_database")


async def migrated(path: Path, scripts: Path) -> None:
    engine = open_engine(DATABASES.place(path))
    try:
        await migrate(engine, scripts)
    finally:
        await engine.dispose()


async def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    engine = open_engine(DATABASES.place(path))
    try:
        async with for_reading(engine).connect() as connection:
            return [tuple(row) for row in await connection.exec_driver_sql(query)]
    finally:
        await engine.dispose()


async def test_all_migrations_run_once_and_keep_what_refers_to_a_changed_table(tmp_path: Path) -> None:
    path, scripts = tmp_path / "some.db", tmp_path / "scripts"
    await migrated(path, scripts_of(scripts, FIRST))
    await migrated(path, scripts_of(scripts, FIRST, COPYING))
    await migrated(path, scripts)

    assert await rows(path, "SELECT version_num FROM alembic_version") == [("0002",)]
    assert await rows(path, "SELECT id, parent_id FROM child") == [(1, 1)]
    assert await rows(path, "SELECT id, name FROM parent") == [(1, None)]


async def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    path, scripts = tmp_path / "some.db", tmp_path / "scripts"
    await migrated(path, scripts_of(scripts, FIRST))

    with pytest.raises(DatabaseUnusable, match="nowhere"):
        await migrated(path, scripts_of(scripts, FIRST, FAILING))

    assert await rows(path, "SELECT version_num FROM alembic_version") == [("0001",)]
    with pytest.raises(Exception, match="half"):
        await rows(path, "SELECT * FROM half")


async def test_a_database_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    await migrated(path, scripts_of(tmp_path / "newer", FIRST, COPYING))

    with pytest.raises(DatabaseTooNew, match="revision 0002, which this release does not know"):
        await migrated(path, scripts_of(tmp_path / "older", FIRST))


async def test_whether_it_is_behind_can_be_asked(tmp_path: Path) -> None:
    path, scripts = tmp_path / "some.db", scripts_of(tmp_path / "scripts", FIRST)
    engine = open_engine(DATABASES.place(path))
    try:
        await migrate(engine, scripts)
        assert not await is_behind(engine, scripts)
        scripts_of(scripts, FIRST, COPYING)
        assert await is_behind(engine, scripts)
    finally:
        await engine.dispose()


def test_starts_at_once_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    path, scripts = tmp_path / "some.db", scripts_of(tmp_path / "scripts", FIRST, COPYING)
    DATABASES.place(path)

    answers = run_together(
        4,
        "import asyncio\n"
        "from pathlib import Path\n"
        "from opx.store.engine import open_engine\n"
        "from opx.store.migrations import migrate\n"
        "from support.postgres import DATABASES\n"
        "engine = open_engine(DATABASES.place(Path(sys.argv[1])))",
        "asyncio.run(migrate(engine, Path(sys.argv[2]))); print('ready')",
        str(path),
        str(scripts),
    )

    assert answers == ["ready"] * 4
    assert asyncio.run(rows(path, "SELECT count(*) FROM parent")) == [(1,)]

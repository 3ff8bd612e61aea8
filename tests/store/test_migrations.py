"""Databases are brought up to date at the start, and only forward."""

import asyncio
import fcntl
import sqlite3
import stat
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from opx.store.engine import for_reading, open_engine
from opx.store.errors import DatabaseTooNew, DatabaseUnusable
from opx.store.migrations import is_behind, migrate
from opx.store.place import Place
from support.migration_scripts import COPYING, FAILING, FIRST, ORPHANING, scripts_of
from support.together import run_together


def engine_of(path: Path) -> AsyncEngine:
    return open_engine(Place(file=path))


async def migrated(path: Path, scripts: Path) -> None:
    engine = engine_of(path)
    try:
        await migrate(engine, scripts)
    finally:
        await engine.dispose()


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as connection:
        return connection.execute(query).fetchall()


async def test_an_empty_database_gets_all_migrations_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    path, scripts = tmp_path / "var" / "some.db", scripts_of(tmp_path / "scripts", FIRST, COPYING)

    await migrated(path, scripts)
    before = rows(path, "SELECT name, sql FROM sqlite_master")
    await migrated(path, scripts)

    assert rows(path, "SELECT version_num FROM alembic_version") == [("0002",)]
    assert rows(path, "SELECT name, sql FROM sqlite_master") == before


async def test_a_migration_that_copies_a_table_does_not_delete_what_refers_to_it(tmp_path: Path) -> None:
    path, scripts = tmp_path / "some.db", tmp_path / "scripts"
    await migrated(path, scripts_of(scripts, FIRST))

    await migrated(path, scripts_of(scripts, FIRST, COPYING))

    assert rows(path, "SELECT id, parent_id FROM child") == [(1, 1)]


async def test_foreign_keys_are_on_again_after_a_migration(tmp_path: Path) -> None:
    engine = engine_of(tmp_path / "some.db")
    try:
        await migrate(engine, scripts_of(tmp_path / "scripts", FIRST))
        with pytest.raises(IntegrityError):
            async with engine.begin() as connection:
                await connection.exec_driver_sql("INSERT INTO child VALUES (2, 7)")
    finally:
        await engine.dispose()


async def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    path, scripts = tmp_path / "some.db", tmp_path / "scripts"
    await migrated(path, scripts_of(scripts, FIRST))
    before = rows(path, "SELECT name, sql FROM sqlite_master")

    with pytest.raises(DatabaseUnusable, match="nowhere"):
        await migrated(path, scripts_of(scripts, FIRST, FAILING))

    assert rows(path, "SELECT name, sql FROM sqlite_master") == before
    assert rows(path, "SELECT version_num FROM alembic_version") == [("0001",)]


async def test_a_migration_that_would_leave_orphans_is_undone(tmp_path: Path) -> None:
    path, scripts = tmp_path / "some.db", tmp_path / "scripts"
    await migrated(path, scripts_of(scripts, FIRST))

    with pytest.raises(DatabaseUnusable, match="table child refers to one of parent"):
        await migrated(path, scripts_of(scripts, FIRST, ORPHANING))

    assert rows(path, "SELECT id FROM parent") == [(1,)]


async def test_a_database_of_a_newer_release_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    await migrated(path, scripts_of(tmp_path / "newer", FIRST, COPYING))
    before = path.read_bytes()

    with pytest.raises(DatabaseTooNew, match="revision 0002, which this release does not know; a newer one wrote it"):
        await migrated(path, scripts_of(tmp_path / "older", FIRST))

    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    path.write_text("this is no database\n" * 100)

    with pytest.raises(DatabaseUnusable, match=r"some\.db: the database cannot be used: file is not a database"):
        await migrated(path, scripts_of(tmp_path / "scripts", FIRST))


async def test_whether_a_database_is_behind_can_be_asked_without_changing_it(tmp_path: Path) -> None:
    path, scripts = tmp_path / "some.db", tmp_path / "scripts"
    await migrated(path, scripts_of(scripts, FIRST))
    engine = engine_of(path)
    try:
        assert not await is_behind(engine, scripts)
        scripts_of(scripts, FIRST, COPYING)
        assert await is_behind(engine, scripts)
    finally:
        await engine.dispose()
    assert rows(path, "SELECT version_num FROM alembic_version") == [("0001",)]


async def test_paths_may_hold_characters_that_urls_and_templates_treat_as_special(tmp_path: Path) -> None:
    path, scripts = tmp_path / "50%(here)s?#.db", tmp_path / "100% scripts"

    await migrated(path, scripts_of(scripts, FIRST))

    assert rows(path, "SELECT id FROM parent") == [(1,)]


async def test_no_file_of_a_database_can_be_read_by_others(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    engine = engine_of(folder / "some.db")
    try:
        await migrate(engine, scripts_of(tmp_path / "scripts", FIRST))
        modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in folder.iterdir()}
    finally:
        await engine.dispose()

    assert set(modes) >= {"some.db", "some.db-wal"}
    assert set(modes.values()) == {0o600}


async def test_a_database_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    path.touch(0o644)

    await migrated(path, scripts_of(tmp_path / "scripts", FIRST))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_starts_at_once_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    path, scripts = tmp_path / "some.db", scripts_of(tmp_path / "scripts", FIRST, COPYING)

    answers = run_together(
        4,
        "import asyncio\n"
        "from pathlib import Path\n"
        "from sqlalchemy import URL\n"
        "from opx.store.engine import open_engine\n"
        "from opx.store.migrations import migrate\n"
        "engine = open_engine(URL.create('sqlite+aiosqlite', database=sys.argv[1]))",
        "asyncio.run(migrate(engine, Path(sys.argv[2]))); print('ready')",
        str(path),
        str(scripts),
    )

    assert answers == ["ready"] * 4
    assert rows(path, "SELECT count(*) FROM parent") == [(1,)]


async def test_a_start_waits_for_another_one_before_it_makes_or_touches_the_database(tmp_path: Path) -> None:
    path, scripts = tmp_path / "some.db", scripts_of(tmp_path / "scripts", FIRST)
    with (tmp_path / "some.db.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        start = asyncio.create_task(migrated(path, scripts))
        done, _ = await asyncio.wait({start}, timeout=0.2)
        assert not done
        assert not path.exists()
    await start

    assert rows(path, "SELECT id FROM parent") == [(1,)]


async def test_a_writer_waits_for_its_turn_instead_of_failing_half_way(tmp_path: Path) -> None:
    engine = engine_of(tmp_path / "some.db")
    try:
        await migrate(engine, scripts_of(tmp_path / "scripts", FIRST))
        reading, hold = asyncio.Event(), asyncio.Event()

        async def write() -> None:
            async with engine.begin() as connection:
                highest = (await connection.exec_driver_sql("SELECT max(id) FROM parent")).scalar_one()
                reading.set()
                await hold.wait()
                await connection.exec_driver_sql("INSERT INTO parent VALUES (?)", (highest + 1,))

        writers = [asyncio.create_task(write()) for _ in range(2)]
        await reading.wait()
        async with for_reading(engine).connect() as reader:
            assert (await reader.exec_driver_sql("SELECT max(id) FROM parent")).scalar_one() == 1
        hold.set()
        await asyncio.gather(*writers)
        async with for_reading(engine).connect() as reader:
            assert (await reader.exec_driver_sql("SELECT max(id) FROM parent")).scalar_one() == 3
    finally:
        await engine.dispose()


async def test_a_database_in_a_place_that_cannot_be_written_is_an_error_for_its_owner(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match="file"):
        await migrated(tmp_path / "file" / "some.db", scripts_of(tmp_path / "scripts", FIRST))

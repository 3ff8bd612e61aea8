"""What a repository may count on, whichever database it stands on."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table, func, insert, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from opx.store.engine import for_reading, is_new, open_engine
from opx.store.place import Place
from support.postgres import DATABASES, PostgresServer, needs_postgres

pytestmark = pytest.mark.usefixtures("each_database")

METADATA = MetaData()
COUNTER = Table("counter", METADATA, Column("id", Integer, primary_key=True), Column("value", Integer))
THING = Table(
    "thing", METADATA, Column("id", Integer, primary_key=True), Column("data", LargeBinary), Column("name", String)
)


async def opened(folder: Path) -> AsyncEngine:
    engine = open_engine(DATABASES.place(folder / "some.db"))
    async with engine.begin() as connection:
        await connection.run_sync(METADATA.create_all)
        await connection.execute(insert(COUNTER), [{"id": 1, "value": 0}])
    return engine


async def test_writers_that_read_first_never_lose_each_others_work(tmp_path: Path) -> None:
    engine = await opened(tmp_path)

    async def count() -> None:
        async with engine.begin() as connection:
            value = (await connection.execute(select(COUNTER.c.value))).scalar_one()
            await asyncio.sleep(0)
            await connection.execute(update(COUNTER).values(value=value + 1))

    await asyncio.gather(*(count() for _ in range(20)))

    async with for_reading(engine).connect() as connection:
        assert (await connection.execute(select(COUNTER.c.value))).scalar_one() == 20
    await engine.dispose()


async def test_a_reader_sees_one_state_and_waits_for_no_writer(tmp_path: Path) -> None:
    engine = await opened(tmp_path)
    reading = for_reading(engine)
    async with reading.connect() as reader:
        before = (await reader.execute(select(COUNTER.c.value))).scalar_one()
        async with engine.begin() as writer:
            await writer.execute(update(COUNTER).values(value=7))
            async with reading.connect() as other:
                assert (await other.execute(select(COUNTER.c.value))).scalar_one() == 0
        assert (await reader.execute(select(COUNTER.c.value))).scalar_one() == before == 0
    async with reading.connect() as reader:
        assert (await reader.execute(select(COUNTER.c.value))).scalar_one() == 7
    await engine.dispose()


async def test_bytes_and_text_come_back_as_they_were(tmp_path: Path) -> None:
    engine = await opened(tmp_path)
    data, name = bytes(range(256)), "Grüße \N{TELEPHONE RECEIVER}"
    async with engine.begin() as connection:
        await connection.execute(insert(THING), [{"data": data, "name": name}])
        await connection.execute(insert(THING), [{"data": b"", "name": ""}])
    async with for_reading(engine).connect() as connection:
        rows = [tuple(row) for row in await connection.execute(select(THING).order_by(THING.c.id))]
    await engine.dispose()

    assert rows == [(1, data, name), (2, b"", "")]


async def test_whether_a_database_is_new_is_told_without_making_it(tmp_path: Path, each_database: str) -> None:
    place = DATABASES.place(tmp_path / "new.db")

    assert await is_new(place)
    assert await is_new(place)
    assert not (tmp_path / "new.db").exists()


async def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    engine = await opened(tmp_path)
    with pytest.raises(DBAPIError):
        async with engine.begin() as connection:
            await connection.execute(insert(THING), [{"id": 1, "data": b"x", "name": "x"}])
            await connection.execute(insert(THING), [{"id": 1, "data": b"y", "name": "y"}])
    async with for_reading(engine).connect() as connection:
        assert (await connection.execute(select(func.count()).select_from(THING))).scalar_one() == 0
    await engine.dispose()


async def test_what_a_value_was_is_not_in_an_error(tmp_path: Path) -> None:
    engine = await opened(tmp_path)
    async with engine.begin() as connection:
        await connection.execute(insert(THING), [{"id": 1, "data": b"x", "name": "x"}])
    with pytest.raises(DBAPIError) as failed:
        async with engine.begin() as connection:
            await connection.execute(insert(THING), [{"id": 1, "data": b"Some-9secret", "name": "Some-9secret"}])
    await engine.dispose()

    assert "secret" not in str(failed.value)


@needs_postgres()
async def test_connections_that_the_server_closed_are_replaced_unseen(postgres: PostgresServer) -> None:
    place = postgres.database("reconnecting")
    engine = open_engine(place)
    kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'reconnecting'"
    for _ in range(3):
        async with engine.begin() as connection:
            assert (await connection.exec_driver_sql("SELECT 1")).scalar_one() == 1
        assert postgres.query(kill) != "0"
    await engine.dispose()


@needs_postgres()
async def test_a_writer_that_waits_too_long_gives_up(postgres: PostgresServer) -> None:
    from dataclasses import replace

    place = postgres.database("waiting")
    hasty: Place = replace(place, policy=replace(place.policy, lock_timeout=0.05))
    holder, waiter = open_engine(place), open_engine(hasty)
    async with holder.begin() as connection:
        await connection.exec_driver_sql("SELECT 1")
        with pytest.raises(DBAPIError, match="lock timeout"):
            async with waiter.begin():
                raise AssertionError("there are two writers")
    async with waiter.begin() as connection:
        await connection.exec_driver_sql("SELECT 1")
    await holder.dispose()
    await waiter.dispose()

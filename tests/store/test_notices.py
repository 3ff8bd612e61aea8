"""Writers on one PostgreSQL server tell each other's processes of changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from opx.store.engine import open_engine
from opx.store.errors import DatabaseUnusable
from opx.store.notices import BACKOFF_MIN, AnnouncingSession, ChangeFeed
from opx.store.place import Place, PostgresAddress
from support.postgres import PostgresServer, needs_postgres, running_server
from support.programs import PATIENCE

pytestmark = needs_postgres()


class Base(DeclarativeBase):
    pass


class Thing(Base):
    __tablename__ = "thing"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Hears:
    """Counts what it hears; `until` waits for it."""

    def __init__(self) -> None:
        self.count = 0
        self.failure: Exception | None = None
        self._heard = asyncio.Event()

    async def on_change(self) -> None:
        self.count += 1
        self._heard.set()
        if self.failure is not None:
            raise self.failure

    async def once(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._heard.wait()
        self._heard.clear()


def sessions_of(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    return async_sessionmaker(engine, expire_on_commit=False, sync_session_class=AnnouncingSession)


@asynccontextmanager
async def writing(place: Place) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    engine = open_engine(place)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    try:
        yield sessions_of(engine)
    finally:
        await engine.dispose()


@asynccontextmanager
async def hearing(place: Place) -> AsyncIterator[Hears]:
    hears = Hears()
    feed = ChangeFeed(place, hears.on_change)
    await feed.start()
    try:
        yield hears
    finally:
        await feed.stop()


async def test_every_listener_hears_of_a_change_once_it_is_committed(postgres: PostgresServer) -> None:
    place = postgres.database("announcing")
    async with writing(place) as sessions, hearing(place) as one, hearing(place) as other:
        async with sessions.begin() as session:
            session.add(Thing(id=1, name="a"))
            await session.flush()
            # The listeners' own connections answer in the order of what happened.
            assert (one.count, other.count) == (0, 0)
        await asyncio.gather(one.once(), other.once())

        async with sessions.begin() as session:
            (await session.get_one(Thing, 1)).name = "b"
        await asyncio.gather(one.once(), other.once())
        async with sessions.begin() as session:
            await session.execute(insert(Thing).values(id=2, name="c"))
        await asyncio.gather(one.once(), other.once())
        async with sessions.begin() as session:
            await session.delete(await session.get_one(Thing, 2))
        await asyncio.gather(one.once(), other.once())

        assert (one.count, other.count) == (4, 4)


async def test_nothing_is_announced_of_what_was_only_read_or_undone(postgres: PostgresServer) -> None:
    place = postgres.database("silent")
    async with writing(place) as sessions, hearing(place) as hears:
        async with sessions.begin() as session:
            await session.execute(text("SELECT 1"))
            assert await session.get(Thing, 1) is None
        with pytest.raises(ZeroDivisionError):
            async with sessions.begin() as session:
                session.add(Thing(id=1, name="a"))
                await session.flush()
                raise ZeroDivisionError
        async with sessions.begin() as session:
            session.add(Thing(id=3, name="last"))
        await hears.once()

        assert hears.count == 1


async def test_a_change_that_cannot_be_taken_over_does_not_end_the_listening(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    place = postgres.database("failing")
    async with writing(place) as sessions, hearing(place) as hears:
        hears.failure = ValueError("no such column")
        async with sessions.begin() as session:
            session.add(Thing(id=1, name="a"))
        await hears.once()
        hears.failure = None
        async with sessions.begin() as session:
            session.add(Thing(id=2, name="b"))
        await hears.once()
    assert "could not be taken over" in caplog.text


async def test_after_the_server_was_away_what_may_have_been_missed_is_looked_at() -> None:
    with running_server(settings={}) as server:
        place = server.database("restarted")
        sleeps: list[float] = []
        back = asyncio.Event()

        async def sleep(seconds: float) -> None:
            sleeps.append(seconds)
            if len(sleeps) == 3:
                await back.wait()

        hears = Hears()
        feed = ChangeFeed(place, hears.on_change, sleep=sleep)
        async with writing(place) as sessions:
            await feed.start()
            await asyncio.to_thread(server.kill)
            async with asyncio.timeout(PATIENCE):
                while len(sleeps) < 3:
                    await asyncio.sleep(0.01)
            assert hears.count == 0
            await asyncio.to_thread(server.start)
            back.set()
            await hears.once()

            async with sessions.begin() as session:
                session.add(Thing(id=1, name="a"))
            await hears.once()
            await feed.stop()
        assert sleeps == [BACKOFF_MIN, 2 * BACKOFF_MIN, 4 * BACKOFF_MIN]


async def test_a_server_that_is_not_there_is_said_at_the_start() -> None:
    feed = ChangeFeed(Place(server=PostgresAddress("d", "/nowhere")), Hears().on_change)
    with pytest.raises(DatabaseUnusable, match="cannot be reached"):
        await feed.start()
    await feed.stop()

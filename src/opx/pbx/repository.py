"""The node's extensions as they are kept."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from opx.pbx.models import Extension
from opx.store.migrations import migrate
from opx.store.secrets import Sealer

MIGRATIONS = Path(__file__).parent / "migrations"
PASSWORD_BYTES = 15


@dataclass(frozen=True, slots=True)
class ExtensionRecord:
    """`number` is its user name for registering, too."""

    number: str
    name: str
    type: str
    password: str = field(repr=False)

    @property
    def hot_desk(self) -> bool:
        return self.type == "SIP hot desk"


class ExtensionRepository:
    def __init__(self, engine: AsyncEngine, sealer: Sealer) -> None:
        self._engine = engine
        self._sealer = sealer
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    async def open(self) -> None:
        await migrate(self._engine, MIGRATIONS)

    async def close(self) -> None:
        await self._engine.dispose()

    async def all(self) -> list[ExtensionRecord]:
        async with self._sessions() as session:
            return [self._record(row) for row in await session.scalars(select(Extension).order_by(Extension.number))]

    async def ensure(self, number: str, name: str, type_: str, password: str = "") -> ExtensionRecord:
        """The extension, made with a random password when it is new and none is given."""
        async with self._sessions.begin() as session:
            row = await session.get(Extension, number)
            if row is None:
                row = Extension(number=number)
                session.add(row)
                password = password or secrets.token_urlsafe(PASSWORD_BYTES)
            row.name = name
            row.type = type_
            if password:
                row.password = self._sealer.seal(password, f"extension:{number}")
            return self._record(row)

    async def remove(self, number: str) -> bool:
        async with self._sessions.begin() as session:
            row = await session.get(Extension, number)
            if row is not None:
                await session.delete(row)
            return row is not None

    def _record(self, row: Extension) -> ExtensionRecord:
        return ExtensionRecord(
            row.number, row.name, row.type, self._sealer.open(row.password, f"extension:{row.number}")
        )

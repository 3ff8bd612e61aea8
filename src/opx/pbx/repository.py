"""The node's extensions and their features as they are kept."""

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker

from opx.pbx.features.states import FeatureState
from opx.pbx.models import Extension, Features
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

    async def features(self) -> dict[str, FeatureState]:
        """The kept states by number."""
        names = [entry.name for entry in fields(FeatureState)]
        async with self._sessions() as session:
            rows = await session.scalars(select(Features))
            return {row.number: FeatureState(**{name: getattr(row, name) for name in names}) for row in rows}

    async def save_features(self, states: Mapping[str, FeatureState]) -> None:
        """Keep states; those of extensions that are gone meanwhile are left out."""
        async with self._sessions.begin() as session:
            for number, state in states.items():
                if await session.get(Extension, number) is not None:
                    await session.merge(Features(number=number, **asdict(state)))

    def _record(self, row: Extension) -> ExtensionRecord:
        return ExtensionRecord(
            row.number, row.name, row.type, self._sealer.open(row.password, f"extension:{row.number}")
        )

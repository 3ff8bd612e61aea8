"""Reading and writing profiles. Whoever writes publishes `topics.PROFILES` afterwards."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm.exc import StaleDataError

from opx.store.engine import for_reading
from opx.store.notices import AnnouncingSession
from opx.suite.handsets.keys import Key
from opx.suite.handsets.models import Phone
from opx.suite.handsets.parameters import Parameter
from opx.suite.profiles.models import Profile, ProfileKey, ProfileParameter, ProfileUse
from opx.suite.profiles.records import ProfileKind, ProfileRecord, ProfileSpec, Scope, Use
from opx.suite.sites.records import Conflict, Missing, SiteError


class ProfileRepository:
    """All profiles and whom they are for. `version` arguments: what the writer has seen; None writes in any case."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._sessions = async_sessionmaker(engine, expire_on_commit=False, sync_session_class=AnnouncingSession)
        self._reading = async_sessionmaker(for_reading(engine), expire_on_commit=False)

    async def profiles(self, kind: ProfileKind | None = None) -> list[ProfileRecord]:
        """In the order of their names."""
        query = select(Profile).order_by(Profile.kind, Profile.name)
        async with self._reading() as session:
            rows = await session.scalars(query if kind is None else query.where(Profile.kind == kind.value))
            return [await _record(session, row) for row in rows]

    async def profile(self, profile_id: int) -> ProfileRecord:
        """Missing."""
        async with self._reading() as session:
            return await _record(session, await _row(session, profile_id))

    async def save(self, spec: ProfileSpec, profile_id: int | None = None, version: int | None = None) -> ProfileRecord:
        """Add a profile, or change the one with an id. SiteError, Conflict among them."""
        spec.check()
        async with self._writing() as session:
            row = Profile() if profile_id is None else await _row(session, profile_id, version)
            same = select(Profile).where(Profile.kind == spec.kind.value, Profile.name == spec.name)
            with session.no_autoflush:
                other = await session.scalar(same)
            if other is not None and other is not row:
                raise SiteError(f"there is a profile {spec.name} already", "name")
            row.kind, row.name, row.description = spec.kind.value, spec.name, spec.description
            row.compress, row.hot_desking = spec.compress, spec.hot_desking
            if profile_id is not None:
                # The content stands in rows of its own; the version has to change with them.
                row.version = row.version + 1
            session.add(row)
            await session.flush()
            await _put_content(session, row.id, spec)
            return await _record(session, row)

    async def copy(self, profile_id: int, name: str) -> ProfileRecord:
        """A new profile with the same content. SiteError."""
        spec = (await self.profile(profile_id)).spec
        return await self.save(
            ProfileSpec(spec.kind, name, spec.description, spec.keys, spec.compress, spec.parameters, spec.hot_desking)
        )

    async def delete(self, profile_id: int, version: int | None = None) -> None:
        """Whoever had it has none of its kind at that level any more. Missing, Conflict."""
        async with self._writing() as session:
            row = await _row(session, profile_id, version)
            column = Phone.keymap_profile_id if row.kind == ProfileKind.KEYMAP else Phone.configuration_profile_id
            await session.execute(update(Phone).where(column == profile_id).values({column: None}))
            for table in (ProfileUse, ProfileKey, ProfileParameter):
                await session.execute(delete(table).where(table.profile_id == profile_id))
            await session.delete(row)

    async def uses(self) -> list[Use]:
        async with self._reading() as session:
            rows = await session.scalars(select(ProfileUse))
            return [Use(ProfileKind(row.kind), Scope(row.scope), row.target, row.profile_id) for row in rows]

    async def handsets(self, kind: ProfileKind) -> dict[int, int]:
        """How many single handsets have each profile of a kind."""
        column = Phone.keymap_profile_id if kind is ProfileKind.KEYMAP else Phone.configuration_profile_id
        query = select(column, func.count()).where(column.is_not(None)).group_by(column)
        async with self._reading() as session:
            return {row[0]: row[1] for row in await session.execute(query) if row[0] is not None}

    async def use(self, kind: ProfileKind, scope: Scope, target: str, profile_id: int | None) -> None:
        """Give a profile to the default, to a model, or to an extension; None takes it away. Missing, SiteError."""
        if (scope is Scope.DEFAULT) != (target == "") or len(target) > 16:
            raise SiteError("expected a model or an extension", "target")
        async with self._writing() as session:
            if profile_id is not None and (await _row(session, profile_id)).kind != kind.value:
                raise SiteError("that is a profile of the other kind")
            row = await session.get(ProfileUse, (kind.value, scope.value, target))
            if profile_id is None:
                if row is not None:
                    await session.delete(row)
            elif row is not None:
                row.profile_id = profile_id
            else:
                session.add(ProfileUse(kind=kind.value, scope=scope.value, target=target, profile_id=profile_id))

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncSession]:
        try:
            async with self._sessions.begin() as session:
                yield session
        except StaleDataError:
            raise Conflict("somebody else has changed it meanwhile") from None
        except IntegrityError:
            raise SiteError("another profile has this name already", "name") from None


async def _row(session: AsyncSession, profile_id: int, version: int | None = None) -> Profile:
    row = await session.get(Profile, profile_id)
    if row is None:
        raise Missing("there is no such profile")
    if version is not None and version != row.version:
        raise Conflict(f"{row.name} was changed by somebody else meanwhile")
    return row


async def _put_content(session: AsyncSession, profile_id: int, spec: ProfileSpec) -> None:
    for table in (ProfileKey, ProfileParameter):
        await session.execute(delete(table).where(table.profile_id == profile_id))
    for key in spec.keys:
        row = ProfileKey(profile_id=profile_id, location=key.location, number=key.number, type=key.type)
        row.value, row.label, row.line = key.value, key.label, key.line
        row.states, row.free = " ".join(key.states), key.free
        session.add(row)
    for parameter in spec.parameters:
        session.add(ProfileParameter(profile_id=profile_id, name=parameter.key, value=str(parameter.value)))
    await session.flush()


async def _record(session: AsyncSession, row: Profile) -> ProfileRecord:
    keys = await session.scalars(
        select(ProfileKey).where(ProfileKey.profile_id == row.id).order_by(ProfileKey.location, ProfileKey.number)
    )
    parameters = await session.scalars(
        select(ProfileParameter).where(ProfileParameter.profile_id == row.id).order_by(ProfileParameter.name)
    )
    return ProfileRecord(
        row.id,
        ProfileKind(row.kind),
        row.name,
        row.description or "",
        tuple(_key(key) for key in keys),
        row.compress,
        tuple(Parameter(parameter.name, parameter.value) for parameter in parameters),
        row.hot_desking,
        row.version,
    )


def _key(row: ProfileKey) -> Key:
    return Key(
        row.location,  # type: ignore[arg-type]
        row.number,
        row.type,  # type: ignore[arg-type]
        row.value,
        row.label,
        row.line,
        tuple(row.states.split()),
        row.free,
    )

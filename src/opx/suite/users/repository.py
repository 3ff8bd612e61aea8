"""Reading and writing end users."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm.exc import StaleDataError

from opx.store.engine import for_reading
from opx.store.notices import AnnouncingSession
from opx.suite.sites.models import SipExtension
from opx.suite.sites.records import Conflict, Missing, SiteError
from opx.suite.users.models import SiteUser, SiteUserExtension
from opx.suite.users.records import Owned, Role, UserRecord, UserSpec

IDS_AT_ONCE = 500
"""Ids in one statement."""


class UserRepository:
    """End users by id; names are unique whatever their case. Whatever writes raises SiteError."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._sessions = async_sessionmaker(engine, expire_on_commit=False, sync_session_class=AnnouncingSession)
        self._reading = async_sessionmaker(for_reading(engine), expire_on_commit=False)

    async def users(
        self,
        text: str = "",
        order: str = "name",
        *,
        descending: bool = False,
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[list[UserRecord], int]:
        """A page of those with `text` in a name, business unit or extension number, and how many there are."""
        matching = select(SiteUser).where(*_conditions(text))
        columns = [getattr(SiteUser, order if order != "name" else "folded"), SiteUser.folded]
        page = matching.order_by(*(column.desc() if descending else column.asc() for column in columns))
        async with self._reading() as session:
            total = await session.scalar(select(func.count()).select_from(matching.subquery()))
            rows = list(await session.scalars(page.limit(limit).offset(offset)))
            owned = await _owned(session, [row.id for row in rows])
            return [_record(row, owned[row.id]) for row in rows], total or 0

    async def user(self, user_id: int) -> UserRecord:
        """Missing."""
        async with self._reading() as session:
            row = await _row(session, user_id)
            return _record(row, (await _owned(session, [user_id]))[user_id])

    async def for_sign_in(self, name: str) -> tuple[UserRecord | None, str]:
        """A user by name and the password's hash; the hash is "" when there is no such user or no password."""
        async with self._reading() as session:
            row = await session.scalar(select(SiteUser).where(SiteUser.folded == name.casefold()))
            if row is None:
                return None, ""
            return _record(row, (await _owned(session, [row.id]))[row.id]), row.password_hash

    async def owner_of(self, extension_id: int) -> UserRecord | None:
        """Whose extension that is."""
        async with self._reading() as session:
            found = await session.get(SiteUserExtension, extension_id)
            if found is None:
                return None
            row = await _row(session, found.user_id)
            return _record(row, (await _owned(session, [row.id]))[row.id])

    async def save(self, spec: UserSpec, user_id: int | None = None, version: int | None = None) -> UserRecord:
        """Add a user, or change the one with an id. SiteError, Conflict among them."""
        spec.check()
        async with self._writing() as session:
            row = SiteUser() if user_id is None else await _row(session, user_id)
            if user_id is not None and version is not None and version != row.version:
                raise Conflict(f"{row.name} was changed by somebody else meanwhile")
            await _write(session, row, spec)
            return _record(row, (await _owned(session, [row.id]))[row.id])

    async def save_all(self, specs: Sequence[UserSpec]) -> tuple[int, int]:
        """Add users, or change those who are there by name: all of them or none. How many were added and changed.

        An extension may go from one of them to another.
        """
        async with self._writing() as session:
            rows = {row.folded: row for row in await session.scalars(select(SiteUser))}
            there = [rows[folded] for spec in specs if (folded := spec.name.casefold()) in rows]
            for step in range(0, len(there), IDS_AT_ONCE):
                part = [row.id for row in there[step : step + IDS_AT_ONCE]]
                await session.execute(delete(SiteUserExtension).where(SiteUserExtension.user_id.in_(part)))
            for spec in specs:
                spec.check()
                await _write(session, rows.get(spec.name.casefold()) or SiteUser(), spec)
        return len(specs) - len(there), len(there)

    async def business_units(self) -> list[str]:
        """Those that there are, in order."""
        units = select(SiteUser.business_unit).where(SiteUser.business_unit != "").distinct()
        async with self._reading() as session:
            return list(await session.scalars(units.order_by(SiteUser.business_unit)))

    async def remove(self, user_id: int) -> UserRecord:
        """Missing."""
        async with self._writing() as session:
            row = await _row(session, user_id)
            record = _record(row, (await _owned(session, [user_id]))[user_id])
            await session.delete(row)
            return record

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncSession]:
        try:
            async with self._sessions.begin() as session:
                yield session
        except StaleDataError:
            raise Conflict("somebody else has changed it meanwhile") from None
        except IntegrityError:
            raise SiteError("somebody else has taken the name or an extension meanwhile") from None


async def _row(session: AsyncSession, user_id: int) -> SiteUser:
    row = await session.get(SiteUser, user_id)
    if row is None:
        raise Missing("there is no such user")
    return row


async def _write(session: AsyncSession, row: SiteUser, spec: UserSpec) -> None:
    """SiteError."""
    with session.no_autoflush:
        same = await session.scalar(select(SiteUser).where(SiteUser.folded == spec.name.casefold()))
    if same is not None and same is not row:
        raise SiteError(f"there is a user {same.name} already", "name")
    row.name, row.folded, row.role = spec.name, spec.name.casefold(), spec.role.value
    row.full_name, row.business_unit, row.client_profile = spec.full_name, spec.business_unit, spec.client_profile
    if spec.password_hash is not None:
        row.password_hash = spec.password_hash
    session.add(row)
    await session.flush()
    await _give(session, row, spec.extensions)
    await session.flush()


async def _give(session: AsyncSession, user: SiteUser, extensions: Sequence[int]) -> None:
    """SiteError when one is another user's, or there is none."""
    query = (
        select(SipExtension.id, SipExtension.number, SiteUserExtension.user_id, SiteUser.name)
        .outerjoin(SiteUserExtension, SiteUserExtension.extension_id == SipExtension.id)
        .outerjoin(SiteUser, SiteUser.id == SiteUserExtension.user_id)
        .where(SipExtension.id.in_(extensions))
    )
    found = {key: (number, owner, name) for key, number, owner, name in await session.execute(query)}
    for position, extension in enumerate(extensions):
        field = "extensions" if position else "primary"
        if extension not in found:
            raise SiteError("there is no such SIP extension", field)
        number, owner, name = found[extension]
        if owner not in (None, user.id):
            raise SiteError(f"extension {number} is {name}'s; it can belong to one user at a time", field)
    await session.execute(delete(SiteUserExtension).where(SiteUserExtension.user_id == user.id))
    for position, extension in enumerate(extensions):
        session.add(SiteUserExtension(extension_id=extension, user_id=user.id, position=position))


async def _owned(session: AsyncSession, user_ids: Sequence[int]) -> defaultdict[int, list[Owned]]:
    found: defaultdict[int, list[Owned]] = defaultdict(list)
    for step in range(0, len(user_ids), IDS_AT_ONCE):
        query = (
            select(SiteUserExtension.user_id, SipExtension.id, SipExtension.pbx_id, SipExtension.number)
            .join(SipExtension, SipExtension.id == SiteUserExtension.extension_id)
            .where(SiteUserExtension.user_id.in_(user_ids[step : step + IDS_AT_ONCE]))
            .order_by(SiteUserExtension.position)
        )
        for user_id, key, pbx_id, number in await session.execute(query):
            found[user_id].append(Owned(key, pbx_id, number))
    return found


def _conditions(text: str) -> list[ColumnElement[bool]]:
    if not text:
        return []
    numbers = (
        select(SiteUserExtension.user_id)
        .join(SipExtension, SipExtension.id == SiteUserExtension.extension_id)
        .where(SipExtension.number.icontains(text, autoescape=True))
    )
    columns = (SiteUser.name, SiteUser.full_name, SiteUser.business_unit, SiteUser.client_profile)
    return [or_(*(column.icontains(text, autoescape=True) for column in columns), SiteUser.id.in_(numbers))]


def _record(row: SiteUser, owned: Sequence[Owned]) -> UserRecord:
    return UserRecord(
        row.id,
        row.name,
        Role(row.role),
        row.full_name,
        row.business_unit,
        row.client_profile,
        bool(row.password_hash),
        tuple(owned),
        row.version,
    )

"""Keeps the port forwarding rules. Whoever changes one names the version that they saw."""

import ipaddress
from collections.abc import Sequence

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from opx.gateway.forwarding.checking import Site, check
from opx.gateway.forwarding.models import ForwardRow
from opx.gateway.forwarding.rules import Forward, ForwardError, ForwardSpec, Ports, Protocol, parse_sources
from opx.gateway.models import Setting
from opx.store.engine import for_reading

MAX_RULES = 500
"""Rules of one gateway; the guide needs seven."""
_REVISION = "forwards"
"""Key of the row that every writer changes first, so that of two that look for overlaps at once one waits."""


class UnknownForward(ForwardError):
    """There is no such rule."""


class StaleForward(ForwardError):
    """Somebody else has changed the rule since; the text says so to whoever comes second."""


class ForwardRepository:
    """Rules on the gateway's database, which must be up to date. `site` is what new rules are checked against."""

    def __init__(self, engine: AsyncEngine, site: Site) -> None:
        self._site = site
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)
        self._reading = async_sessionmaker(for_reading(engine), expire_on_commit=False)

    @property
    def site(self) -> Site:
        return self._site

    async def all(self) -> list[Forward]:
        """In the order in which they were made."""
        async with self._reading() as session:
            return await _load(session)

    async def get(self, number: int) -> Forward:
        """UnknownForward."""
        async with self._reading() as session:
            row = await session.get(ForwardRow, number)
            if row is None:
                raise _unknown(number)
            return _forward(row)

    async def add(self, *specs: ForwardSpec) -> list[Forward]:
        """All or none. ForwardError with the first reason."""
        async with self._sessions.begin() as session:
            await _take_turn(session)
            known = await _load(session)
            rows = []
            for spec in specs:
                check(spec, self._site, known)
                if len(known) == MAX_RULES:
                    raise ForwardError(f"there are {MAX_RULES} rules already, which is all there may be")
                row = ForwardRow(version=1, **_values(spec))
                session.add(row)
                await session.flush()
                rows.append(row)
                known.append(_forward(row))
            return [_forward(row) for row in rows]

    async def change(self, number: int, version: int, spec: ForwardSpec) -> Forward:
        """UnknownForward, StaleForward when `version` is not the one it has now, ForwardError."""
        async with self._sessions.begin() as session:
            await _take_turn(session)
            check(spec, self._site, await _load(session), number)
            changed = await session.execute(
                update(ForwardRow)
                .where(ForwardRow.id == number, ForwardRow.version == version)
                .values(version=version + 1, **_values(spec))
                .returning(ForwardRow.id)
            )
            if changed.scalar() is None:
                raise await _why_not(session, number)
            return Forward(number, version + 1, spec)

    async def remove(self, number: int, version: int) -> None:
        """UnknownForward, StaleForward."""
        async with self._sessions.begin() as session:
            removed = await session.execute(
                delete(ForwardRow)
                .where(ForwardRow.id == number, ForwardRow.version == version)
                .returning(ForwardRow.id)
            )
            if removed.scalar() is None:
                raise await _why_not(session, number)


async def _take_turn(session: AsyncSession) -> None:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = insert(Setting).values(key=_REVISION, value="1")
    await session.execute(row.on_conflict_do_update(index_elements=[Setting.key], set_={"value": Setting.value}))


async def _load(session: AsyncSession) -> list[Forward]:
    rows: Sequence[ForwardRow] = (await session.scalars(select(ForwardRow).order_by(ForwardRow.id))).all()
    return [_forward(row) for row in rows]


async def _why_not(session: AsyncSession, number: int) -> ForwardError:
    row = await session.get(ForwardRow, number)
    if row is None:
        return _unknown(number)
    return StaleForward(f"rule {number} was changed meanwhile, it is at version {row.version}; look at it again")


def _unknown(number: int) -> UnknownForward:
    return UnknownForward(f"there is no port forwarding rule {number}")


def _values(spec: ForwardSpec) -> dict[str, object]:
    ports, sources = str(spec.ports), spec.sources_text
    if len(ports) > 1024:
        raise ForwardError("the list of ports is too long; expected ranges where ports follow one another", "ports")
    return {
        "enabled": spec.enabled,
        "protocol": spec.protocol.value,
        "ports": ports,
        "host": str(spec.host),
        "host_port": spec.host_port,
        "snat": spec.snat,
        "sources": sources,
        "description": spec.description,
        "forced": spec.forced,
    }


def _forward(row: ForwardRow) -> Forward:
    spec = ForwardSpec(
        protocol=Protocol(row.protocol),
        ports=Ports.parse(row.ports),
        host=ipaddress.IPv4Address(row.host),
        host_port=row.host_port,
        snat=row.snat,
        sources=parse_sources(row.sources),
        description=row.description,
        enabled=row.enabled,
        forced=row.forced,
    )
    return Forward(row.id, row.version, spec)

"""Keeps the port forwarding rules. Whoever changes one names the version that they saw."""

import ipaddress
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from opx.gateway.forwarding.checking import Site, check
from opx.gateway.forwarding.models import ForwardRow
from opx.gateway.forwarding.rules import Forward, ForwardError, ForwardSpec, Ports, Protocol, parse_sources
from opx.gateway.models import Setting
from opx.gateway.records import Conflict, Missing
from opx.store.engine import for_reading
from opx.store.notices import AnnouncingSession

MAX_RULES = 500
"""Rules of one gateway; the guide needs seven."""
_REVISION = "forwards"
"""Key of the row that every writer changes first: of two that look for overlaps at once one waits for the other."""


class ForwardRepository:
    """Rules on the gateway's database, which must be up to date. `site` is what new rules are checked against."""

    def __init__(self, engine: AsyncEngine, site: Site) -> None:
        self._site = site
        self._sessions = async_sessionmaker(engine, expire_on_commit=False, sync_session_class=AnnouncingSession)
        self._reading = async_sessionmaker(for_reading(engine), expire_on_commit=False)

    @property
    def site(self) -> Site:
        return self._site

    async def all(self) -> list[Forward]:
        """In the order in which they were made."""
        async with self._reading() as session:
            return await _load(session)

    async def get(self, number: int) -> Forward:
        """Missing."""
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
                    raise ForwardError(f"there are {MAX_RULES} rules already, and that is all there may be")
                row = ForwardRow(version=1, **_values(spec))
                session.add(row)
                await session.flush()
                rows.append(row)
                known.append(_forward(row))
            return [_forward(row) for row in rows]

    async def change(self, number: int, spec: ForwardSpec, version: int | None = None) -> Forward:
        """`version` is what the writer has seen; without it the last one wins. Missing, Conflict, ForwardError."""
        async with self._sessions.begin() as session:
            await _take_turn(session)
            row = await _find(session, number, version)
            check(spec, self._site, await _load(session), number)
            for name, value in _values(spec).items():
                setattr(row, name, value)
            row.version += 1
            return Forward(number, row.version, spec)

    async def remove(self, number: int, version: int | None = None) -> None:
        """Missing, Conflict."""
        async with self._sessions.begin() as session:
            await _take_turn(session)
            await session.delete(await _find(session, number, version))


async def _take_turn(session: AsyncSession) -> None:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = insert(Setting).values(key=_REVISION, value="1")
    await session.execute(row.on_conflict_do_update(index_elements=[Setting.key], set_={"value": Setting.value}))


async def _load(session: AsyncSession) -> list[Forward]:
    rows: Sequence[ForwardRow] = (await session.scalars(select(ForwardRow).order_by(ForwardRow.id))).all()
    return [_forward(row) for row in rows]


async def _find(session: AsyncSession, number: int, version: int | None) -> ForwardRow:
    row = await session.get(ForwardRow, number)
    if row is None:
        raise _unknown(number)
    if version is not None and row.version != version:
        raise Conflict(f"rule {number} was changed by somebody else; look at it again", row.version)
    return row


def _unknown(number: int) -> Missing:
    return Missing(f"there is no port forwarding rule {number}")


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

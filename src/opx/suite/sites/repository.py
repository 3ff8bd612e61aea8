"""Reading and writing the site settings. Passwords are opened here, and sealed; nobody else touches the rows."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, case, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm.exc import StaleDataError

from opx.store.engine import for_reading
from opx.store.notices import AnnouncingSession
from opx.store.secrets import Sealer
from opx.suite.sites import extensions
from opx.suite.sites.gateway import GatewayRows
from opx.suite.sites.models import ClientLocation, Node, Pbx, SipExtension
from opx.suite.sites.records import (
    Authorization,
    Conflict,
    Credentials,
    ExtensionRecord,
    ExtensionSpec,
    Locations,
    Missing,
    NodeRecord,
    NodeSpec,
    PbxRecord,
    PbxSpec,
    ReadExtension,
    SiteError,
    TickResult,
)

TICKED_AT_ONCE = 100
"""Extensions changed in one transaction; on SQLite everybody else's writes wait for it."""
PLACES = ("local", "remote")

Row = TypeVar("Row", Pbx, Node, SipExtension)
Named = TypeVar("Named", Pbx, Node)


@dataclass(frozen=True, slots=True)
class ExtensionQuery:
    """Which extensions are looked for; what is left out does not matter. `text` stands in the number or the name."""

    pbx_id: int | None = None
    text: str = ""
    teleworker: bool | None = None
    hot_desk: bool | None = None
    present: bool | None = None
    ids: Collection[int] | Select[int] | None = None
    obstructed: bool = False
    """Those alone that cannot be used through the gateway; see `ExtensionRecord.obstacle`."""
    by_name: bool = False
    """In the order of names instead of numbers."""
    descending: bool = False

    def order(self) -> list[ColumnElement[Any]]:
        by_number = [func.length(SipExtension.number), SipExtension.number, SipExtension.id]
        columns = [func.lower(SipExtension.name), *by_number] if self.by_name else by_number
        return [column.desc() if self.descending else column.asc() for column in columns]

    def conditions(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.text:
            columns = (SipExtension.number, SipExtension.name, SipExtension.remote_name)
            found.append(or_(*(column.icontains(self.text, autoescape=True) for column in columns)))
        for column, wanted in (
            (SipExtension.pbx_id, self.pbx_id),
            (SipExtension.remote, self.teleworker),
            (SipExtension.hot_desk, self.hot_desk),
            (SipExtension.present, self.present),
        ):
            if wanted is not None:
                found.append(column == wanted)
        if self.ids is not None:
            found.append(SipExtension.id.in_(self.ids))
        if self.obstructed:
            unknown = SipExtension.internal_password_sealed.is_(None)
            found.append(or_(unknown, SipExtension.internal_name != SipExtension.number))
        return found


class SiteRepository:
    """All of the site settings. `version` arguments: what the writer has seen; None writes in any case."""

    def __init__(self, engine: AsyncEngine, sealer: Sealer) -> None:
        self.engine = engine
        self.sealer = sealer
        self._sessions = async_sessionmaker(engine, expire_on_commit=False, sync_session_class=AnnouncingSession)
        self._reading = async_sessionmaker(for_reading(engine), expire_on_commit=False)
        self.gateway = GatewayRows(self._writing, self._reading, sealer)

    # --- PBXs and nodes

    async def pbxs(self) -> list[PbxRecord]:
        async with self._reading() as session:
            return [_pbx(row) for row in await session.scalars(select(Pbx).order_by(Pbx.name))]

    async def pbx(self, pbx_id: int) -> PbxRecord:
        """Missing."""
        async with self._reading() as session:
            return _pbx(await _row(session, Pbx, pbx_id, "PBX"))

    async def pbx_token(self, pbx_id: int) -> str:
        """What the PBX's management API is asked with; "" when there is none. Missing."""
        async with self._reading() as session:
            row = await _row(session, Pbx, pbx_id, "PBX")
            return self.sealer.open(row.token_sealed, f"pbx:{pbx_id}") if row.token_sealed is not None else ""

    async def save_pbx(self, spec: PbxSpec, pbx_id: int | None = None, version: int | None = None) -> PbxRecord:
        """Add a PBX, or change the one with an id. SiteError, Conflict among them."""
        spec.check()
        async with self._writing() as session:
            row = Pbx() if pbx_id is None else await _row(session, Pbx, pbx_id, "PBX")
            _check_version(spec.name, row.version, version if pbx_id is not None else None)
            await _only(session, select(Pbx).where(Pbx.name == spec.name), row, f"there is a PBX {spec.name}", "name")
            row.name, row.connector, row.url = spec.name, spec.connector, spec.url
            row.fingerprint, row.ct_gateway = spec.fingerprint, spec.ct_gateway
            session.add(row)
            await session.flush()
            if spec.token is not None:
                row.token_sealed = self.sealer.seal(spec.token, f"pbx:{row.id}") if spec.token else None
            await session.flush()
            return _pbx(row)

    async def delete_pbx(self, pbx_id: int, version: int | None = None) -> None:
        """With its nodes and extensions. SiteError when the gateway still has devices of it, Conflict."""
        async with self._writing() as session:
            row = await _row(session, Pbx, pbx_id, "PBX")
            _check_version(row.name, row.version, version)
            ticked = select(func.count()).where(SipExtension.pbx_id == pbx_id, SipExtension.remote)
            if number := await session.scalar(ticked):
                raise SiteError(f"{number} of its extensions use remote authorization credentials; untick them first")
            await session.delete(row)

    async def nodes(self, pbx_id: int | None = None) -> list[NodeRecord]:
        query = select(Node).order_by(Node.pbx_id, Node.name)
        async with self._reading() as session:
            rows = await session.scalars(query if pbx_id is None else query.where(Node.pbx_id == pbx_id))
            return [_node(row) for row in rows]

    async def node(self, node_id: int) -> NodeRecord:
        """Missing."""
        async with self._reading() as session:
            return _node(await _row(session, Node, node_id, "node"))

    async def save_node(self, spec: NodeSpec, node_id: int | None = None, version: int | None = None) -> NodeRecord:
        """Add a node, or change the one with an id. SiteError, Conflict among them."""
        spec.check()
        async with self._writing() as session:
            await _row(session, Pbx, spec.pbx_id, "PBX")
            row = Node() if node_id is None else await _row(session, Node, node_id, "node")
            _check_version(spec.name, row.version, version if node_id is not None else None)
            same = select(Node).where(Node.address == spec.address)
            await _only(session, same, row, f"there is a node at {spec.address}", "address")
            row.pbx_id, row.name, row.address, row.sip_port = spec.pbx_id, spec.name, spec.address, spec.sip_port
            row.nat_address, row.nat_sip_port, row.software = spec.nat_address, spec.nat_sip_port, spec.software
            session.add(row)
            await session.flush()
            return _node(row)

    async def delete_node(self, node_id: int, version: int | None = None) -> None:
        """SiteError when extensions that the gateway has are at it, Conflict."""
        async with self._writing() as session:
            row = await _row(session, Node, node_id, "node")
            _check_version(row.name, row.version, version)
            ticked = select(func.count()).where(SipExtension.node_id == node_id, SipExtension.remote)
            if number := await session.scalar(ticked):
                raise SiteError(f"{number} of its extensions use remote authorization credentials; untick them first")
            await session.delete(row)

    # --- SIP extensions

    async def extensions(
        self, query: ExtensionQuery | None = None, limit: int | None = None, offset: int = 0
    ) -> tuple[list[ExtensionRecord], int]:
        """A page of those that match in the order asked for, and how many match altogether."""
        query = query or ExtensionQuery()
        matching = select(SipExtension).where(*query.conditions())
        page = matching.order_by(*query.order())
        async with self._reading() as session:
            total = await session.scalar(select(func.count()).select_from(matching.subquery()))
            rows = await session.scalars(page.limit(limit).offset(offset))
            return [extensions.record(row, self.sealer) for row in rows], total or 0

    async def extension_ids(self, query: ExtensionQuery) -> list[int]:
        """Of all that match, in the order asked for."""
        async with self._reading() as session:
            matching = select(SipExtension.id).where(*query.conditions()).order_by(*query.order())
            return list(await session.scalars(matching))

    async def extension_counts(self) -> dict[int, tuple[int, int]]:
        """By PBX: how many extensions it has, and how many of them are teleworkers'."""
        ticked = func.sum(case((SipExtension.remote, 1), else_=0))
        counts = select(SipExtension.pbx_id, func.count(), ticked).group_by(SipExtension.pbx_id)
        async with self._reading() as session:
            return {pbx_id: (number, remote or 0) for pbx_id, number, remote in await session.execute(counts)}

    async def extension(self, extension_id: int) -> ExtensionRecord:
        """Missing."""
        async with self._reading() as session:
            row = await _row(session, SipExtension, extension_id, "SIP extension")
            return extensions.record(row, self.sealer)

    async def add_extension(self, spec: ExtensionSpec, internal: Credentials | None = None) -> ExtensionRecord:
        """One that is typed by hand, with what the PBX asks its phone for. SiteError."""
        spec.check()
        async with self._writing() as session:
            await _row(session, Pbx, spec.pbx_id, "PBX")
            same = select(SipExtension).where(SipExtension.pbx_id == spec.pbx_id, SipExtension.number == spec.number)
            if await session.scalar(same) is not None:
                raise SiteError(f"there is an extension {spec.number} already", "number")
            row = SipExtension(pbx_id=spec.pbx_id, number=spec.number, present=True, remote=False, revision=1)
            await extensions.describe(session, row, spec)
            session.add(row)
            await session.flush()
            if internal is not None:
                wish = Authorization(False, internal_name=internal.name, internal_password=internal.password)
                wish.check()
                extensions.authorize(row, wish, self.sealer)
                await session.flush()
            return extensions.record(row, self.sealer)

    async def describe_extension(self, extension_id: int, spec: ExtensionSpec, version: int | None = None) -> None:
        """Change an extension's name, kind and node; its number stays. SiteError, Conflict."""
        spec.check()
        async with self._writing() as session:
            row = await _row(session, SipExtension, extension_id, "SIP extension")
            _check_version(row.number, row.version, version)
            await extensions.describe(session, row, spec)

    async def delete_extension(self, extension_id: int, version: int | None = None) -> None:
        """SiteError when the gateway is to have it, Conflict."""
        async with self._writing() as session:
            row = await _row(session, SipExtension, extension_id, "SIP extension")
            _check_version(row.number, row.version, version)
            if row.remote:
                raise SiteError("it uses remote authorization credentials; untick that first")
            await session.delete(row)

    async def authorize(
        self, extension_id: int, wish: Authorization, version: int | None = None
    ) -> tuple[ExtensionRecord, bool]:
        """Save an extension's SIP Authorization form; also says whether anything changed.

        SiteError with the reason when it is to be a teleworker's and cannot, Conflict.
        """
        wish.check()
        async with self._writing() as session:
            row = await _row(session, SipExtension, extension_id, "SIP extension")
            _check_version(row.number, row.version, version)
            changed = extensions.authorize(row, wish, self.sealer)
            await session.flush()
            return extensions.record(row, self.sealer), changed

    async def tick(self, ids: Sequence[int], teleworker: bool) -> list[TickResult]:
        """Tick or untick "Use remote authorization credentials" of many, each for itself, in several transactions."""
        results = []
        for step in range(0, len(ids), TICKED_AT_ONCE):
            async with self._writing() as session:
                part = ids[step : step + TICKED_AT_ONCE]
                found = await session.scalars(select(SipExtension).where(SipExtension.id.in_(part)))
                rows = {row.id: row for row in found}
                for extension_id in part:
                    refused = "it is gone"
                    if extension_id in rows:
                        refused = extensions.tick(rows[extension_id], teleworker, self.sealer)
                    results.append(TickResult(extension_id, refused))
        return results

    async def take_over(self, pbx_id: int, read: Sequence[ReadExtension], at: float) -> int:
        """Make the PBX's extensions those that were `read` from it `at` seconds since 1970; how many differed.

        Those that the PBX has no more are kept while the gateway or a phone may still have them, not `present`.
        """
        async with self._writing() as session:
            row = await _row(session, Pbx, pbx_id, "PBX")
            changed = await extensions.take_over(session, row, read, self.sealer)
            row.read_at, row.read_error = at, ""
            return changed

    async def note_read_failure(self, pbx_id: int, text: str) -> None:
        """Why a PBX could not be read. Missing."""
        async with self._writing() as session:
            (await _row(session, Pbx, pbx_id, "PBX")).read_error = text[:512]

    # --- client locations

    async def locations(self) -> Locations:
        async with self._reading() as session:
            found = {row.place: row.host for row in await session.scalars(select(ClientLocation))}
            return Locations(*(found.get(place, "") for place in PLACES))

    async def save_locations(self, locations: Locations) -> bool:
        """Whether anything changed. SiteError."""
        locations.check()
        changed = False
        async with self._writing() as session:
            for place, host in zip(PLACES, (locations.local, locations.remote), strict=True):
                row = await session.get(ClientLocation, place)
                if row is None:
                    session.add(ClientLocation(place=place, host=host))
                    changed = changed or bool(host)
                elif row.host != host:
                    row.host, changed = host, True
        return changed

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncSession]:
        try:
            async with self._sessions.begin() as session:
                yield session
        except StaleDataError:
            raise Conflict("somebody else has changed it meanwhile") from None
        except IntegrityError:
            raise SiteError("another one has the same name, address or number already") from None


async def _row(session: AsyncSession, model: type[Row], key: int, what: str) -> Row:
    row = await session.get(model, key)
    if row is None:
        raise Missing(f"there is no such {what}")
    return row


async def _only(session: AsyncSession, query: Select[Any], row: Named, text: str, field: str) -> None:
    with session.no_autoflush:
        other = await session.scalar(query)
    if other is not None and other is not row:
        raise SiteError(f"{text} already", field)


def _check_version(what: str, stored: int, seen: int | None) -> None:
    if seen is not None and seen != stored:
        raise Conflict(f"{what} was changed by somebody else meanwhile")


def _pbx(row: Pbx) -> PbxRecord:
    return PbxRecord(
        row.id,
        row.name,
        row.connector,
        row.url,
        row.fingerprint,
        row.token_sealed is not None,
        row.ct_gateway,
        row.read_at,
        row.read_error,
        row.version,
    )


def _node(row: Node) -> NodeRecord:
    return NodeRecord(
        row.id,
        row.pbx_id,
        row.name,
        row.address,
        row.sip_port,
        row.nat_address,
        row.nat_sip_port,
        row.software,
        row.version,
    )

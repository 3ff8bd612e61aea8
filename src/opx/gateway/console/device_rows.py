"""Lists of devices and of what happened to them, as pages show them: asked page by page, with no secret read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Subquery, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from opx.gateway.journal import TimelineRow
from opx.gateway.models import Binding, Device, Icp, TimelineEntry
from opx.store.engine import for_reading
from opx.web.listing import Listing, ListQuery

SORTS = ("set_username", "description", "icp", "icp_username", "address", "user_agent", "registered_at")
STATES = ("in-service", "out-of-service", "disabled")
KINDS = ("registration", "refusal", "call", "icp", "subscription", "message")


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device with its newest binding as it was stored; `address` and what follows it are empty without one."""

    id: int
    enabled: bool
    description: str
    set_username: str
    icp_username: str
    icp_id: int
    icp: str
    address: str
    transport: str
    user_agent: str
    registered_at: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """An entry of a timeline with the device that it is about, "" and 0 when it is none that is known."""

    at: float
    text: str
    device_id: int
    device: str


class DeviceRows:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = for_reading(engine)

    async def page(self, query: ListQuery, now: float) -> Listing[DeviceRow]:
        """Filters: `icp` (an id) and `state`; the search looks into names, description, address and phone model."""
        bound = _newest_bindings(now)
        at_icp = func.coalesce(func.nullif(Device.icp_username, ""), Device.set_username)
        columns: dict[str, Any] = {
            "set_username": Device.set_username,
            "description": Device.description,
            "icp": Icp.name,
            "icp_username": at_icp,
            "address": bound.c.remote_host,
            "user_agent": bound.c.user_agent,
            "registered_at": bound.c.registered_at,
        }
        conditions = _conditions(query, at_icp, bound.c)
        joined = select(Device.id).join(Icp, Icp.id == Device.icp_id).outerjoin(bound, bound.c.device_id == Device.id)
        rows = joined.with_only_columns(
            Device.id,
            Device.enabled,
            Device.description,
            Device.set_username,
            at_icp,
            Device.icp_id,
            Icp.name,
            bound.c.remote_host,
            bound.c.remote_port,
            bound.c.transport,
            bound.c.user_agent,
            bound.c.registered_at,
        ).where(*conditions)
        column = columns[query.sort]
        order = column.desc().nulls_last() if query.descending else column.asc().nulls_last()
        rows = rows.order_by(order, Device.set_username).limit(query.size).offset(query.offset)
        async with self._engine.connect() as connection:
            total = await connection.scalar(select(func.count()).select_from(joined.where(*conditions).subquery()))
            found = [_row(values) for values in await connection.execute(rows)]
        return Listing(query, found, total or 0)

    async def by_icp(self) -> Mapping[int, int]:
        """How many devices each ICP has."""
        counted = select(Device.icp_id, func.count()).group_by(Device.icp_id)
        async with self._engine.connect() as connection:
            return {row[0]: row[1] for row in await connection.execute(counted)}

    async def count(self, now: float) -> tuple[int, int, int]:
        """Devices: all, enabled, and with a binding that was stored and has not run out."""
        bound = _newest_bindings(now)
        async with self._engine.connect() as connection:
            everything = await connection.scalar(select(func.count()).select_from(Device))
            enabled = await connection.scalar(select(func.count()).select_from(Device).where(Device.enabled))
            registered = await connection.scalar(select(func.count()).select_from(bound))
        return everything or 0, enabled or 0, registered or 0

    async def names_at(self, icp_id: int, limit: int) -> list[tuple[int, str]]:
        """Some of an ICP's devices: id and set-side user name."""
        some = select(Device.id, Device.set_username).where(Device.icp_id == icp_id)
        async with self._engine.connect() as connection:
            rows = await connection.execute(some.order_by(Device.set_username).limit(limit))
            return [(device_id, name) for device_id, name in rows]

    async def timeline(self, device_id: int, query: ListQuery) -> Listing[TimelineRow]:
        """What happened to a device; filter: `kind`."""
        matching = select(TimelineEntry).where(TimelineEntry.device_id == device_id)
        if query.search:
            matching = matching.where(TimelineEntry.text.icontains(query.search, autoescape=True))
        if kind := query.filter("kind"):
            matching = matching.where(TimelineEntry.kind == kind)
        newest = matching.with_only_columns(
            TimelineEntry.device_id, TimelineEntry.at, TimelineEntry.kind, TimelineEntry.text
        ).order_by(TimelineEntry.at.desc(), TimelineEntry.id.desc())
        async with self._engine.connect() as connection:
            total = await connection.scalar(select(func.count()).select_from(matching.subquery()))
            rows = await connection.execute(newest.limit(query.size).offset(query.offset))
            return Listing(query, [TimelineRow(*row) for row in rows], total or 0)

    async def refusals(self, limit: int) -> list[Refusal]:
        """The newest refusals of all devices, and of those that nobody knows."""
        newest = (
            select(TimelineEntry.at, TimelineEntry.text, Device.id, Device.set_username)
            .outerjoin(Device, Device.id == TimelineEntry.device_id)
            .where(TimelineEntry.kind == "refusal")
            .order_by(TimelineEntry.id.desc())
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [Refusal(at, text, id_ or 0, name or "") for at, text, id_, name in await connection.execute(newest)]


def _newest_bindings(now: float) -> Subquery:
    """One binding a device: of those that have not run out, the one that was made last."""
    newest = (
        select(Binding.device_id, func.max(Binding.registered_at).label("at"))
        .where(Binding.expires_at > now)
        .group_by(Binding.device_id)
        .subquery()
    )
    return (
        select(
            Binding.device_id,
            func.max(Binding.remote_host).label("remote_host"),
            func.max(Binding.remote_port).label("remote_port"),
            func.max(Binding.transport).label("transport"),
            func.max(Binding.user_agent).label("user_agent"),
            Binding.registered_at,
        )
        .join(newest, and_(newest.c.device_id == Binding.device_id, newest.c.at == Binding.registered_at))
        .group_by(Binding.device_id, Binding.registered_at)
        .subquery()
    )


def _conditions(query: ListQuery, at_icp: ColumnElement[str], bound: Any) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if query.search:
        columns = (Device.set_username, at_icp, Device.description, bound.remote_host, bound.user_agent)
        found.append(or_(*(column.icontains(query.search, autoescape=True) for column in columns)))
    if icp := query.filter("icp"):
        found.append(Device.icp_id == int(icp))
    match query.filter("state"):
        case "in-service":
            found += [Device.enabled.is_(True), bound.device_id.is_not(None)]
        case "out-of-service":
            found += [Device.enabled.is_(True), bound.device_id.is_(None)]
        case "disabled":
            found.append(Device.enabled.is_(False))
    return found


def _row(values: Any) -> DeviceRow:
    id_, enabled, description, name, at_icp, icp_id, icp, host, port, transport, user_agent, at = values
    address = f"{host}:{port}" if host else ""
    return DeviceRow(
        id_, enabled, description, name, at_icp, icp_id, icp, address, transport or "", user_agent or "", at or 0.0
    )

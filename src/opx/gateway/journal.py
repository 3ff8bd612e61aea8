"""What signalling writes behind: bindings and timelines. A few statements for a batch, however many rows it has."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import ColumnElement, bindparam, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from opx.gateway.models import Binding, Device, IcpBinding, TimelineEntry

MAX_DEVICE_ENTRIES = 1000
"""Timeline entries kept per device; older ones go."""
MAX_USER_AGENT = 255
MAX_TIMELINE_TEXT = 512
_CHUNK = 500
"""Keys in one statement; databases bound the number of parameters."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BindingRow:
    """Times in seconds since 1970."""

    device_id: int
    contact: str
    instance: str
    transport: str
    remote_host: str
    remote_port: int
    call_id: str
    cseq: int
    user_agent: str
    registered_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class IcpBindingRow:
    device_id: int
    call_id: str
    cseq: int
    expires_at: float


@dataclass(frozen=True, slots=True)
class TimelineRow:
    device_id: int | None
    at: float
    kind: str
    text: str


async def write(
    connection: AsyncConnection,
    bindings: Sequence[BindingRow],
    gone: Sequence[tuple[int, str]],
    icp_bindings: Sequence[IcpBindingRow],
    icp_gone: Sequence[int],
    timeline: Sequence[TimelineRow],
) -> None:
    """Everything in the connection's transaction. Rows of devices that were removed meanwhile are passed over."""
    wanted = {row.device_id for rows in (bindings, icp_bindings, timeline) for row in rows}
    known: set[int | None] = {None}
    for chunk in _chunks(wanted - {None}):
        known.update(await connection.scalars(select(Device.id).where(Device.id.in_(chunk))))
    # Deleted and inserted instead of merged: the same two statements on every database, without a query per row.
    contacts = {(device_id, storable(contact)) for device_id, contact in gone}
    kept = {(row.device_id, storable(row.contact)): _columns(row) for row in bindings if row.device_id in known}
    contacts.update((row.device_id, storable(row.contact)) for row in bindings)
    if contacts:
        await connection.execute(
            delete(Binding).where(Binding.device_id == bindparam("device"), Binding.contact == bindparam("uri")),
            [{"device": device_id, "uri": contact} for device_id, contact in contacts],
        )
    if kept:
        await connection.execute(insert(Binding), list(kept.values()))
    devices = {*icp_gone, *(row.device_id for row in icp_bindings)}
    if devices:
        await connection.execute(
            delete(IcpBinding).where(IcpBinding.device_id == bindparam("device")),
            [{"device": device_id} for device_id in devices],
        )
    icp_kept = {row.device_id: _columns(row) for row in icp_bindings if row.device_id in known}
    if icp_kept:
        await connection.execute(insert(IcpBinding), list(icp_kept.values()))
    entries = [_columns(row) for row in timeline if row.device_id in known]
    if entries:
        await connection.execute(insert(TimelineEntry), entries)
        await _trim(connection, {row.device_id for row in timeline if row.device_id in known})


async def load_bindings(connection: AsyncConnection) -> list[BindingRow]:
    columns = [getattr(Binding, name) for name in BindingRow.__slots__]
    return [BindingRow(*row) for row in await connection.execute(select(*columns))]


async def load_icp_bindings(connection: AsyncConnection) -> list[IcpBindingRow]:
    columns = [getattr(IcpBinding, name) for name in IcpBindingRow.__slots__]
    return [IcpBindingRow(*row) for row in await connection.execute(select(*columns))]


async def load_timeline(connection: AsyncConnection, device_id: int | None, limit: int) -> list[TimelineRow]:
    """The newest entries, newest first; with `device_id` None those of the gateway as a whole."""
    columns = [getattr(TimelineEntry, name) for name in TimelineRow.__slots__]
    query = select(*columns).where(TimelineEntry.device_id == device_id)
    newest = query.order_by(TimelineEntry.at.desc(), TimelineEntry.id.desc()).limit(limit)
    return [TimelineRow(*row) for row in await connection.execute(newest)]


def storable(text: str) -> str:
    """Text from a message as a database takes it: bytes that are no UTF-8 and NUL are written as escapes."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def _columns(row: BindingRow | IcpBindingRow | TimelineRow) -> dict[str, object]:
    values = {name: getattr(row, name) for name in row.__slots__}
    for name, value in values.items():
        if isinstance(value, str):
            values[name] = storable(value)
    if isinstance(row, BindingRow):
        values["user_agent"] = values["user_agent"][:MAX_USER_AGENT]
    elif isinstance(row, TimelineRow):
        values["text"] = values["text"][:MAX_TIMELINE_TEXT]
    return values


async def _trim(connection: AsyncConnection, devices: set[int | None]) -> None:
    owners: list[ColumnElement[bool]] = [TimelineEntry.device_id.in_(chunk) for chunk in _chunks(devices - {None})]
    if None in devices:
        owners.append(TimelineEntry.device_id.is_(None))
    for owner in owners:
        count = func.count()
        query = select(TimelineEntry.device_id, count).where(owner).group_by(TimelineEntry.device_id)
        for device_id, entries in await connection.execute(query.having(count > MAX_DEVICE_ENTRIES)):
            oldest = (
                select(TimelineEntry.id)
                .where(TimelineEntry.device_id == device_id)
                .order_by(TimelineEntry.at, TimelineEntry.id)
                .limit(entries - MAX_DEVICE_ENTRIES)
            )
            await connection.execute(delete(TimelineEntry).where(TimelineEntry.id.in_(oldest.scalar_subquery())))


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    rest = list(items)
    for start in range(0, len(rest), _CHUNK):
        yield rest[start : start + _CHUNK]

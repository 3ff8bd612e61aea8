"""What signalling writes behind: bindings and timelines. A few statements for a batch, however many rows it has."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import ColumnElement, Delete, Insert, bindparam, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from opx.gateway.models import Binding, Device, IcpBinding, TimelineEntry

MAX_DEVICE_ENTRIES = 1000
"""Timeline entries kept per device; older ones go."""
TRIM_EVERY = 50
"""Entries of a device after which its older ones are looked for again: counting them costs more than writing one."""
MAX_USER_AGENT = 255
MAX_CONTACT = 512
MAX_INSTANCE = 255
MAX_CALL_ID = 255
"""What phones send that is longer does not fit into a key or a column: such a binding is not kept, and after a restart
its phone has to register anew."""
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
    untrimmed: Counter[int | None],
) -> None:
    """Everything in the connection's transaction. Rows of devices that were removed meanwhile are passed over.

    `untrimmed` is for this function to note how many entries each device has had since it was last trimmed.
    """
    wanted = {row.device_id for rows in (bindings, icp_bindings, timeline) for row in rows}
    known = await _known(connection, wanted - {None})
    # Deleted and inserted instead of merged: the same two statements on every database, without a query per row.
    contacts = {(device_id, storable(contact)) for device_id, contact in gone}
    kept = {
        (row.device_id, storable(row.contact)): _values(row)
        for row in bindings
        if row.device_id in known and _fits(row)
    }
    contacts.update((row.device_id, storable(row.contact)) for row in bindings)
    await _many(connection, _DROP_BINDING, ("device_id", "contact"), contacts)
    await _many(connection, insert(Binding), BindingRow.__slots__, kept.values())
    devices = {*icp_gone, *(row.device_id for row in icp_bindings)}
    await _many(connection, _DROP_ICP_BINDING, ("device_id",), [(device_id,) for device_id in devices])
    icp_kept = {row.device_id: _values(row) for row in icp_bindings if row.device_id in known}
    await _many(connection, insert(IcpBinding), IcpBindingRow.__slots__, icp_kept.values())
    entries = [row for row in timeline if row.device_id in known]
    await _many(connection, insert(TimelineEntry), TimelineRow.__slots__, map(_values, entries))
    fresh = Counter(row.device_id for row in entries)
    due = {device for device in fresh if device not in untrimmed or untrimmed[device] + fresh[device] >= TRIM_EVERY}
    untrimmed.update(fresh)
    if due:
        await _trim(connection, due)
        for device in due:
            untrimmed[device] = 0


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


_DROP_BINDING = delete(Binding).where(
    Binding.device_id == bindparam("device_id"), Binding.contact == bindparam("contact")
)
_DROP_ICP_BINDING = delete(IcpBinding).where(IcpBinding.device_id == bindparam("device_id"))


async def _many(
    connection: AsyncConnection, statement: Insert | Delete, names: Sequence[str], rows: Iterable[tuple[object, ...]]
) -> None:
    """A statement for each row, whose values are in the order of `names`.

    Given to the driver as it takes it: what SQLAlchemy does for each row costs more than the database's part.
    """
    values: list[tuple[object, ...]] = list(rows)
    if not values:
        return
    compiled = statement.compile(dialect=connection.dialect, column_keys=list(names), for_executemany=True)
    if compiled.positional:
        order = [names.index(name) for name in compiled.positiontup or ()]
        if order != list(range(len(names))):
            values = [tuple(row[index] for index in order) for row in values]
        await connection.exec_driver_sql(str(compiled), values)
    else:
        await connection.exec_driver_sql(str(compiled), [dict(zip(names, row, strict=True)) for row in values])


async def _known(connection: AsyncConnection, wanted: set[int | None]) -> set[int | None]:
    """Which devices there are of those in question, and None; perhaps others beside."""
    query = select(Device.id)
    if len(wanted) <= _CHUNK:
        query = query.where(Device.id.in_(wanted))
    return {None, *(await connection.scalars(query)).all()}


def _fits(row: BindingRow) -> bool:
    return (
        len(storable(row.contact)) <= MAX_CONTACT
        and len(storable(row.instance)) <= MAX_INSTANCE
        and len(storable(row.call_id)) <= MAX_CALL_ID
    )


def _values(row: BindingRow | IcpBindingRow | TimelineRow) -> tuple[object, ...]:
    if isinstance(row, BindingRow):
        return (
            row.device_id,
            storable(row.contact),
            storable(row.instance),
            row.transport,
            row.remote_host,
            row.remote_port,
            storable(row.call_id),
            row.cseq,
            storable(row.user_agent)[:MAX_USER_AGENT],
            row.registered_at,
            row.expires_at,
        )
    if isinstance(row, IcpBindingRow):
        return (row.device_id, storable(row.call_id), row.cseq, row.expires_at)
    return (row.device_id, row.at, row.kind, storable(row.text)[:MAX_TIMELINE_TEXT])


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

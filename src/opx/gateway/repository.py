"""Reading and writing the gateway's database. Signalling reads all of it once and hears of changes; nothing is asked
per message."""

import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from opx.gateway.models import Binding, Device, Icp, IcpBinding, Setting, TimelineEntry
from opx.sip.digest import Algorithm, ha1
from opx.store.migrations import migrate
from opx.store.secrets import Sealer

MIGRATIONS = Path(__file__).parent / "migrations"
MAX_DEVICE_ENTRIES = 1000
"""Timeline entries kept per device; older ones go."""

_USERNAME = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,;?/]{1,128}\Z")
_HOST = re.compile(r"[A-Za-z0-9.\-:]{1,255}\Z")


class RepositoryError(Exception):
    """What was asked cannot be stored; the text says why."""


@dataclass(frozen=True, slots=True)
class IcpRecord:
    id: int
    name: str
    type: str
    host: str
    port: int
    transport: str


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """A device with its secrets opened. `icp_username` and `icp_password` are what the ICP asks for, never blank."""

    id: int
    enabled: bool
    description: str
    icp_id: int
    set_username: str
    set_ha1: Mapping[str, str] = field(repr=False)
    icp_username: str
    icp_password: str = field(repr=False)
    revision: int


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """A device as it is asked for. None as a password leaves the stored one; blank ICP-side fields mean the same as
    on the set side."""

    set_username: str
    set_password: str | None = field(repr=False)
    icp: str
    icp_username: str = ""
    icp_password: str | None = field(default=None, repr=False)
    description: str = ""
    enabled: bool = True


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


class Repository:
    """All that the gateway keeps. `open` before anything else."""

    def __init__(self, engine: AsyncEngine, sealer: Sealer) -> None:
        self._engine = engine
        self._sealer = sealer
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    async def open(self, realm: str = "") -> str:
        """Bring the database up to date; returns the digest realm, which is fixed at the first start.

        `realm` is what to fix then, a random one when empty. SecretsError when the key file is not this database's.
        """
        await migrate(self._engine, MIGRATIONS)
        async with self._sessions.begin() as session:
            setting = await session.get(Setting, "realm")
            if setting is None:
                setting = Setting(key="realm", value=realm or f"opx-{secrets.token_hex(4)}")
                session.add(setting)
                probe = self._sealer.seal("opx", "setting:key").hex()
                session.add(Setting(key="key", value=probe))
            else:
                probe_row = await session.get(Setting, "key")
                if probe_row is not None:
                    self._sealer.open(bytes.fromhex(probe_row.value), "setting:key")
            return setting.value

    async def close(self) -> None:
        await self._engine.dispose()

    # --- ICPs

    async def icps(self) -> list[IcpRecord]:
        async with self._sessions() as session:
            return [_icp(row) for row in await session.scalars(select(Icp).order_by(Icp.name))]

    async def put_icp(self, name: str, type_: str, host: str, port: int, transport: str) -> tuple[IcpRecord, bool]:
        """Add or change an ICP by its name; also says whether anything changed. RepositoryError."""
        if not name or len(name) > 64:
            raise RepositoryError("an ICP needs a name of at most 64 characters")
        if not _HOST.match(host):
            raise RepositoryError(f"{host!r} is no host name or address")
        if not 1 <= port <= 65535 or transport not in ("UDP", "TCP"):
            raise RepositoryError("an ICP's port is 1 to 65535, its transport UDP or TCP")
        async with self._sessions.begin() as session:
            row = await session.scalar(select(Icp).where(Icp.name == name))
            values = (type_, host, port, transport)
            if row is None:
                row = Icp(name=name, type=type_, host=host, port=port, transport=transport)
                session.add(row)
                changed = True
            else:
                changed = (row.type, row.host, row.port, row.transport) != values
                row.type, row.host, row.port, row.transport = values
            await session.flush()
            return _icp(row), changed

    async def remove_icp(self, name: str) -> None:
        """RepositoryError when there is none, or devices still use it."""
        try:
            async with self._sessions.begin() as session:
                row = await session.scalar(select(Icp).where(Icp.name == name))
                if row is None:
                    raise RepositoryError(f"there is no ICP {name}")
                await session.delete(row)
        except IntegrityError:
            raise RepositoryError(f"devices still use ICP {name}") from None

    # --- devices

    async def devices(self) -> list[DeviceRecord]:
        async with self._sessions() as session:
            return [self._device(row) for row in await session.scalars(select(Device).order_by(Device.set_username))]

    async def put_device(self, spec: DeviceSpec) -> tuple[DeviceRecord, bool]:
        """Add or change a device by its set-side user name; also says whether anything changed. RepositoryError.

        The revision changes when credentials do, and only then.
        """
        self._check(spec)
        async with self._sessions.begin() as session:
            realm = (await session.get_one(Setting, "realm")).value
            icp = await session.scalar(select(Icp).where(Icp.name == spec.icp))
            if icp is None:
                raise RepositoryError(f"there is no ICP {spec.icp}")
            row = await session.scalar(select(Device).where(Device.set_username == spec.set_username))
            before = self._device(row) if row is not None else None
            if before is None and spec.set_password is None:
                raise RepositoryError(f"device {spec.set_username} is new and needs a set-side password")
            if row is None:
                row = Device(set_username=spec.set_username, set_ha1=b"", icp_password=b"", revision=0)
                session.add(row)
            hashes = (
                {
                    algorithm.value: ha1(algorithm, spec.set_username, realm, spec.set_password)
                    for algorithm in Algorithm
                }
                if spec.set_password is not None
                else dict(before.set_ha1 if before else {})
            )
            password = spec.icp_password or None
            if password is None and spec.icp_password is not None:
                password = spec.set_password
            if password is None and before is None:
                password = spec.set_password
            if password is None and before is not None:
                password = before.icp_password
            row.enabled = spec.enabled
            row.description = spec.description
            row.icp_id = icp.id
            row.icp_username = spec.icp_username if spec.icp_username != spec.set_username else ""
            row.set_ha1 = self._sealer.seal(json.dumps(hashes), f"device.set_ha1:{spec.set_username}")
            row.icp_password = self._sealer.seal(password or "", f"device.icp_password:{spec.set_username}")
            after = self._device(row, provisional=True)
            if before is None or _credentials(before) != _credentials(after):
                row.revision += 1
            await session.flush()
            record = self._device(row)
            return record, before is None or record != before

    async def set_enabled(self, set_username: str, enabled: bool) -> None:
        """RepositoryError when there is no such device."""
        async with self._sessions.begin() as session:
            row = await session.scalar(select(Device).where(Device.set_username == set_username))
            if row is None:
                raise RepositoryError(f"there is no device {set_username}")
            row.enabled = enabled

    async def remove_device(self, set_username: str) -> None:
        """RepositoryError when there is no such device."""
        async with self._sessions.begin() as session:
            row = await session.scalar(select(Device).where(Device.set_username == set_username))
            if row is None:
                raise RepositoryError(f"there is no device {set_username}")
            await session.delete(row)

    # --- what signalling writes behind

    async def write(
        self,
        *,
        bindings: Iterable[BindingRow] = (),
        gone: Iterable[tuple[int, str]] = (),
        icp_bindings: Iterable[IcpBindingRow] = (),
        icp_gone: Iterable[int] = (),
        timeline: Sequence[TimelineRow] = (),
    ) -> None:
        """One transaction for all that has come together. Devices removed meanwhile are passed over."""
        async with self._sessions.begin() as session:
            known = set(await session.scalars(select(Device.id)))
            for device_id, contact in gone:
                await session.execute(delete(Binding).where(Binding.device_id == device_id, Binding.contact == contact))
            for device_id in icp_gone:
                await session.execute(delete(IcpBinding).where(IcpBinding.device_id == device_id))
            for row in bindings:
                if row.device_id in known:
                    await session.merge(Binding(**_fields(row)))
            for icp_row in icp_bindings:
                if icp_row.device_id in known:
                    await session.merge(IcpBinding(**_fields(icp_row)))
            entries = [_fields(entry) for entry in timeline if entry.device_id is None or entry.device_id in known]
            if entries:
                await session.execute(insert(TimelineEntry), entries)
                await self._trim(session, {entry["device_id"] for entry in entries})

    async def bindings(self) -> list[BindingRow]:
        async with self._sessions() as session:
            return [
                BindingRow(**{name: getattr(row, name) for name in BindingRow.__slots__})
                for row in await session.scalars(select(Binding))
            ]

    async def icp_bindings(self) -> list[IcpBindingRow]:
        async with self._sessions() as session:
            return [
                IcpBindingRow(row.device_id, row.call_id, row.cseq, row.expires_at)
                for row in await session.scalars(select(IcpBinding))
            ]

    async def timeline(self, device_id: int | None, limit: int = 100) -> list[TimelineRow]:
        """A device's newest entries, newest first."""
        async with self._sessions() as session:
            rows = await session.scalars(
                select(TimelineEntry)
                .where(TimelineEntry.device_id == device_id)
                .order_by(TimelineEntry.at.desc(), TimelineEntry.id.desc())
                .limit(limit)
            )
            return [TimelineRow(row.device_id, row.at, row.kind, row.text) for row in rows]

    # --- helpers

    async def _trim(self, session: AsyncSession, devices: set[object]) -> None:
        for device_id in devices:
            mine = TimelineEntry.device_id == device_id
            count = await session.scalar(select(func.count()).select_from(TimelineEntry).where(mine)) or 0
            if count > MAX_DEVICE_ENTRIES:
                oldest = (
                    select(TimelineEntry.id)
                    .where(mine)
                    .order_by(TimelineEntry.at, TimelineEntry.id)
                    .limit(count - MAX_DEVICE_ENTRIES)
                )
                await session.execute(delete(TimelineEntry).where(TimelineEntry.id.in_(oldest.scalar_subquery())))

    def _check(self, spec: DeviceSpec) -> None:
        for what, name in (("set-side", spec.set_username), ("ICP-side", spec.icp_username or "x")):
            if not _USERNAME.match(name):
                raise RepositoryError(f"{name!r} cannot be a {what} user name: letters, digits and -_.!~*'()&=+$,;?/")
        if len(spec.description) > 255:
            raise RepositoryError("a description has at most 255 characters")
        for password in (spec.set_password, spec.icp_password):
            if password is not None and len(password) > 128:
                raise RepositoryError("a password has at most 128 characters")
        if spec.set_password == "":
            raise RepositoryError(f"device {spec.set_username} needs a set-side password")

    def _device(self, row: Device, *, provisional: bool = False) -> DeviceRecord:
        return DeviceRecord(
            row.id if not provisional or row.id is not None else 0,
            row.enabled,
            row.description,
            row.icp_id,
            row.set_username,
            json.loads(self._sealer.open(row.set_ha1, f"device.set_ha1:{row.set_username}")),
            row.icp_username or row.set_username,
            self._sealer.open(row.icp_password, f"device.icp_password:{row.set_username}"),
            row.revision,
        )


def _icp(row: Icp) -> IcpRecord:
    return IcpRecord(row.id, row.name, row.type, row.host, row.port, row.transport)


def _credentials(device: DeviceRecord) -> tuple[Mapping[str, str], str, str]:
    return device.set_ha1, device.icp_username, device.icp_password


def _fields(row: BindingRow | IcpBindingRow | TimelineRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in row.__slots__}

"""Reading and writing the gateway's database. Signalling reads all of it once and hears of changes; nothing is asked
per message."""

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm.exc import StaleDataError

from opx.gateway import journal
from opx.gateway.batches import change_together
from opx.gateway.journal import BindingRow, IcpBindingRow, TimelineRow
from opx.gateway.models import Device, Icp, Setting
from opx.gateway.records import (
    BatchError,
    Conflict,
    DeviceChange,
    DeviceRecord,
    DeviceSpec,
    IcpRecord,
    IcpSpec,
    InUse,
    Missing,
    NodeAddress,
    RepositoryError,
)
from opx.gateway.stored import DeviceQuery, Stored, device_record, icp_record
from opx.store.engine import for_reading
from opx.store.migrations import migrate
from opx.store.notices import AnnouncingSession
from opx.store.secrets import Sealer

MIGRATIONS = Path(__file__).parent / "migrations"

__all__ = [
    "MIGRATIONS",
    "BatchError",
    "BindingRow",
    "Conflict",
    "DeviceChange",
    "DeviceQuery",
    "DeviceRecord",
    "DeviceSpec",
    "IcpBindingRow",
    "IcpRecord",
    "IcpSpec",
    "InUse",
    "Missing",
    "NodeAddress",
    "Repository",
    "RepositoryError",
    "TimelineRow",
]

CHANGES_TOGETHER = 100
"""Changes in one transaction; on SQLite everybody else's writes wait for it, those of signalling among them."""
CHANGES_AT_ONCE = 25
"""The same where each needs a savepoint of its own, which takes several times as long."""
_KEY_PROBE = "setting:key"
"""Context of a sealed value that tells at the start whether the key file is this database's."""


def check_key(connection: Connection, sealer: Sealer) -> None:
    """SecretsError when the key is not the one that the database's secrets are sealed with."""
    probe = connection.execute(select(Setting.value).where(Setting.key == "key")).scalar()
    if probe is not None:
        sealer.open(bytes.fromhex(probe), _KEY_PROBE)


class Repository:
    """All that the gateway keeps. `open` before anything else."""

    def __init__(self, engine: AsyncEngine, sealer: Sealer) -> None:
        self.engine = engine
        self._reading_engine = for_reading(engine)
        self.sealer = sealer
        self._sessions = async_sessionmaker(engine, expire_on_commit=False, sync_session_class=AnnouncingSession)
        self._reading = async_sessionmaker(self._reading_engine, expire_on_commit=False)
        self._untrimmed: Counter[int | None] = Counter()

    async def open(self, realm: str = "") -> str:
        """Bring the database up to date; returns the digest realm, which is fixed at the first start.

        `realm` is what to fix then, a random one when empty. SecretsError when the key file is not this database's,
        DatabaseTooNew, DatabaseUnusable.
        """
        await migrate(self.engine, MIGRATIONS)
        async with self._sessions.begin() as session:
            setting = await session.get(Setting, "realm")
            if setting is None:
                setting = Setting(key="realm", value=realm or f"opx-{secrets.token_hex(4)}")
                session.add(setting)
                session.add(Setting(key="key", value=self.sealer.seal("opx", _KEY_PROBE).hex()))
            else:
                probe = await session.get_one(Setting, "key")
                self.sealer.open(bytes.fromhex(probe.value), _KEY_PROBE)
            return setting.value

    async def close(self) -> None:
        await self.engine.dispose()

    # --- ICPs

    async def icps(self) -> list[IcpRecord]:
        async with self._reading() as session:
            return [icp_record(row) for row in await session.scalars(select(Icp).order_by(Icp.name))]

    async def icp(self, icp_id: int) -> IcpRecord:
        """Missing."""
        async with self._reading() as session:
            return icp_record(await _icp_row(session, icp_id))

    async def put_icp(
        self,
        name: str,
        type_: str,
        host: str,
        port: int | None,
        transport: str,
        nodes: Sequence[NodeAddress] = (),
    ) -> tuple[IcpRecord, bool]:
        """Add or change an ICP by its name; also says whether anything changed. RepositoryError."""
        return await self.save_icp(IcpSpec(name, host, port, transport, type_, tuple(nodes)))

    async def save_icp(
        self, spec: IcpSpec, icp_id: int | None = None, version: int | None = None
    ) -> tuple[IcpRecord, bool]:
        """Add or change an ICP by its name, or change the one with an id; also says whether anything changed.

        `version`: what the writer has seen. 0 makes a new one, and changes none: it is a Conflict when there is one of
        that name that is not the same already. RepositoryError, Conflict among them.
        """
        async with self._writing() as session:
            row = await _icp_row(session, icp_id) if icp_id is not None else None
            named = await session.scalar(select(Icp).where(Icp.name == spec.name))
            stored = Stored(session, self.sealer, "", {spec.name: named} if named is not None else {}, {})
            _check_version(spec.name, row or named, version)
            changed = stored.put_icp(spec, row)
            _check_new(spec.name, row or named, version, changed)
            await session.flush()
            return icp_record(stored.icps[spec.name]), changed

    async def remove_icp(self, name: str) -> None:
        """Missing; InUse when devices still use it."""
        async with self._writing() as session:
            row = await session.scalar(select(Icp).where(Icp.name == name))
            if row is None:
                raise Missing(f"there is no ICP {name}")
            await _remove_icp(session, row)

    async def delete_icp(self, icp_id: int, version: int | None = None) -> None:
        """The same by id; Conflict when `version` is given and not the one stored."""
        async with self._writing() as session:
            row = await _icp_row(session, icp_id)
            _check_version(row.name, row, version)
            await _remove_icp(session, row)

    # --- devices

    async def devices(self) -> list[DeviceRecord]:
        async with self._reading() as session:
            return [self._device(row) for row in await session.scalars(select(Device).order_by(Device.set_username))]

    async def device(self, device_id: int) -> DeviceRecord:
        """Missing."""
        async with self._reading() as session:
            return self._device(await _device_row(session, device_id))

    async def find_devices(
        self, query: DeviceQuery, limit: int, offset: int = 0, after_id: int | None = None
    ) -> tuple[list[DeviceRecord], int]:
        """A page of those that match, and how many match altogether.

        In the order of their names; with `after_id` in the order of their ids beyond that one, so that pages neither
        lose nor repeat a device while others are added and removed.
        """
        matching = select(Device).where(*query.conditions())
        page = matching.limit(limit).offset(offset)
        if after_id is None:
            page = page.order_by(Device.set_username)
        else:
            page = page.where(Device.id > after_id).order_by(Device.id)
        async with self._reading() as session:
            total = await session.scalar(select(func.count()).select_from(matching.subquery()))
            return [self._device(row) for row in await session.scalars(page)], total or 0

    async def put_device(self, spec: DeviceSpec) -> tuple[DeviceRecord, bool]:
        """Add or change a device by its set-side user name; also says whether anything changed. RepositoryError.

        The revision changes when credentials do, and only then.
        """
        return await self.save_device(spec)

    async def save_device(
        self, spec: DeviceSpec, device_id: int | None = None, version: int | None = None
    ) -> tuple[DeviceRecord, bool]:
        """Add or change a device by its set-side user name, or change the one with an id, which may get another name.

        `version` as with `save_icp`. RepositoryError, Conflict among them.
        """
        async with self._writing() as session:
            base = await Stored.load(session, self.sealer, devices=False)
            return await self._change_device(base, DeviceChange(spec, device_id, version))

    async def delete_device(self, device_id: int, version: int | None = None) -> None:
        """Missing; Conflict when `version` is given and not the one stored."""
        async with self._writing() as session:
            base = await Stored.load(session, self.sealer, devices=False)
            await self._change_device(base, DeviceChange(None, device_id, version))

    async def change_devices(
        self, changes: Sequence[DeviceChange]
    ) -> list[tuple[DeviceRecord, bool] | RepositoryError]:
        """Each change for itself, one after the other: what `save_device` gives, or why it was not done.

        They come in several transactions, so that other writers get their turn in between.
        """
        done: list[tuple[DeviceRecord, bool] | RepositoryError] = []
        for step in range(0, len(changes), CHANGES_TOGETHER):
            part = changes[step : step + CHANGES_TOGETHER]
            try:
                async with self._writing() as session:
                    done += await change_together(await Stored.load(session, self.sealer, devices=False), part)
            except RepositoryError:
                done += await self._change_one_by_one(part)
        return done

    async def _change_one_by_one(
        self, changes: Sequence[DeviceChange]
    ) -> list[tuple[DeviceRecord, bool] | RepositoryError]:
        done: list[tuple[DeviceRecord, bool] | RepositoryError] = []
        for step in range(0, len(changes), CHANGES_AT_ONCE):
            async with self._writing() as session:
                base = await Stored.load(session, self.sealer, devices=False)
                for change in changes[step : step + CHANGES_AT_ONCE]:
                    try:
                        async with _guarded(), session.begin_nested():
                            changed = await self._change_device(base, change)
                        done.append(changed)
                    except RepositoryError as error:
                        done.append(error)
        return done

    async def put_all(self, icps: Sequence[IcpSpec], devices: Sequence[DeviceSpec]) -> int:
        """Add or change many by their names, all or nothing; returns how many differed. BatchError."""
        problems: list[tuple[str, int, RepositoryError]] = []
        refused: set[str] = set()
        put: dict[str, int] = {}
        changed = 0
        async with self._writing() as session:
            stored = await Stored.load(session, self.sealer)
            for index, icp in enumerate(icps):
                try:
                    changed += stored.put_icp(icp)
                except RepositoryError as error:
                    problems.append(("icp", index, error))
                    refused.add(icp.name)
            await session.flush()
            for index, spec in enumerate(devices):
                if spec.icp in refused:
                    continue
                try:
                    changed += stored.put_device(spec)
                    put[spec.set_username] = index
                except RepositoryError as error:
                    problems.append(("device", index, error))
            problems += [("device", put[name], error) for name, error in stored.clashes(put)]
            if problems:
                raise BatchError(problems)
        return changed

    async def set_password(
        self, set_username: str, set_password: str | None = None, icp_password: str | None = None
    ) -> DeviceRecord:
        """Change a device's passwords, where None leaves one as DeviceSpec says. RepositoryError."""
        async with self._writing() as session:
            row = await _find(session, set_username)
            icp = await session.get_one(Icp, row.icp_id)
            spec = DeviceSpec(
                set_username, set_password, icp.name, row.icp_username, icp_password, row.description, row.enabled
            )
            base = await Stored.load(session, self.sealer, devices=False)
            return (await self._change_device(base, DeviceChange(spec)))[0]

    async def set_enabled(self, set_username: str, enabled: bool) -> None:
        """Missing."""
        async with self._writing() as session:
            (await _find(session, set_username)).enabled = enabled

    async def remove_device(self, set_username: str) -> None:
        """Missing."""
        async with self._writing() as session:
            await session.delete(await _find(session, set_username))

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
        async with self.engine.begin() as connection:
            await journal.write(
                connection,
                list(bindings),
                list(gone),
                list(icp_bindings),
                list(icp_gone),
                timeline,
                self._untrimmed,
            )

    async def bindings(self) -> list[BindingRow]:
        async with self._reading_engine.connect() as connection:
            return await journal.load_bindings(connection)

    async def icp_bindings(self) -> list[IcpBindingRow]:
        async with self._reading_engine.connect() as connection:
            return await journal.load_icp_bindings(connection)

    async def timeline(self, device_id: int | None, limit: int = 100) -> list[TimelineRow]:
        """A device's newest entries, newest first."""
        async with self._reading_engine.connect() as connection:
            return await journal.load_timeline(connection, device_id, limit)

    # --- helpers

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncSession]:
        async with _guarded(), self._sessions.begin() as session:
            yield session

    async def _change_device(self, base: Stored, change: DeviceChange) -> tuple[DeviceRecord, bool]:
        """`base` has realm and ICPs."""
        session, spec = base.session, change.spec
        row = await _device_row(session, change.device_id) if change.device_id is not None else None
        if spec is None:
            if row is None:
                raise Missing("there is no device without an id")
            _check_version(row.set_username, row, change.version)
            record = self._device(row)
            await session.delete(row)
            await session.flush()
            return record, True
        stored = await base.with_devices_of(spec, row)
        before = row or stored.devices.get(spec.set_username)
        _check_version(spec.set_username, before, change.version)
        changed = stored.put_device(spec, row)
        _check_new(spec.set_username, before, change.version, changed)
        for _, error in stored.clashes((spec.set_username,)):
            raise error
        await session.flush()
        return self._device(stored.devices[spec.set_username]), changed

    def _device(self, row: Device) -> DeviceRecord:
        return device_record(row, self.sealer)


@asynccontextmanager
async def _guarded() -> AsyncIterator[None]:
    """Two writers at once, as a database tells of it that lets both begin."""
    try:
        yield
    except (StaleDataError, IntegrityError):
        raise Conflict("somebody else changed this at the same moment; try again") from None


def _check_version(name: str, row: Icp | Device | None, version: int | None) -> None:
    if not version:
        return
    stored = row.version if row is not None else 0
    if stored != version:
        raise Conflict(f"{name} was changed by somebody else", stored, row.id if row is not None else None)


def _check_new(name: str, row: Icp | Device | None, version: int | None, changed: bool) -> None:
    if version == 0 and row is not None and changed:
        raise Conflict(f"{name} is there already", row.version, row.id)


async def _icp_row(session: AsyncSession, icp_id: int) -> Icp:
    row = await session.get(Icp, icp_id)
    if row is None:
        raise Missing(f"there is no ICP with id {icp_id}")
    return row


async def _remove_icp(session: AsyncSession, row: Icp) -> None:
    if await session.scalar(select(Device.id).where(Device.icp_id == row.id).limit(1)) is not None:
        raise InUse(f"devices still use ICP {row.name}")
    await session.delete(row)


async def _device_row(session: AsyncSession, device_id: int) -> Device:
    row = await session.get(Device, device_id)
    if row is None:
        raise Missing(f"there is no device with id {device_id}")
    return row


async def _find(session: AsyncSession, set_username: str) -> Device:
    row = await session.scalar(select(Device).where(Device.set_username == set_username))
    if row is None:
        raise Missing(f"there is no device {set_username}")
    return row

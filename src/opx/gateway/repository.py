"""Reading and writing the gateway's database. Signalling reads all of it once and hears of changes; nothing is asked
per message."""

import json
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from opx.gateway import journal
from opx.gateway.journal import BindingRow, IcpBindingRow, TimelineRow
from opx.gateway.models import Device, Icp, IcpNode, Setting
from opx.gateway.records import BatchError, DeviceRecord, DeviceSpec, IcpRecord, IcpSpec, NodeAddress, RepositoryError
from opx.sip.digest import Algorithm, ha1
from opx.store.engine import for_reading
from opx.store.migrations import migrate
from opx.store.secrets import Sealer

MIGRATIONS = Path(__file__).parent / "migrations"

__all__ = [
    "MIGRATIONS",
    "BatchError",
    "BindingRow",
    "DeviceRecord",
    "DeviceSpec",
    "IcpBindingRow",
    "IcpRecord",
    "IcpSpec",
    "NodeAddress",
    "Repository",
    "RepositoryError",
    "TimelineRow",
]

_KEY_PROBE = "setting:key"
"""Context of a sealed value that tells at the start whether the key file is this database's."""


@dataclass(slots=True)
class _Stored:
    """The rows that a write may touch or collide with, by name."""

    realm: str
    icps: dict[str, Icp]
    devices: dict[str, Device]


class Repository:
    """All that the gateway keeps. `open` before anything else."""

    def __init__(self, engine: AsyncEngine, sealer: Sealer) -> None:
        self._engine = engine
        self._reading_engine = for_reading(engine)
        self._sealer = sealer
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)
        self._reading = async_sessionmaker(self._reading_engine, expire_on_commit=False)
        self._untrimmed: Counter[int | None] = Counter()

    async def open(self, realm: str = "") -> str:
        """Bring the database up to date; returns the digest realm, which is fixed at the first start.

        `realm` is what to fix then, a random one when empty. SecretsError when the key file is not this database's,
        DatabaseTooNew, DatabaseUnusable.
        """
        await migrate(self._engine, MIGRATIONS)
        async with self._sessions.begin() as session:
            setting = await session.get(Setting, "realm")
            if setting is None:
                setting = Setting(key="realm", value=realm or f"opx-{secrets.token_hex(4)}")
                session.add(setting)
                session.add(Setting(key="key", value=self._sealer.seal("opx", _KEY_PROBE).hex()))
            else:
                probe = await session.get_one(Setting, "key")
                self._sealer.open(bytes.fromhex(probe.value), _KEY_PROBE)
            return setting.value

    async def close(self) -> None:
        await self._engine.dispose()

    # --- ICPs

    async def icps(self) -> list[IcpRecord]:
        async with self._reading() as session:
            return [_icp(row) for row in await session.scalars(select(Icp).order_by(Icp.name))]

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
        spec = IcpSpec(name, host, port, transport, type_, tuple(nodes))
        async with self._sessions.begin() as session:
            row = await session.scalar(select(Icp).where(Icp.name == name))
            stored = _Stored("", {name: row} if row is not None else {}, {})
            changed = _put_icp(session, stored, spec)
            await session.flush()
            return _icp(stored.icps[name]), changed

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
        async with self._reading() as session:
            return [self._device(row) for row in await session.scalars(select(Device).order_by(Device.set_username))]

    async def put_device(self, spec: DeviceSpec) -> tuple[DeviceRecord, bool]:
        """Add or change a device by its set-side user name; also says whether anything changed. RepositoryError.

        The revision changes when credentials do, and only then.
        """
        async with self._sessions.begin() as session:
            return await self._put_one(session, spec)

    async def put_all(self, icps: Sequence[IcpSpec], devices: Sequence[DeviceSpec]) -> int:
        """Add or change many by their names, all or nothing; returns how many differed. BatchError."""
        problems: list[tuple[str, int, RepositoryError]] = []
        refused: set[str] = set()
        put: dict[str, int] = {}
        changed = 0
        async with self._sessions.begin() as session:
            stored = await _load(session)
            for index, icp in enumerate(icps):
                try:
                    changed += _put_icp(session, stored, icp)
                except RepositoryError as error:
                    problems.append(("icp", index, error))
                    refused.add(icp.name)
            await session.flush()
            for index, spec in enumerate(devices):
                if spec.icp in refused:
                    continue
                try:
                    changed += self._put_device(session, stored, spec)
                    put[spec.set_username] = index
                except RepositoryError as error:
                    problems.append(("device", index, error))
            problems += [("device", put[name], error) for name, error in _clashes(stored, put)]
            if problems:
                raise BatchError(problems)
        return changed

    async def set_password(
        self, set_username: str, set_password: str | None = None, icp_password: str | None = None
    ) -> DeviceRecord:
        """Change a device's passwords, where None leaves one as DeviceSpec says. RepositoryError."""
        async with self._sessions.begin() as session:
            row = await _find(session, set_username)
            icp = await session.get_one(Icp, row.icp_id)
            spec = DeviceSpec(
                set_username, set_password, icp.name, row.icp_username, icp_password, row.description, row.enabled
            )
            return (await self._put_one(session, spec))[0]

    async def set_enabled(self, set_username: str, enabled: bool) -> None:
        """RepositoryError when there is no such device."""
        async with self._sessions.begin() as session:
            (await _find(session, set_username)).enabled = enabled

    async def remove_device(self, set_username: str) -> None:
        """RepositoryError when there is no such device."""
        async with self._sessions.begin() as session:
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
        async with self._engine.begin() as connection:
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

    async def _put_one(self, session: AsyncSession, spec: DeviceSpec) -> tuple[DeviceRecord, bool]:
        stored = await _load(session, spec)
        changed = self._put_device(session, stored, spec)
        for _, error in _clashes(stored, (spec.set_username,)):
            raise error
        await session.flush()
        return self._device(stored.devices[spec.set_username]), changed

    def _put_device(self, session: AsyncSession, stored: _Stored, spec: DeviceSpec) -> bool:
        spec.check()
        icp = stored.icps.get(spec.icp)
        if icp is None:
            raise RepositoryError(f"there is no ICP {spec.icp}", "icp")
        row = stored.devices.get(spec.set_username)
        before = self._device(row) if row is not None else None
        hashes, password = _secrets(stored.realm, spec, before)
        if row is None:
            row = Device(set_username=spec.set_username, revision=0)
            session.add(row)
            stored.devices[spec.set_username] = row
        after = (spec.enabled, spec.description, icp.id)
        differs = before is None or after != (before.enabled, before.description, before.icp_id)
        row.enabled, row.description, row.icp_id = after
        if before is None or (hashes, spec.icp_name, password) != _credentials(before):
            row.icp_username = spec.icp_username if spec.icp_username != spec.set_username else ""
            row.set_ha1 = self._sealer.seal(json.dumps(hashes), _ha1_context(row))
            row.icp_password = self._sealer.seal(password, _password_context(row))
            row.revision += 1
            differs = True
        return differs

    def _device(self, row: Device) -> DeviceRecord:
        return DeviceRecord(
            row.id,
            row.enabled,
            row.description,
            row.icp_id,
            row.set_username,
            json.loads(self._sealer.open(row.set_ha1, _ha1_context(row))),
            row.icp_username or row.set_username,
            self._sealer.open(row.icp_password, _password_context(row)),
            row.revision,
        )


async def _find(session: AsyncSession, set_username: str) -> Device:
    row = await session.scalar(select(Device).where(Device.set_username == set_username))
    if row is None:
        raise RepositoryError(f"there is no device {set_username}")
    return row


async def _load(session: AsyncSession, spec: DeviceSpec | None = None) -> _Stored:
    """Everything, or what one device may touch or collide with."""
    realm = (await session.get_one(Setting, "realm")).value
    icps, devices = select(Icp), select(Device)
    if spec is not None:
        icps = icps.where(Icp.name == spec.icp)
        names = (spec.set_username, spec.icp_name)
        devices = devices.where(or_(Device.set_username.in_(names), Device.icp_username == spec.icp_name))
    return _Stored(
        realm,
        {row.name: row for row in await session.scalars(icps)},
        {row.set_username: row for row in await session.scalars(devices)},
    )


def _put_icp(session: AsyncSession, stored: _Stored, spec: IcpSpec) -> bool:
    spec.check()
    row = stored.icps.get(spec.name)
    first, *others = spec.addresses
    values = (spec.type, first.host, first.port, first.transport)
    if row is None:
        row = Icp(name=spec.name, nodes=[])
        session.add(row)
        stored.icps[spec.name] = row
        changed = True
    else:
        before = (row.type, row.host, row.port, row.transport)
        changed = before != values or _nodes(row) != tuple(others)
    row.type, row.host, row.port, row.transport = values
    if _nodes(row) != tuple(others):
        # Rows are changed in their places: one that is deleted and one that is inserted would have the same key.
        del row.nodes[len(others) :]
        for position, node in enumerate(others):
            if position == len(row.nodes):
                row.nodes.append(IcpNode(position=position))
            kept = row.nodes[position]
            kept.host, kept.port, kept.transport = node.host, node.port, node.transport
    return changed


def _nodes(row: Icp) -> tuple[NodeAddress, ...]:
    return tuple(NodeAddress(node.host, node.port, node.transport) for node in row.nodes)


def _clashes(stored: _Stored, names: Iterable[str]) -> list[tuple[str, RepositoryError]]:
    """Those of the devices `names` that share their user name at the ICP with another one, and what to say of it.

    A call from the ICP finds its device by that name.
    """
    used = Counter((row.icp_id, row.icp_username or row.set_username) for row in stored.devices.values())
    found = []
    for name in names:
        row = stored.devices[name]
        at_icp = row.icp_username or name
        if used[row.icp_id, at_icp] > 1:
            text = f"another device has the ICP-side user name {at_icp} at the same ICP already"
            found.append((name, RepositoryError(text, "icp_username")))
    return found


def _secrets(realm: str, spec: DeviceSpec, before: DeviceRecord | None) -> tuple[Mapping[str, str], str]:
    """HA1 by algorithm and the ICP-side password that a device gets. RepositoryError when one is missing."""
    hashes: Mapping[str, str]
    if spec.set_password is not None:
        hashes = _hashes(spec.set_username, realm, spec.set_password)
    elif before is not None:
        hashes = before.set_ha1
    else:
        raise RepositoryError(f"device {spec.set_username} is new and needs a set-side password", "set_password")
    if spec.icp_password:
        return hashes, spec.icp_password
    same = before is not None and before.set_ha1 == _hashes(spec.set_username, realm, before.icp_password)
    if spec.set_password is not None and (before is None or same or spec.icp_password == ""):
        return hashes, spec.set_password
    if before is not None and (same or spec.icp_password is None):
        return hashes, before.icp_password
    raise RepositoryError(
        f"the ICP-side password of {spec.set_username} cannot become the set-side one, which is not kept in clear; "
        "expected the set-side password, too",
        "icp_password",
    )


def _hashes(username: str, realm: str, password: str) -> dict[str, str]:
    return {algorithm.value: ha1(algorithm, username, realm, password) for algorithm in Algorithm}


def _ha1_context(row: Device) -> str:
    return f"device.set_ha1:{row.set_username}"


def _password_context(row: Device) -> str:
    return f"device.icp_password:{row.set_username}"


def _icp(row: Icp) -> IcpRecord:
    return IcpRecord(row.id, row.name, row.type, row.host, row.port, row.transport, _nodes(row))


def _credentials(device: DeviceRecord) -> tuple[Mapping[str, str], str, str]:
    return device.set_ha1, device.icp_username, device.icp_password

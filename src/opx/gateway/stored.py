"""The rows of ICPs and devices within one transaction: what a write makes of them, and what it may not."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.attributes import flag_modified

from opx.gateway.models import Device, Icp, IcpNode, Setting
from opx.gateway.records import DeviceRecord, DeviceSpec, IcpRecord, IcpSpec, NodeAddress, RepositoryError, Taken
from opx.sip.digest import Algorithm, ha1
from opx.store.secrets import Sealer


@dataclass(frozen=True, slots=True)
class DeviceQuery:
    """Which devices are looked for; what is left out does not matter.

    `text` stands anywhere in a user name or the description, whatever its case.
    """

    text: str = ""
    icp_id: int | None = None
    enabled: bool | None = None
    set_username: str | None = None
    icp_username: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        at_icp = func.coalesce(func.nullif(Device.icp_username, ""), Device.set_username)
        found: list[ColumnElement[bool]] = []
        if self.text:
            columns = (Device.set_username, at_icp, Device.description)
            found.append(or_(*(column.icontains(self.text, autoescape=True) for column in columns)))
        for column, wanted in (
            (Device.icp_id, self.icp_id),
            (Device.enabled, self.enabled),
            (Device.set_username, self.set_username),
            (at_icp, self.icp_username),
        ):
            if wanted is not None:
                found.append(column == wanted)
        return found


@dataclass(slots=True)
class Stored:
    """The rows that a write may touch or collide with, by name."""

    session: AsyncSession
    sealer: Sealer
    realm: str
    icps: dict[str, Icp]
    devices: dict[str, Device]

    @classmethod
    async def load(cls, session: AsyncSession, sealer: Sealer, *, devices: bool = True) -> "Stored":
        """Everything; without `devices` for `with_devices_of`."""
        realm = (await session.get_one(Setting, "realm")).value
        icps = {found.name: found for found in await session.scalars(select(Icp))}
        rows = await session.scalars(select(Device)) if devices else ()
        return cls(session, sealer, realm, icps, {found.set_username: found for found in rows})

    async def with_devices_of(self, spec: DeviceSpec, row: Device | None) -> "Stored":
        """The same with the devices that `spec` may touch or collide with; `row` is the one it is for, if known."""
        names = (spec.set_username, spec.icp_name, *((row.set_username,) if row is not None else ()))
        touched = select(Device).where(or_(Device.set_username.in_(names), Device.icp_username == spec.icp_name))
        devices = {found.set_username: found for found in await self.session.scalars(touched)}
        return replace(self, devices=devices)

    def put_icp(self, spec: IcpSpec, row: Icp | None = None) -> bool:
        """Add or change the ICP of that name, or `row`, which may get another name; says whether anything changed.
        RepositoryError."""
        spec.check()
        named = self.icps.get(spec.name)
        if row is None:
            row = named
        elif named is not None and named is not row:
            raise Taken(f"another ICP has the name {spec.name} already", "name")
        first, *others = spec.addresses
        values = (spec.name, spec.type, first.host, first.port, first.transport)
        if row is None:
            row = Icp(nodes=[])
            self.session.add(row)
            changed = True
        else:
            changed = (row.name, row.type, row.host, row.port, row.transport) != values
        row.name, row.type, row.host, row.port, row.transport = values
        self.icps[spec.name] = row
        if _nodes(row) != tuple(others):
            _put_nodes(row, others)
            changed = True
        return changed

    def put_device(self, spec: DeviceSpec, row: Device | None = None) -> bool:
        """The same for a device and its set-side user name. RepositoryError."""
        spec.check()
        icp = self.icps.get(spec.icp)
        if icp is None:
            raise RepositoryError(f"there is no ICP {spec.icp}", "icp")
        named = self.devices.get(spec.set_username)
        if row is None:
            row = named
        elif named is not None and named is not row:
            raise Taken(f"another device has the set-side user name {spec.set_username} already", "set_username")
        before = device_record(row, self.sealer) if row is not None else None
        hashes, password = _secrets(self.realm, spec, before)
        if row is None:
            row = Device(set_username=spec.set_username, revision=0)
            self.session.add(row)
        after = (spec.enabled, spec.description, icp.id)
        differs = before is None or after != (before.enabled, before.description, before.icp_id)
        row.enabled, row.description, row.icp_id = after
        if before is None or (spec.set_username, hashes, spec.icp_name, password) != _credentials(before):
            self.devices.pop(row.set_username, None)
            row.set_username = spec.set_username
            row.icp_username = spec.icp_username if spec.icp_username != spec.set_username else ""
            row.set_ha1 = self.sealer.seal(json.dumps(hashes), _ha1_context(row))
            row.icp_password = self.sealer.seal(password, _password_context(row))
            row.revision += 1
            differs = True
        self.devices[spec.set_username] = row
        return differs

    def clashes(self, names: Iterable[str]) -> list[tuple[str, RepositoryError]]:
        """Those of the devices `names` that share their user name at the ICP with another one, and what to say of it.

        A call from the ICP finds its device by that name.
        """
        used = Counter((row.icp_id, row.icp_username or row.set_username) for row in self.devices.values())
        found: list[tuple[str, RepositoryError]] = []
        for name in names:
            row = self.devices[name]
            at_icp = row.icp_username or name
            if used[row.icp_id, at_icp] > 1:
                text = f"another device has the ICP-side user name {at_icp} at the same ICP already"
                found.append((name, Taken(text, "icp_username")))
        return found


def icp_record(row: Icp) -> IcpRecord:
    return IcpRecord(row.id, row.name, row.type, row.host, row.port, row.transport, _nodes(row), row.version)


def device_record(row: Device, sealer: Sealer) -> DeviceRecord:
    """SecretsError when the key is not this database's."""
    return DeviceRecord(
        row.id,
        row.enabled,
        row.description,
        row.icp_id,
        row.set_username,
        json.loads(sealer.open(row.set_ha1, _ha1_context(row))),
        row.icp_username or row.set_username,
        sealer.open(row.icp_password, _password_context(row)),
        row.revision,
        row.version,
    )


def _put_nodes(row: Icp, nodes: list[NodeAddress]) -> None:
    # Rows are changed in their places: one that is deleted and one that is inserted would have the same key.
    del row.nodes[len(nodes) :]
    for position, node in enumerate(nodes):
        if position == len(row.nodes):
            row.nodes.append(IcpNode(position=position))
        kept = row.nodes[position]
        kept.host, kept.port, kept.transport = node.host, node.port, node.transport
    # They are rows of another table, and yet the ICP is what has changed: its version has to say so.
    flag_modified(row, "host")


def _nodes(row: Icp) -> tuple[NodeAddress, ...]:
    return tuple(NodeAddress(node.host, node.port, node.transport) for node in row.nodes)


def _secrets(realm: str, spec: DeviceSpec, before: DeviceRecord | None) -> tuple[Mapping[str, str], str]:
    """HA1 by algorithm and the ICP-side password that a device gets. RepositoryError when one is missing."""
    hashes: Mapping[str, str]
    same = before is not None and before.set_ha1 == _hashes(before.set_username, realm, before.icp_password)
    if spec.set_password is not None:
        hashes = _hashes(spec.set_username, realm, spec.set_password)
    elif before is None:
        raise RepositoryError(f"device {spec.set_username} is new and needs a set-side password", "set_password")
    elif before.set_username == spec.set_username:
        hashes = before.set_ha1
    elif same:
        hashes = _hashes(spec.set_username, realm, before.icp_password)
    else:
        raise RepositoryError(
            "a password is kept as a hash with its user name in it; with a new set-side user name the set-side "
            "password is needed again",
            "set_password",
        )
    if spec.icp_password:
        return hashes, spec.icp_password
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


def _credentials(device: DeviceRecord) -> tuple[str, Mapping[str, str], str, str]:
    return device.set_username, device.set_ha1, device.icp_username, device.icp_password

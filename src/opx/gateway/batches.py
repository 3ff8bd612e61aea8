"""Many changes of devices in one flush, for the usual case that each of them can be made.

One after the other, each in a savepoint of its own, they take several times as long; what is done is the same.
"""

from collections.abc import Sequence

from sqlalchemy import or_, select

from opx.gateway.models import Device
from opx.gateway.records import Conflict, DeviceChange, DeviceRecord, Missing, RepositoryError
from opx.gateway.stored import Stored, device_record


class OneByOne(RepositoryError):
    """The changes have to be made one after the other."""


async def change_together(base: Stored, changes: Sequence[DeviceChange]) -> list[tuple[DeviceRecord, bool]]:
    """What `Repository.save_device` gives for each. `base` has realm and ICPs.

    RepositoryError as soon as one of them fails, or an IntegrityError of the database for an order that only holds
    step by step: then nothing may be committed, and all have to be made one after the other.
    """
    stored = await _with_all(base, changes)
    by_id = {row.id: row for row in stored.devices.values()}
    done: list[tuple[Device | DeviceRecord, bool]] = []
    touched: set[Device] = set()
    for change in changes:
        row = by_id.get(change.device_id) if change.device_id is not None else None
        if row is None and (change.device_id is not None or change.spec is None):
            raise Missing("there is no such device")
        before = row or (stored.devices.get(change.spec.set_username) if change.spec is not None else None)
        version = before.version if before is not None else 0
        if before in touched or (change.version and version != change.version):
            # The version that the other change makes is known after the flush only.
            raise OneByOne("it is changed twice, or was changed by somebody else")
        if change.spec is None:
            assert row is not None
            done.append((device_record(row, base.sealer), True))
            touched.add(row)
            del stored.devices[row.set_username]
            await base.session.delete(row)
            continue
        changed = stored.put_device(change.spec, row)
        if change.version == 0 and before is not None and changed:
            raise Conflict(f"{change.spec.set_username} is there already")
        for _, error in stored.clashes((change.spec.set_username,)):
            raise error
        after = stored.devices[change.spec.set_username]
        touched.add(after)
        done.append((after, changed))
    await base.session.flush()
    return [(device_record(it, base.sealer) if isinstance(it, Device) else it, changed) for it, changed in done]


async def _with_all(base: Stored, changes: Sequence[DeviceChange]) -> Stored:
    """With every device that the changes may touch or collide with."""
    specs = [change.spec for change in changes if change.spec is not None]
    names = {name for spec in specs for name in (spec.set_username, spec.icp_name)}
    found = select(Device).where(
        or_(
            Device.id.in_([change.device_id for change in changes if change.device_id is not None]),
            Device.set_username.in_(names),
            Device.icp_username.in_({spec.icp_name for spec in specs}),
        )
    )
    rows = {row.set_username: row for row in await base.session.scalars(found)}
    return Stored(base.session, base.sealer, base.realm, base.icps, rows)

"""The rows of SIP extensions within one transaction: what a write makes of them, and what it may not."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from opx.store.secrets import Sealer
from opx.suite.sites.models import Node, Pbx, SipExtension
from opx.suite.sites.records import (
    Authorization,
    Credentials,
    ExtensionRecord,
    ExtensionSpec,
    ReadExtension,
    SiteError,
    check_number,
    random_credentials,
)


def record(row: SipExtension, sealer: Sealer) -> ExtensionRecord:
    return ExtensionRecord(
        row.id,
        row.pbx_id,
        row.node_id,
        row.number,
        row.name,
        row.hot_desk,
        row.present,
        _credentials(row, "internal", sealer),
        row.remote,
        _credentials(row, "remote", sealer),
        row.revision,
        row.version,
    )


def authorize(row: SipExtension, wish: Authorization, sealer: Sealer) -> bool:
    """Whether anything changed. SiteError when it is to be a teleworker's and there is an obstacle."""
    before = record(row, sealer)
    internal = _merged(before.internal, wish.internal_name, wish.internal_password, "internal")
    remote = _merged(before.remote, wish.remote_name, wish.remote_password, "remote")
    if wish.teleworker and remote is None:
        remote = random_credentials()
    _put(row, internal, remote, sealer)
    row.remote = wish.teleworker
    after = record(row, sealer)
    if wish.teleworker and after.obstacle:
        raise SiteError(after.obstacle, "internal_name")
    return _revised(row, before, after)


def tick(row: SipExtension, teleworker: bool, sealer: Sealer) -> str:
    """Tick or untick one of many; the reason why not, "" when it is done."""
    before = record(row, sealer)
    if teleworker and before.obstacle:
        return before.obstacle
    if teleworker and before.remote is None:
        _put(row, before.internal, random_credentials(), sealer)
    row.remote = teleworker
    _revised(row, before, record(row, sealer))
    return ""


async def describe(session: AsyncSession, row: SipExtension, spec: ExtensionSpec) -> None:
    """SiteError when the node is none of the PBX."""
    nodes = list(await session.scalars(select(Node.id).where(Node.pbx_id == row.pbx_id)))
    if spec.node_id is not None and spec.node_id not in nodes:
        raise SiteError("is no node of this PBX", "node")
    row.name, row.hot_desk = spec.name, spec.hot_desk
    row.node_id = spec.node_id if spec.node_id is not None or len(nodes) != 1 else nodes[0]


async def take_over(session: AsyncSession, pbx: Pbx, read: Sequence[ReadExtension], sealer: Sealer) -> int:
    """Make the rows of a PBX what was read from it; how many differed. SiteError."""
    nodes = {row.address: row.id for row in await session.scalars(select(Node).where(Node.pbx_id == pbx.id))}
    rows = {row.number: row for row in await session.scalars(select(SipExtension).where(SipExtension.pbx_id == pbx.id))}
    only_node = next(iter(nodes.values())) if len(nodes) == 1 else None
    changed = 0
    for item in read:
        check_number(item.number)
        row = rows.pop(item.number, None)
        if row is None:
            row = SipExtension(pbx_id=pbx.id, number=item.number, remote=False, revision=1)
            session.add(row)
            before = None
        else:
            before = record(row, sealer)
        row.name, row.hot_desk, row.present = item.name[:64], item.hot_desk, True
        row.node_id = nodes.get(item.node) if item.node else only_node
        # What was typed by hand stays when the PBX tells nothing.
        if before is None or item.credentials not in (None, before.internal):
            _put(row, item.credentials, before.remote if before else None, sealer)
        after = record(row, sealer) if before is not None else None
        if before is None or after is None or _revised(row, before, after):
            changed += 1
    for row in rows.values():
        changed += row.present
        row.present = False
    return changed


def _revised(row: SipExtension, before: ExtensionRecord, after: ExtensionRecord) -> bool:
    if (before.internal, before.remote) != (after.internal, after.remote):
        row.revision = (row.revision or 0) + 1
        return True
    return before != after


def _put(row: SipExtension, internal: Credentials | None, remote: Credentials | None, sealer: Sealer) -> None:
    """Values that are there already are not sealed anew, so that nothing looks changed."""
    if internal != _credentials(row, "internal", sealer):
        row.internal_name = internal.name if internal else ""
        row.internal_password_sealed = sealer.seal(internal.password, "extension:internal") if internal else None
    if remote != _credentials(row, "remote", sealer):
        row.remote_name = remote.name if remote else None
        row.remote_password_sealed = sealer.seal(remote.password, "extension:remote") if remote else None


def _credentials(row: SipExtension, which: str, sealer: Sealer) -> Credentials | None:
    name = row.internal_name if which == "internal" else row.remote_name
    sealed = row.internal_password_sealed if which == "internal" else row.remote_password_sealed
    return Credentials(name, sealer.open(sealed, f"extension:{which}")) if name and sealed is not None else None


def _merged(stored: Credentials | None, name: str | None, password: str | None, which: str) -> Credentials | None:
    """What is stored with what is given; a half is no credentials."""
    name = name if name is not None else stored.name if stored else None
    password = password if password is not None else stored.password if stored else None
    if name is None and password is None:
        return None
    if name is None:
        raise SiteError("expected a name to go with the password", f"{which}_name")
    if password is None:
        raise SiteError("expected a password to go with the name", f"{which}_password")
    return Credentials(name, password)

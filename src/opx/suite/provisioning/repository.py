"""Keeps what is known of extensions at the gateway. The suite's main process writes; every process may read."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, and_, case, delete, false, func, insert, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from opx.store.engine import for_reading
from opx.suite.provisioning.models import Provision, ProvisioningRun
from opx.suite.provisioning.records import Provisioned, ProvisionState, Run, State
from opx.suite.sites.models import Gateway, Node, SipExtension

IDS_AT_ONCE = 500
"""Ids in one statement."""


@dataclass(frozen=True, slots=True)
class TeleworkerRow:
    """An extension that is ticked, without its secrets. `node` is its node's address, "" when it has none."""

    extension_id: int
    number: str
    name: str
    internal_name: str
    has_internal: bool
    remote_name: str
    has_remote: bool
    revision: int
    node: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A row of the table of what is not as it should be. `pbx_id` None: the suite has the extension no more."""

    state: State
    pbx_id: int | None


_ITS_EXTENSION = SipExtension.id == Provision.extension_id
_ENDING = (ProvisionState.REMOVING.value, ProvisionState.LEFT.value)
_TICKED = func.coalesce(SipExtension.remote, false())
_STATE_NOW: ColumnElement[str] = case(
    (and_(_TICKED, Provision.state.in_(_ENDING)), ProvisionState.PENDING.value),
    (and_(not_(_TICKED), Provision.state.not_in(_ENDING)), ProvisionState.REMOVING.value),
    else_=Provision.state,
)
"""The state as it is to be understood before the reconciler has looked at a tick or untick."""
_FAILED_FIRST: ColumnElement[int] = case({ProvisionState.FAILED.value: 0}, value=_STATE_NOW, else_=1)


class ProvisioningRepository:
    """`states`, `state` and `counts` are for pages and phones, the rest for the reconciler."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reading = for_reading(engine)

    # --- for everybody

    async def states(self, ids: Collection[int]) -> dict[int, State]:
        """Of those extensions that are ticked, or that the gateway may still have."""
        found: dict[int, State] = {}
        wanted = list(ids)
        async with self._reading.connect() as connection:
            by_hand = not await _rest_api(connection)
            for step in range(0, len(wanted), IDS_AT_ONCE):
                part = wanted[step : step + IDS_AT_ONCE]
                ticked = select(SipExtension.id, SipExtension.number).where(SipExtension.remote)
                for row in await connection.execute(ticked.where(SipExtension.id.in_(part))):
                    found[row.id] = State(row.id, ProvisionState.PENDING, number=row.number)
                rows = await connection.execute(select(Provision).where(Provision.extension_id.in_(part)))
                for record in map(_record, rows):
                    ticked_now = record.extension_id in found
                    found[record.extension_id] = _as_ticked(record, ticked_now).for_pages
        if by_hand:
            return {key: _kept_by_hand(state) for key, state in found.items()}
        return found

    async def state(self, extension_id: int) -> State | None:
        """None when it is not ticked and the gateway has nothing of it."""
        return (await self.states([extension_id])).get(extension_id)

    async def counts(self) -> dict[ProvisionState, int]:
        """Extensions by state; states of none are left out."""
        async with self._reading.connect() as connection:
            seen = select(_STATE_NOW, func.count()).select_from(Provision).outerjoin(SipExtension, _ITS_EXTENSION)
            rows = await connection.execute(seen.group_by(_STATE_NOW))
            found = {ProvisionState(state): number for state, number in rows}
            unseen = await connection.scalar(
                select(func.count())
                .select_from(SipExtension)
                .outerjoin(Provision, Provision.extension_id == SipExtension.id)
                .where(SipExtension.remote, Provision.extension_id.is_(None))
            )
            if unseen:
                found[ProvisionState.PENDING] = found.get(ProvisionState.PENDING, 0) + unseen
            if not await _rest_api(connection):
                waiting = [ProvisionState.PENDING, ProvisionState.FAILED]
                number = sum(found.pop(state, 0) for state in waiting)
                found |= {ProvisionState.BY_HAND: number} if number else {}
        return found

    async def listed(
        self, states: Collection[ProvisionState], limit: int, offset: int = 0, text: str = ""
    ) -> tuple[list[Listed], int]:
        """A page of the rows in those states, the failed ones first, and how many there are. `text` stands in the
        number or the error."""
        matching = (
            select(Provision, _STATE_NOW.label("now"), SipExtension.pbx_id)
            .outerjoin(SipExtension, _ITS_EXTENSION)
            .where(_STATE_NOW.in_([state.value for state in states]))
        )
        if text:
            columns = (Provision.number, Provision.error)
            matching = matching.where(or_(*(column.icontains(text, autoescape=True) for column in columns)))
        page = matching.order_by(_FAILED_FIRST, func.length(Provision.number), Provision.number, Provision.extension_id)
        async with self._reading.connect() as connection:
            total = await connection.scalar(select(func.count()).select_from(matching.subquery()))
            found = []
            for row in await connection.execute(page.limit(limit).offset(offset)):
                values = row._asdict()
                now, pbx_id = ProvisionState(values.pop("now")), values.pop("pbx_id")
                record = Provisioned(**{**values, "state": now})
                found.append(Listed(record.for_pages, pbx_id))
        return found, total or 0

    async def run(self) -> Run:
        async with self._reading.connect() as connection:
            row = (await connection.execute(select(ProvisioningRun))).first()
        if row is None:
            return Run()
        values = row._asdict()
        del values["id"]
        return Run(**values)

    # --- for the reconciler

    async def teleworkers(self) -> list[TeleworkerRow]:
        """All extensions that are ticked, in the order of their ids."""
        query = (
            select(
                SipExtension.id,
                SipExtension.number,
                SipExtension.name,
                SipExtension.internal_name,
                SipExtension.internal_password_sealed.is_not(None),
                SipExtension.remote_name,
                SipExtension.remote_password_sealed.is_not(None),
                SipExtension.revision,
                Node.address,
            )
            .outerjoin(Node, Node.id == SipExtension.node_id)
            .where(SipExtension.remote)
            .order_by(SipExtension.id)
        )
        async with self._reading.connect() as connection:
            rows = await connection.execute(query)
            return [
                TeleworkerRow(key, number, name, internal, has_internal, remote or "", has_remote, revision, node or "")
                for key, number, name, internal, has_internal, remote, has_remote, revision, node in rows
            ]

    async def records(self) -> dict[int, Provisioned]:
        """All rows, by extension id."""
        async with self._reading.connect() as connection:
            rows = await connection.execute(select(Provision))
            return {record.extension_id: record for record in map(_record, rows)}

    async def gone(self, ids: Iterable[int]) -> set[int]:
        """Those of the extensions that the suite has no more."""
        missing = set(ids)
        wanted = list(missing)
        async with self._reading.connect() as connection:
            for step in range(0, len(wanted), IDS_AT_ONCE):
                part = wanted[step : step + IDS_AT_ONCE]
                missing.difference_update(
                    await connection.scalars(select(SipExtension.id).where(SipExtension.id.in_(part)))
                )
        return missing

    async def save_in(
        self, connection: AsyncConnection, records: Iterable[Provisioned], gone: Sequence[int] = ()
    ) -> None:
        """Write rows down, and drop those of the extensions that are `gone`, within a transaction of the caller's."""
        values: list[dict[str, Any]] = []
        for record in records:
            values.append({**asdict(record), "state": record.state.value, "error": record.error[:512]})
        keys = [*(row["extension_id"] for row in values), *gone]
        for step in range(0, len(keys), IDS_AT_ONCE):
            part = keys[step : step + IDS_AT_ONCE]
            await connection.execute(delete(Provision).where(Provision.extension_id.in_(part)))
        if values:
            await connection.execute(insert(Provision), values)

    async def save_run(self, run: Run) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(delete(ProvisioningRun))
            await connection.execute(insert(ProvisioningRun), {"id": 1, **asdict(run), "trouble": run.trouble[:512]})


async def _rest_api(connection: AsyncConnection) -> bool:
    return bool(await connection.scalar(select(Gateway.rest_api)))


def _as_ticked(record: Provisioned, ticked: bool) -> Provisioned:
    """The row as it is to be understood now, before the reconciler has looked at a tick or untick."""
    if ticked and record.state in (ProvisionState.REMOVING, ProvisionState.LEFT):
        return replace(record, state=ProvisionState.PENDING, error="")
    if not ticked and record.state not in (ProvisionState.REMOVING, ProvisionState.LEFT):
        return replace(record, state=ProvisionState.REMOVING, error="")
    return record


def _kept_by_hand(state: State) -> State:
    if state.state in (ProvisionState.PENDING, ProvisionState.FAILED):
        return State(state.extension_id, ProvisionState.BY_HAND, state.device_id, state.owned, number=state.number)
    return state


def _record(row: Any) -> Provisioned:
    values = row._asdict()
    return Provisioned(**{**values, "state": ProvisionState(values["state"])})

"""The list of phones as the page shows it: asked page by page, with no secret read."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import aliased

from opx.store.engine import for_reading
from opx.suite.handsets.models import Phone
from opx.suite.handsets.records import Side, State
from opx.suite.models import TimelineEntry
from opx.suite.sites.models import Pbx, SipExtension
from opx.suite.timeline import Kind
from opx.web.listing import Listing, ListQuery

SORTS = ("state", "mac", "model", "extension", "side", "last_seen", "first_seen")
STATES = ("waiting", "expected", "approved", "revoked")
"""A phone that nobody has vouched for waits once it has asked, and is expected before."""
SIDES = tuple(side.value for side in Side)
WARNED_FOR = 7 * 86_400.0
"""Seconds that a warning on a phone's timeline marks it in the list."""


@dataclass(frozen=True, slots=True)
class PhoneRow:
    """`extension` is the number that the phone is now, `base` the one that it goes back to; "" where there is none."""

    mac: str
    model: str
    firmware: str
    state: str
    side: str
    extension_id: int | None
    extension: str
    extension_name: str
    base: str
    source: str
    first_seen: float | None
    last_seen: float | None
    delivered: str
    bound: bool
    warned: bool


class PhoneRows:
    def __init__(self, engine: AsyncEngine) -> None:
        self._reading = for_reading(engine)

    async def page(self, query: ListQuery, now: float) -> Listing[PhoneRow]:
        """Filters: `state` and `side`; the search looks into MAC, model, firmware, source, extension number and name.

        In the order of `state` those that wait for somebody come first, each lot with the last seen first.
        """
        own, base = aliased(SipExtension), aliased(SipExtension)
        used = func.coalesce(Phone.hot_desk_id, Phone.extension_id)
        warned = _warned(now)
        state = _state()
        columns: dict[str, Any] = {
            "state": case({name: rank for rank, name in enumerate(STATES)}, value=state),
            "mac": Phone.mac,
            "model": Phone.model,
            "extension": func.coalesce(own.number, ""),
            "side": Phone.side,
            "last_seen": func.coalesce(Phone.last_seen, 0),
            "first_seen": func.coalesce(Phone.first_seen, 0),
        }
        shown: list[Any] = [
            Phone.mac,
            Phone.model,
            Phone.firmware,
            state.label("state"),
            Phone.side,
            used.label("extension_id"),
            own.number.label("extension"),
            own.name.label("extension_name"),
            base.number.label("base"),
            Phone.source,
            Phone.first_seen,
            Phone.last_seen,
            Phone.delivered,
            Phone.bound_at.is_not(None).label("bound"),
            warned.label("warned"),
        ]
        rows: Select[Any] = select(*shown).outerjoin(own, own.id == used)
        rows = rows.outerjoin(base, base.id == Phone.extension_id)
        conditions: list[ColumnElement[bool]] = []
        if query.search:
            bare = query.search.replace(":", "").replace("-", "") or query.search
            texts = (Phone.model, Phone.firmware, Phone.source, own.number, own.name)
            found = [column.icontains(query.search, autoescape=True) for column in texts]
            conditions.append(or_(Phone.mac.icontains(bare, autoescape=True), *found))
        if query.filter("state"):
            conditions.append(state == query.filter("state"))
        if query.filter("side"):
            conditions.append(Phone.side == query.filter("side"))
        rows = rows.where(*conditions)
        order = columns[query.sort]
        newest = func.coalesce(Phone.last_seen, 0).desc()
        page = rows.order_by(order.desc() if query.descending else order, newest, Phone.mac)
        async with self._reading.connect() as connection:
            total = await connection.scalar(select(func.count()).select_from(rows.subquery())) or 0
            found_rows = await connection.execute(page.limit(query.size).offset(query.offset))
            return Listing(query, [_row(row) for row in found_rows], total)

    async def counts(self) -> dict[str, int]:
        """How many phones there are by state."""
        state = _state()
        async with self._reading.connect() as connection:
            rows = await connection.execute(select(state, func.count()).group_by(state))
            return dict.fromkeys(STATES, 0) | {row[0]: row[1] for row in rows}

    async def extension_ids(self) -> dict[str, list[int]]:
        """Ids of the extensions that a phone may have, by number and by `NUMBER at PBX`."""
        query = select(SipExtension.id, SipExtension.number, Pbx.name).join(Pbx, Pbx.id == SipExtension.pbx_id)
        found: dict[str, list[int]] = {}
        async with self._reading.connect() as connection:
            for row in await connection.execute(query.where(SipExtension.present)):
                for text in (row.number, f"{row.number} at {row.name}"):
                    found.setdefault(text, []).append(row.id)
        return found

    async def free_extensions(self, limit: int) -> list[tuple[str, str]]:
        """Numbers and names of extensions that no phone has, for suggestions."""
        taken = select(Phone.extension_id).where(Phone.extension_id.is_not(None))
        query = select(SipExtension.number, SipExtension.name).where(
            SipExtension.present, ~SipExtension.hot_desk, SipExtension.id.not_in(taken)
        )
        order = (func.length(SipExtension.number), SipExtension.number)
        async with self._reading.connect() as connection:
            return [(row.number, row.name) for row in await connection.execute(query.order_by(*order).limit(limit))]


def _state() -> ColumnElement[str]:
    return case(
        (Phone.state == State.APPROVED.value, "approved"),
        (Phone.state == State.REVOKED.value, "revoked"),
        (Phone.last_seen.is_(None), "expected"),
        else_="waiting",
    )


def _warned(now: float) -> ColumnElement[bool]:
    """Whether the timeline has something to act upon that is not old."""
    entry = TimelineEntry
    return (
        select(entry.id)
        .where(
            and_(
                entry.subject == "phone:" + Phone.mac,
                entry.kind == Kind.WARNING.value,
                entry.at > now - WARNED_FOR,
            )
        )
        .correlate(Phone)
        .exists()
    )


def _row(row: Any) -> PhoneRow:
    return PhoneRow(
        row.mac,
        row.model,
        row.firmware,
        row.state,
        row.side,
        row.extension_id,
        row.extension or "",
        row.extension_name or "",
        row.base or "",
        row.source,
        row.first_seen,
        row.last_seen,
        row.delivered,
        bool(row.bound),
        bool(row.warned),
    )

"""What was seen of phones, written down many at a time: one statement for all that are alike."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import bindparam, case, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from opx.suite.handsets.models import Phone
from opx.suite.handsets.records import Sighting, State

CHUNK = 500
"""Rows of one look-up."""

_NEW = {"state": State.NEW.value, "digest_user": "", "bound_source": "", "window_source": "", "delivered": ""}
_NEW_ALSO = {"certificate_subject": "", "source": "", "version": 1}


def values_of(sighting: Sighting) -> dict[str, Any]:
    """The columns of a sighting, without the source where it is not known."""
    values: dict[str, Any] = {
        "model": sighting.model[:16],
        "firmware": sighting.firmware[:32],
        "user_agent": sighting.user_agent[:128],
        "side": sighting.side.value,
        "last_seen": sighting.at,
    }
    return values | ({"source": sighting.source[:64]} if sighting.source else {})


async def write(connection: AsyncConnection, sightings: Sequence[Sighting], most_new: int) -> list[str]:
    """Write down the last sighting of each phone; the MACs that were new. See `PhoneRepository.note`."""
    latest = {sighting.mac: sighting for sighting in sightings}
    delivered = {sighting.mac: sighting for sighting in sightings if sighting.delivered}
    known, macs = set[str](), list(latest)
    for step in range(0, len(macs), CHUNK):
        found = await connection.scalars(select(Phone.mac).where(Phone.mac.in_(macs[step : step + CHUNK])))
        known |= set(found)
    added = [mac for mac in macs if mac not in known]
    if added:
        waiting = await connection.scalar(select(func.count()).where(Phone.state == State.NEW.value)) or 0
        added = added[: max(0, most_new - waiting)]
        rows = [{"mac": mac, **_NEW, **_NEW_ALSO, **values_of(latest[mac])} for mac in added]
        if rows:
            await connection.execute(insert(Phone), rows)
    kept = [mac for mac in macs if mac in known or mac in added]
    await _update(connection, ((mac, values_of(latest[mac]) | {"seen_first": latest[mac].at}) for mac in kept))
    given = ((mac, {"delivered": item.delivered, "delivered_at": item.at}) for mac, item in delivered.items())
    await _update(connection, given)
    return added


async def _update(connection: AsyncConnection, rows: Iterable[tuple[str, dict[str, Any]]]) -> None:
    alike: defaultdict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for mac, values in rows:
        alike[tuple(values)].append({"of_mac": mac, **values})
    for names, parameters in alike.items():
        columns: dict[str, Any] = {name: bindparam(name) for name in names if name != "seen_first"}
        if "side" in names and "source" not in names:
            # What was known of it stays, unless the phone was at the other side then.
            columns["source"] = case((Phone.side == bindparam("side"), Phone.source), else_="")
        if "seen_first" in names:
            columns["first_seen"] = func.coalesce(Phone.first_seen, bindparam("seen_first"))
        statement = update(Phone.__table__).where(Phone.mac == bindparam("of_mac")).values(columns)  # type: ignore[arg-type]
        await connection.execute(statement, parameters)

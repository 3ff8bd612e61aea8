"""Entering many phones within a transaction, with a look at the database for all of them together."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from opx.suite.handsets.models import Phone
from opx.suite.sites.models import SipExtension

Wish = tuple[str, str, int | None]
"""A MAC, a model and an extension's id or None."""


def obstacle(extension: SipExtension | None, mac: str, holder: str | None) -> str:
    """Why an extension that the phone `holder` has cannot be a phone's own; "" when it can."""
    if extension is None:
        return "there is no such SIP extension"
    if extension.hot_desk:
        return f"{extension.number} is a hot desk extension; log in to it at the phone"
    if holder is not None and holder != mac:
        return f"{extension.number} is the extension of phone {holder} already"
    return ""


async def enter(session: AsyncSession, wishes: Sequence[Wish]) -> list[str]:
    """In their order why a phone was left out, "" when it is entered, or has its extension."""
    macs = [mac for mac, _, _ in wishes]
    ids = [extension_id for _, _, extension_id in wishes if extension_id is not None]
    rows = {row.mac: row for row in await session.scalars(select(Phone).where(Phone.mac.in_(macs)))}
    found = await session.scalars(select(SipExtension).where(SipExtension.id.in_(ids)))
    extensions = {extension.id: extension for extension in found}
    held = await session.execute(select(Phone.extension_id, Phone.mac).where(Phone.extension_id.in_(ids)))
    holders: dict[int, str] = {row.extension_id: row.mac for row in held}
    results = []
    for mac, model, extension_id in wishes:
        problem = ""
        if extension_id is not None:
            problem = obstacle(extensions.get(extension_id), mac, holders.get(extension_id))
        results.append(problem)
        if problem:
            continue
        row = rows.get(mac)
        if row is None:
            row = rows[mac] = Phone(mac=mac, model=model)
            session.add(row)
        row.extension_id = extension_id
        if extension_id is not None:
            holders[extension_id] = mac
    await session.flush()
    return results

"""What the pages of phones have in common: finding extensions by number, and what is done to a phone."""

import time
from collections.abc import Mapping, Sequence

from fastapi import HTTPException, Request

from opx.suite.console.desk import Desk
from opx.suite.console.phone_rows import PhoneRows
from opx.suite.console.phone_state import Registrations
from opx.suite.handsets.records import PhoneRecord, normal_mac, pretty_mac
from opx.suite.handsets.repository import PhoneRepository
from opx.suite.sites.records import ExtensionRecord, Missing, SiteError
from opx.suite.timeline import Entry, Kind, phone_subject
from opx.suite.topics import PHONES

SUGGESTED = 200
"""Extensions without a phone that a page suggests."""


class PhoneDesk:
    """Each change is told to the other processes, and noted in the audit log and on the phone's timeline."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.repository = PhoneRepository(desk.sites.engine, desk.sites.sealer)
        self.rows = PhoneRows(desk.sites.engine)
        self.registrations = Registrations(desk.sites, desk.link, desk.provisioning, desk.settings.address)

    async def known(self, mac: str) -> PhoneRecord:
        """The phone of an address's MAC; the page is not found without."""
        try:
            return await self.repository.phone(normal_mac(mac))
        except SiteError:
            raise HTTPException(404) from None

    # --- extensions

    async def extension_of(self, text: str) -> int | None:
        """The SIP extension of a typed number, None for "". With several PBXs it may be `NUMBER at PBX`. SiteError."""
        return pick(text, await self.rows.extension_ids()) if text else None

    async def extension(self, extension_id: int | None) -> ExtensionRecord | None:
        if extension_id is None:
            return None
        try:
            return await self.desk.sites.extension(extension_id)
        except Missing:
            return None

    async def number_of(self, extension_id: int | None) -> str:
        """As it may be typed again; "" when there is none."""
        extension = await self.extension(extension_id)
        if extension is None:
            return ""
        pbxs = await self.desk.sites.pbxs()
        if len(pbxs) < 2:
            return extension.number
        return f"{extension.number} at {next(pbx.name for pbx in pbxs if pbx.id == extension.pbx_id)}"

    async def free_extensions(self) -> list[tuple[str, str]]:
        return await self.rows.free_extensions(SUGGESTED)

    # --- what is done to a phone; each raises SiteError

    async def approve(self, request: Request, phone: PhoneRecord, version: int | None = None) -> None:
        window = self.desk.settings.handsets.delivery_window
        await self.repository.approve(phone.mac, time.time(), window, version=version)
        await self.done(request, phone.mac, "approved a phone", f"approved by {_who(request)}")

    async def assign(
        self, request: Request, phone: PhoneRecord, extension_id: int | None, version: int | None = None
    ) -> None:
        await self.repository.assign(phone.mac, extension_id, version)
        number = await self.number_of(extension_id)
        said = f"extension {number}" if number else "no extension"
        await self.done(request, phone.mac, "assigned a phone", f"{said}, assigned by {_who(request)}", said)

    async def done(self, request: Request, mac: str, action: str, text: str, detail: str = "") -> None:
        """Leave the traces of a change, and tell it."""
        await self.desk.console.note(request, action, target(mac), detail)
        await self.desk.timeline.note([Entry.now(phone_subject(mac), Kind.DONE, text)])
        self.desk.bulletin.publish(PHONES, [mac])


def pick(text: str, extensions: Mapping[str, Sequence[int]]) -> int | None:
    """The one extension of a text, None for "". SiteError."""
    if not text:
        return None
    found = extensions.get(text, ())
    if not found:
        raise SiteError(f"there is no SIP extension {text[:40]!r}; they are listed under Site Settings", "number")
    if len(found) > 1:
        raise SiteError(f"several PBXs have an extension {text}; expected {text} at NAME-OF-PBX", "number")
    return found[0]


def target(mac: str) -> str:
    """What the audit log calls a phone."""
    return f"phone {pretty_mac(mac)}"


def _who(request: Request) -> str:
    name: str = request.state.visitor.user.name
    return name

"""What an avalanche needs beforehand: extensions on the gateway, phones approved and bound, the fleet's file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from opx.gateway.opening import open_repository
from opx.kept.bulletin import tell
from opx.phone.handset.flash import Firmware, Flash
from opx.phone.handset.fleet import Member, write_members
from opx.phone.handset.menu import set_configuration_server
from opx.phone.handset.models import DEFAULT_VERSION, Identity
from opx.phone.handset.values import Values
from opx.suite.handsets.repository import PhoneRepository
from opx.suite.opening import open_sites
from opx.suite.sites.records import ExtensionRecord
from opx.suite.sites.repository import ExtensionQuery, SiteRepository
from opx.suite.topics import EXTENSIONS, PHONES
from support.whole_site import WholeSite

FIRST_NUMBER = 10_000
FIRST_MAC = 0x1400E9_000001
MODEL = "6930"
LOOK = 0.5
"""Seconds between two looks at what has come so far."""
LIMIT = 900.0


@dataclass(frozen=True, slots=True)
class Outside:
    """`count` phones, each with an address of its own from `first` on."""

    count: int
    first: str

    @property
    def numbers(self) -> list[str]:
        return [str(FIRST_NUMBER + n) for n in range(self.count)]

    def address(self, n: int) -> str:
        return str(IPv4Address(self.first) + n)


async def prepare(site: WholeSite, count: int) -> None:
    """Wait until the suite has read the extensions, and tick them all (guide stage 5)."""
    sites = await open_sites(site.suite_settings)
    try:
        found: list[ExtensionRecord] = []

        async def read() -> int:
            nonlocal found
            found, total = await sites.extensions(ExtensionQuery(present=True))
            return total

        await _until("extensions read from the PBX", read, count)
        refused = [result.refused for result in await sites.tick([one.id for one in found], True) if result.refused]
        if refused:
            raise SystemExit(f"{len(refused)} extensions cannot be teleworkers': {refused[0]}")
        await tell(site.suite_settings.bulletin, EXTENSIONS)
    finally:
        await sites.engine.dispose()


async def provisioned(site: WholeSite, count: int) -> None:
    """Wait until the suite has put them all on the gateway."""
    repository, _ = await open_repository(site.gateway_settings)
    try:

        async def devices() -> int:
            return len(await repository.devices())

        await _until("devices on the gateway", devices, count)
    finally:
        await repository.close()


async def approve_all(site: WholeSite, outside: Outside, file: Path) -> None:
    """Phones that have been in use: approved, assigned, bound to their digest; and their flash memories."""
    sites = await open_sites(site.suite_settings)
    try:
        phones = PhoneRepository(sites.engine, sites.sealer)
        authority = (site.suite_settings.certificates.folder / "ca.pem").read_text()
        extensions = await _ticked(sites)
        await phones.enter([(_mac(n), MODEL, extension.id) for n, extension in enumerate(extensions)])
        members = [
            await _approved(phones, Identity.of(_mac(n), MODEL), outside.address(n), site.outside, authority)
            for n in range(len(extensions))
        ]
        await tell(site.suite_settings.bulletin, PHONES)
    finally:
        await sites.engine.dispose()
    write_members(file, members)


async def _ticked(sites: SiteRepository) -> list[ExtensionRecord]:
    found, _ = await sites.extensions(ExtensionQuery(teleworker=True))
    return found


def _mac(n: int) -> str:
    return f"{FIRST_MAC + n:012X}"


async def _approved(phones: PhoneRepository, identity: Identity, local: str, server: str, authority: str) -> Member:
    record = await phones.approve(identity.mac, time.time(), 60.0)
    await phones.bind(identity.mac, local, time.time())
    assert record.digest is not None
    flash = Flash(Firmware("SIP", DEFAULT_VERSION), certificates=authority)
    typed = {
        "Download Protocol": "HTTPS",
        "HTTPS Server": server,
        "HTTPS Port": "8202",
        "Cert Validation": "false",
    }
    set_configuration_server(flash, Values(local=flash.local), typed)
    flash.server_files = {
        "startup.cfg": "!https validate certificates: 1\n",
        f"{identity.mac}.cfg": f"http digest username: {record.digest.name}\n"
        f"http digest password: {record.digest.password}\n",
    }
    return Member(identity, local, flash)


async def _until(what: str, count: Callable[[], Awaitable[int]], wanted: int) -> None:
    end = time.monotonic() + LIMIT
    while (there := await count()) < wanted:
        if time.monotonic() > end:
            raise SystemExit(f"only {there} of {wanted} {what} within {LIMIT:.0f} s")
        await asyncio.sleep(LOOK)

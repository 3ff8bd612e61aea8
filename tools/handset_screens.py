"""Draws the screens of an emulated 69xx on its way from the box to a call, at a real site: docs/images/handset.svg.

python tools/handset_screens.py docs/images/handset.svg
"""

import asyncio
import os
import re
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from opx.kept.bulletin import tell
from opx.phone.handset.drawing import screen
from opx.phone.handset.fetching import Manner
from opx.phone.handset.flash import Firmware, Flash
from opx.phone.handset.handset import Handset, Place
from opx.phone.handset.menu import MenuRefused, advanced, set_configuration_server
from opx.phone.handset.models import Identity
from opx.phone.handset.values import Values
from opx.sip.transport import WheelClock
from opx.suite.handsets.repository import PhoneRepository
from opx.suite.opening import open_sites
from opx.suite.sites.repository import ExtensionQuery
from opx.suite.topics import EXTENSIONS, PHONES
from support.network import claim_network
from support.whole_site import WholeSite

MAC, NUMBER = "1400E9000001", "1001"
WIDTH = 72
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
"""A reader's own fonts, and nothing fetched from anywhere."""
TYPED = {"Download Protocol": "HTTPS", "HTTPS Port": "8202", "Cert Validation": "false"}


def main() -> None:
    network = claim_network()
    console = Console(record=True, width=WIDTH, file=Path(os.devnull).open("w"))  # noqa: SIM115
    with tempfile.TemporaryDirectory() as folder, WholeSite(network, Path(folder), (NUMBER,)) as site:
        site.run("pbx", "gateway")
        asyncio.run(site.set_up())
        site.run("suite")
        asyncio.run(_record(site, console))
    network.release()
    Path(sys.argv[1]).write_text(console.export_svg(title="opx phone 69xx", code_format=FORMAT), encoding="utf-8")


async def _record(site: WholeSite, console: Console) -> None:
    def show(caption: str) -> None:
        console.print(f"[italic]{caption}[/]")
        console.print(screen(handset))

    clock = WheelClock()
    clock.start()
    place = Place(site.network.at("30.1"), manner=Manner(delays=(0.5, 1.0)))
    handset = Handset(Identity.of(MAC, "6930"), Flash(), place, clock)
    await handset.power_on()
    show("Unboxed: MiNET firmware")
    try:
        advanced(handset.flash, handset.values, "22222")
    except MenuRefused as refused:
        console.print(f"[red]{refused}[/]")
    await handset.power_off()
    # Upgraded in the office before it went home.
    handset.flash.firmware = Firmware("SIP", "6.4.0.140")
    advanced(handset.flash, Values(), "22222")
    set_configuration_server(handset.flash, Values(), {**TYPED, "HTTPS Server": site.outside})
    await handset.power_on()
    show("\nAt home, with the configuration server typed in: known to nobody yet")
    await _approve(site)
    await handset.reboot()
    await handset.registered.wait()
    show("\nApproved and assigned in the suite, and started again")
    call = handset.call("*9")
    await call.answered.wait()
    show("\nIn a call, through the gateway")
    await handset.power_off(sign_off=True)
    clock.stop()


async def _approve(site: WholeSite) -> None:
    sites = await open_sites(site.suite_settings)
    phones = PhoneRepository(sites.engine, sites.sealer)

    async def extension_id() -> int:
        found, _ = await sites.extensions(ExtensionQuery(present=True))
        return found[0].id if found else 0

    async def seen() -> int:
        return len(await phones.all())

    await _until(extension_id)
    await _until(seen)
    await sites.tick([await extension_id()], True)
    await tell(site.suite_settings.bulletin, EXTENSIONS)
    await phones.assign(MAC, await extension_id())
    await phones.approve(MAC, time.time(), 900.0)
    await tell(site.suite_settings.bulletin, PHONES, [MAC])
    await sites.engine.dispose()


async def _until(look: Callable[[], Awaitable[int]]) -> None:
    async with asyncio.timeout(60.0):
        while not await look():  # noqa: ASYNC110
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    main()

"""Pictures of the suite's pages of phones: its console alone, with an office of made-up phones."""

import asyncio
import io
import shutil
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from playwright.async_api import Page, ViewportSize, async_playwright
from small_png import shrink

from opx.suite.console.service import ConsoleService
from opx.suite.firmware.store import FirmwareStore
from opx.suite.handsets.keys import Key
from opx.suite.handsets.parameters import Parameter
from opx.suite.handsets.records import Side, Sighting
from opx.suite.handsets.repository import PhoneRepository
from opx.suite.profiles.records import ProfileKind, ProfileSpec, Scope
from opx.suite.profiles.repository import ProfileRepository
from opx.suite.sites.records import Authorization, GatewaySpec, Locations, ReadExtension
from opx.suite.syslog.repository import LogLine, PhoneLog
from opx.suite.timeline import Entry, Kind, Timeline, phone_subject
from opx.web.accounts import Role
from support.browser import ARGUMENTS, trust
from support.console import PASSWORD, quick_hasher
from support.network import claim_network
from support.suite_store import read, suite_file, with_pbx

WIDE = ViewportSize(width=1180, height=780)
NAMES = ("Ada Keller", "Bruno Weiss", "Carla Rossi", "David Meier", "Eva Lang", "Felix Roth", "Gina Berg", "Hot desk")
MAC = "1400E9{:06X}"


async def make(images: Path) -> None:
    network = claim_network()
    with tempfile.TemporaryDirectory(prefix="opx-phones-") as temporary, ExitStack() as running:
        running.callback(network.release)
        folder = Path(temporary)
        more = f'[firmware]\nfolder = "{folder}/firmware"\n'
        suite = ConsoleService(suite_file(folder, network.at("20.10"), more), quick_hasher())
        await suite.start()
        try:
            await fill(suite)
            authority = suite.certificate.authority_file
            assert authority is not None
            trust(folder, authority)
            async with async_playwright() as started:
                browser = await started.chromium.launch(
                    executable_path=shutil.which("chromium"),
                    args=list(ARGUMENTS),
                    env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
                )
                page = await browser.new_page(viewport=WIDE)
                await take(page, suite.settings.web_url, images)
                await browser.close()
        finally:
            await suite.stop()


async def take(page: Page, url: str, images: Path) -> None:
    await page.goto(f"{url}sign-in")
    await page.get_by_label("User name").fill("ada")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await shot(page, f"{url}phones", images / "phones-list.png")
    await shot(page, f"{url}keymap-profiles/1/keys/top", images / "phones-keymap.png")
    await page.emulate_media(color_scheme="dark")
    await shot(page, f"{url}phones/{MAC.format(1)}", images / "phones-one.png")


async def shot(page: Page, url: str, path: Path) -> None:
    await page.goto(url)
    await page.screenshot(path=path)
    shrink(path)


async def fill(suite: ConsoleService) -> None:
    """An office with some phones at home, one of which waits and one that somebody guesses at."""
    sites, engine, now = suite.sites, suite.sites.engine, time.time()
    phones, timeline = PhoneRepository(engine, sites.sealer), Timeline(engine)
    user = await suite.console.accounts.add("ada", Role.ADMINISTRATOR)
    await suite.console.accounts.set_password(user.id, await suite.console.hasher.hash(PASSWORD))
    await sites.gateway.save(GatewaySpec("192.168.20.1", rest_api=True))
    await sites.save_locations(Locations("opx.example.com", "203.0.113.1"))
    pbx, _ = await with_pbx(sites)
    known: list[ReadExtension] = [read(str(1001 + number), name=name) for number, name in enumerate(NAMES)]
    known[-1] = replace(known[-1], number="1500", hot_desk=True)
    await sites.take_over(pbx.id, known, now)
    found, _ = await sites.extensions()
    ids = {extension.number: extension.id for extension in found}
    seen = [
        Sighting(
            MAC.format(number),
            now - 240 * number,
            ("6930", "6940", "6920", "6930", "6970")[number % 5],
            "6.4.0.140-SIP",
            "Mitel",
            Side.TELEWORKER if number % 3 else Side.LOCAL,
            f"198.51.100.{number}" if number % 3 else f"192.168.20.{100 + number}",
            "9d3c01f2a4b577e0" if number < 7 else "",
        )
        for number in range(1, 10)
    ]
    await phones.note(seen, 100)
    for number in range(1, 7):
        mac = MAC.format(number)
        await phones.assign(mac, ids[str(1000 + number)])
        await phones.approve(mac, now, 900)
        await phones.bind(mac, f"198.51.100.{number}", now)
    await sites.authorize(ids["1001"], Authorization(True))
    await phones.hot_desk(MAC.format(3), ids["1500"])
    await phones.add(MAC.format(0x20), "6930")
    story = (
        (4000, Kind.DONE, "asked for the first time, from 198.51.100.1"),
        (3700, Kind.DONE, "extension 1001, assigned by ada"),
        (3690, Kind.DONE, "approved by ada"),
        (3600, Kind.DONE, "fetched configuration 9d3c01f2"),
        (3590, Kind.DONE, "the phone says: registered"),
        (900, Kind.REFUSED, "a wrong password from 203.0.113.99"),
        (240, Kind.DONE, "incoming call from 1003"),
    )
    entries = [Entry(phone_subject(MAC.format(1)), now - ago, kind, text) for ago, kind, text in story]
    warning = "asks from another home than before, 198.51.100.77"
    await timeline.note([*entries, Entry(phone_subject(MAC.format(4)), now, Kind.WARNING, warning)])
    await PhoneLog(engine).write([LogLine(MAC.format(3), "192.168.20.103", now, 3, "sip: 408 for REGISTER")])
    profiles = ProfileRepository(engine)
    keys = (
        Key("top", 3, "blf", "1002", "Bruno", 1),
        Key("top", 4, "blf", "1003", "Carla", 1),
        Key("top", 5, "speeddial", "0318001234", "Workshop"),
        Key("top", 6, "xml", "/xml/home", "Services"),
        Key("top", 8, "dnd", "", "Quiet", free=True),
    )
    sales = await profiles.save(ProfileSpec(ProfileKind.KEYMAP, "Sales", "Ground floor", keys))
    await profiles.use(ProfileKind.KEYMAP, Scope.DEFAULT, "", sales.id)
    plain = ProfileSpec(ProfileKind.CONFIGURATION, "Office", "", parameters=(Parameter("tone set", "UK"),))
    await profiles.save(replace(plain, hot_desking=True))
    await add_firmware(suite, ("6930", "6940", "6930"), ("6.4.0.140", "6.4.0.140", "6.3.0.1020"))


async def add_firmware(suite: ConsoleService, models: tuple[str, ...], versions: tuple[str, ...]) -> None:
    settings = suite.settings.firmware
    store = FirmwareStore(suite.sites.engine, settings.folder, settings.most_bytes)
    for model, version in zip(models, versions, strict=True):
        stream = io.BytesIO(f"{version}-SIP".encode() + bytes(40_000_000))

        async def piece(size: int, stream: io.BytesIO = stream) -> bytes:
            return stream.read(size)

        await store.add(piece, f"{model}.st", "", "", "ada")


def take_phones(images: Path) -> None:
    asyncio.run(make(images))

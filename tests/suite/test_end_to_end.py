"""The guide from an unboxed handset to a call: emulated 69xx at a real gateway, suite and PBX node, each a process.

Every phone of these tests has a MAC and an address of its own; the site is the same for all.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from opx.kept.bulletin import tell
from opx.phone.handset.boot import Outcome
from opx.phone.handset.fetching import Manner
from opx.phone.handset.flash import Firmware, Flash
from opx.phone.handset.handset import Handset, Place
from opx.phone.handset.keys import Place as KeyPlace
from opx.phone.handset.menu import MenuRefused, advanced, set_configuration_server
from opx.phone.handset.models import Identity
from opx.phone.handset.values import Values
from opx.phone.softphone import Account, Softphone
from opx.sip.transport import WheelClock
from opx.suite.alarms import AlarmRepository
from opx.suite.handsets.records import Side, State
from opx.suite.handsets.repository import PhoneRepository
from opx.suite.opening import open_sites
from opx.suite.profiles.records import ProfileKind, ProfileSpec, Scope
from opx.suite.profiles.repository import ProfileRepository
from opx.suite.sites.records import Authorization, ExtensionRecord
from opx.suite.sites.repository import ExtensionQuery, SiteRepository
from opx.suite.timeline import Timeline, phone_subject
from opx.suite.topics import EXTENSIONS, PHONES, PROFILES
from support.network import claim_network
from support.phones import TONES, hears, playing
from support.programs import PATIENCE
from support.whole_site import WholeSite

HOME, SECOND_HOME, LAN, CODE, OFFICE, SHARED = "1001", "1002", "1003", "1004", "1005", "1006"
HOT_DESK, PIN = "1901", "4711"
PASSWORD = "icp-{}-Secret"
OFTEN = "registration.set_min_expires = 10\nregistration.set_default_expires = 15\nregistration.set_max_expires = 20"
"""Sets renew after half of it, and so soon find out that their password is another one."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeSite]:
    """Stages 1 to 4 are done; the extensions were read, and some of them ticked (stage 5)."""
    network = claim_network()
    folder = tmp_path_factory.mktemp("site")
    numbers = (HOME, SECOND_HOME, LAN, CODE, OFFICE, SHARED)
    with WholeSite(network, folder, numbers, (HOT_DESK,), {"gateway": OFTEN}) as made:
        made.run("pbx", "gateway")
        asyncio.run(made.set_up())
        made.run("suite")
        asyncio.run(_tick(made, HOME, SECOND_HOME, CODE, SHARED, HOT_DESK))
        yield made
    network.release()


async def _tick(site: WholeSite, *numbers: str) -> None:
    async with opened(site) as desk:
        for number in numbers:
            await until(lambda number=number: desk.is_there(number))  # type: ignore[misc]
        await desk.sites.tick([(await desk.extension(number)).id for number in numbers], True)
        await tell(site.suite_settings.bulletin, EXTENSIONS)


class Desk:
    """What an administrator sees and does, through the suite's own repositories."""

    def __init__(self, site: WholeSite, sites: SiteRepository) -> None:
        self.sites = sites
        self.phones = PhoneRepository(sites.engine, sites.sealer)
        self.alarms = AlarmRepository(sites.engine)
        self.timeline = Timeline(sites.engine)
        self._site = site

    async def extension(self, number: str) -> ExtensionRecord:
        found, _ = await self.sites.extensions(ExtensionQuery(present=True))
        return next(extension for extension in found if extension.number == number)

    async def is_there(self, number: str) -> bool:
        found, _ = await self.sites.extensions(ExtensionQuery(present=True))
        return any(extension.number == number for extension in found)

    async def listed(self, mac: str) -> bool:
        return mac in {phone.mac for phone in await self.phones.all()}

    async def approve(self, mac: str, number: str = "") -> None:
        if number:
            await self.phones.assign(mac, (await self.extension(number)).id)
        await self.phones.approve(mac, time.time(), 900.0)
        await tell(self._site.suite_settings.bulletin, PHONES, [mac])

    async def give_password(self, number: str, password: str) -> None:
        """Another set-side password in the SIP Authorization form."""
        extension = await self.extension(number)
        await self.sites.authorize(extension.id, Authorization(True, remote_password=password))
        await tell(self._site.suite_settings.bulletin, EXTENSIONS, [str(extension.id)])

    async def let_hot_desk(self) -> None:
        """Enable Hot Desking in a configuration profile for all."""
        profiles = ProfileRepository(self.sites.engine)
        made = await profiles.save(ProfileSpec(ProfileKind.CONFIGURATION, "Hot desking", hot_desking=True))
        await profiles.use(ProfileKind.CONFIGURATION, Scope.DEFAULT, "", made.id)
        await tell(self._site.suite_settings.bulletin, PROFILES)

    async def alarm(self, kind: str) -> bool:
        standing, _ = await self.alarms.alarms(standing=True)
        return any(alarm.kind == kind for alarm in standing)

    async def said(self, mac: str) -> str:
        return "\n".join(entry.text for entry in await self.timeline.entries(phone_subject(mac)))


@asynccontextmanager
async def opened(site: WholeSite) -> AsyncIterator[Desk]:
    sites = await open_sites(site.suite_settings)
    try:
        yield Desk(site, sites)
    finally:
        await sites.engine.dispose()


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Look at what is stored until it is so."""
    async with asyncio.timeout(PATIENCE):
        while not await true():
            await asyncio.sleep(0.1)


@asynccontextmanager
async def handset(
    site: WholeSite, mac: str, address: str, server: str, flash: Flash | None = None
) -> AsyncIterator[Handset]:
    """One with SIP firmware, the configuration server typed in, at an address of this network."""
    flash = flash or Flash(Firmware("SIP", "6.4.0.140"))
    values = Values(local=flash.local)
    advanced(flash, values, "22222")
    typed = {"Download Protocol": "HTTPS", "HTTPS Server": server, "HTTPS Port": "8202", "Cert Validation": "false"}
    set_configuration_server(flash, values, typed)
    clock = WheelClock()
    clock.start()
    place = Place(site.network.at(address), manner=Manner(delays=(0.5, 1.0, 2.0)), source=playing(TONES[0]))
    made = Handset(Identity.of(mac, "6930"), flash, place, clock)
    try:
        await made.power_on()
        yield made
    finally:
        await made.power_off(sign_off=True)
        clock.stop()


def read(phone: Handset) -> Outcome:
    assert phone.last is not None
    return phone.last.outcome


def understood(phone: Handset) -> None:
    """Everything in its files is something that a 69xx knows."""
    assert phone.last is not None and phone.last.problems == []


async def registered(phone: Handset) -> None:
    async with asyncio.timeout(PATIENCE):
        await phone.registered.wait()


async def rebooted_with_a_line(phone: Handset) -> None:
    """As its user does who was told that it is ready; the process that phones ask may not have heard of it yet."""
    async with asyncio.timeout(PATIENCE):
        await phone.reboot()
        while not phone.lines:
            await asyncio.sleep(0.1)
            await phone.reboot()
    await registered(phone)


def in_flash(phone: Handset) -> str:
    """All that the phone was told, as it is on its flash."""
    return "\n".join(phone.flash.server_files.values())


async def test_an_unboxed_69xx_at_home_becomes_an_extension_and_calls_the_office(site: WholeSite) -> None:
    mac = "1400E9000001"
    with pytest.raises(MenuRefused, match="MiNET"):
        advanced(Flash(), Values(), "22222")
    async with opened(site) as desk, handset(site, mac, "30.1", site.outside) as phone:
        assert read(phone) is Outcome.READ
        understood(phone)
        assert [key.name for key in phone.keys if key.place is KeyPlace.TOP] == ["Line 1", "Line 2"], "no Setup key"
        assert phone.lines == []
        await until(lambda: desk.listed(mac))
        seen = await desk.phones.phone(mac)
        assert (seen.state, seen.model, seen.side) == (State.NEW, "6930", Side.TELEWORKER)
        assert seen.source == site.network.at("30.1"), "which the gateway told"
        await desk.approve(mac, HOME)
        await rebooted_with_a_line(phone)
        understood(phone)
        extension = await desk.extension(HOME)
        assert extension.remote is not None
        account = phone.lines[0].settings.proxy
        assert (account.server, account.auth_name, account.password) == (
            site.outside,
            extension.remote.name,
            extension.remote.password,
        )
        told = in_flash(phone)
        assert PASSWORD.format(HOME) not in told, "the ICP-side password"
        for inside in (site.inside, site.suite, site.pbx):
            assert inside not in told, "an inside address"
        assert phone.flash.certificates and phone.values.flag("https validate certificates")
        assert phone.values["admin password"] != "22222"
        await phone.reboot()
        assert read(phone) is Outcome.READ, "over TLS that it now checks, with its own digest"
        await registered(phone)
        assert (await desk.phones.phone(mac)).bound_at is not None
        boots = phone.boots
        await _talk(site, phone)
        await desk.give_password(HOME, "Another-set-side-1")
        await until(lambda: _has_password(phone, "Another-set-side-1"))
        await registered(phone)
        assert phone.boots > boots, "its registration was gone, and it was sent for the new password"


async def _has_password(phone: Handset, password: str) -> bool:
    return [line.settings.proxy.password for line in phone.lines] == [password]


async def _talk(site: WholeSite, phone: Handset) -> None:
    """Both ways, with the office's phone that answers by itself."""
    account = Account(OFFICE, PASSWORD.format(OFFICE), site.pbx)
    office = Softphone(account, site.network.at("20.105"), source=playing(TONES[1]))
    await office.start()
    try:
        office.register()
        async with asyncio.timeout(PATIENCE):
            await office.registered.wait()
            call = phone.call(OFFICE)
            await call.answered.wait()
        await hears(call, TONES[1])
        await hears(office.calls[0], TONES[0])
        phone.hang_up(call)
    finally:
        await office.stop()


async def test_the_same_mac_guessed_from_elsewhere_gets_nothing_and_there_is_alarm(site: WholeSite) -> None:
    mac = "1400E9000002"
    async with opened(site) as desk, handset(site, mac, "30.2", site.outside) as phone:
        await until(lambda: desk.listed(mac))
        await desk.approve(mac, SECOND_HOME)
        await rebooted_with_a_line(phone)
        await phone.reboot()
        await registered(phone)
        own = phone.flash.server_files[f"{mac}.cfg"]
        async with handset(site, mac, "31.2", site.outside) as guesser:
            for _ in range(3):
                await guesser.resync()
            assert guesser.lines == []
            guessed = guesser.flash.server_files.get(f"{mac}.cfg", "")
            for secret in ("sip line1 password", "http digest password", "admin password"):
                value = next((line for line in own.splitlines() if secret in line), "")
                assert value and value not in guessed, secret
        await until(lambda: desk.alarm("phone-guessed"))
        assert site.network.at("31.2") in await desk.said(mac)
        await phone.reboot()
        assert read(phone) is Outcome.READ
        await registered(phone)


async def test_a_code_typed_at_the_log_in_key_approves_the_phone(site: WholeSite) -> None:
    mac = "1400E9000004"
    async with opened(site) as desk, handset(site, mac, "30.4", site.outside) as phone:
        code = await desk.phones.make_code((await desk.extension(CODE)).id, time.time(), 900.0)
        await tell(site.suite_settings.bulletin, PHONES)
        await phone.actions.press("Log In")
        phone.actions.type_in(CODE)
        phone.actions.type_in(code)
        await phone.actions.press("Submit")
        await registered(phone)
        extension = await desk.extension(CODE)
        assert extension.remote is not None
        assert phone.lines[0].settings.proxy.username == extension.remote.name
        await phone.reboot()
        await registered(phone)
        seen = await desk.phones.phone(mac)
        assert (seen.state, seen.extension_id) == (State.APPROVED, extension.id)


async def test_a_phone_of_the_lan_gets_the_node_and_a_setup_key(site: WholeSite) -> None:
    mac = "1400E9000003"
    async with opened(site) as desk, handset(site, mac, "20.33", site.suite) as phone:
        understood(phone)
        assert "Setup" in [key.name for key in phone.keys]
        await until(lambda: desk.listed(mac))
        seen = await desk.phones.phone(mac)
        assert (seen.side, seen.source) == (Side.LOCAL, site.network.at("20.33"))
        await desk.approve(mac, LAN)
        await rebooted_with_a_line(phone)
        understood(phone)
        account = phone.lines[0].settings.proxy
        assert (account.server, account.username, account.password) == (site.pbx, LAN, PASSWORD.format(LAN))
        assert "Setup" not in [key.name for key in phone.keys]
        assert site.outside not in in_flash(phone)


async def test_a_hot_desk_extension_logs_in_at_a_phone_outside_and_out_again(site: WholeSite) -> None:
    mac = "1400E9000005"
    async with opened(site) as desk, handset(site, mac, "30.5", site.outside) as phone:
        await desk.let_hot_desk()
        await until(lambda: desk.listed(mac))
        await desk.approve(mac, SHARED)
        await rebooted_with_a_line(phone)
        own, guest = await desk.extension(SHARED), await desk.extension(HOT_DESK)
        assert own.remote is not None and guest.remote is not None
        assert phone.lines[0].settings.proxy.username == own.remote.name
        await _types(phone, HOT_DESK, "9999")
        assert phone.display.page is not None and "not right" in phone.display.page.text
        await phone.actions.press("goodbye")
        await _types(phone, HOT_DESK, PIN)
        await phone.idle()
        understood(phone)
        await registered(phone)
        assert phone.lines[0].settings.proxy.username == guest.remote.name
        await _talk(site, phone)
        await phone.actions.press("Log Out")
        await phone.idle()
        await registered(phone)
        assert phone.lines[0].settings.proxy.username == own.remote.name


async def _types(phone: Handset, number: str, pin: str) -> None:
    await phone.actions.press("Log In")
    phone.actions.type_in(number)
    phone.actions.type_in(pin)
    await phone.actions.press("Submit")


def test_no_program_logged_a_secret(site: WholeSite) -> None:
    for program in ("pbx", "gateway", "suite"):
        text = Path(site.folder / f"{program}.txt").read_text()
        assert "-Secret" not in text and "Traceback" not in text, text

"""Pages of phones, asked for as handsets do: who sees what, and what becomes of what they type."""

from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from opx.suite.handsets.records import PhoneRecord
from opx.suite.phone_pages.desk import PageDesk, PinError
from opx.suite.phone_pages.hot_desk import MAX_TRIES
from opx.suite.phone_pages.room import PagesRoom
from opx.suite.profiles.records import ProfileKind, ProfileSpec, Scope
from opx.suite.profiles.repository import ProfileRepository
from opx.suite.sites.records import Authorization, Credentials, ExtensionRecord
from support.handset_site import MAC, NOT_FOUND, OTHER, OUTSIDE, Handset, HandsetSite, handset_site, parameters
from support.suite_store import read

LAN = "192.168.20.101"
BASE = f"https://{OUTSIDE}:8202/"
LOCAL_BASE = "https://opx.example.com:8202/"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[HandsetSite]:
    async with handset_site(tmp_path) as made:
        yield made


def room(site: HandsetSite) -> PagesRoom:
    found = site.service.rooms[0]
    assert isinstance(found, PagesRoom)
    return found


async def approved(site: HandsetSite, mac: str = MAC, number: str = "", lan: str = "") -> Handset:
    """A phone that has its own digest, and has used it."""
    phone = Handset(site, mac, lan=lan, port=40000 if mac == MAC else 40001)
    await phone.fetch()
    await site.settled()
    await site.approve(mac, number)
    first = parameters(await phone.fetch())
    phone.credentials = Credentials(first["!http digest username"], first["!http digest password"])
    assert (await phone.fetch()).status_code == 200
    await site.settled()
    return phone


async def page(phone: Handset, path: str) -> ElementTree.Element:
    """What a page shows."""
    answer = await phone.fetch(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/xml; charset=utf-8"), path
    return ElementTree.fromstring(answer.content)


def uris(shown: ElementTree.Element) -> dict[str, str]:
    """The lines of a menu or directory with where they lead."""
    return {item.findtext("Prompt") or "": item.findtext("URI") or "" for item in shown.iter("MenuItem")}


async def enable_hot_desking(site: HandsetSite) -> None:
    profiles = ProfileRepository(site.service.house.sites.engine)
    record = await profiles.save(ProfileSpec(ProfileKind.CONFIGURATION, "Desks", hot_desking=True))
    await profiles.use(ProfileKind.CONFIGURATION, Scope.DEFAULT, "", record.id)
    await room(site).keeper.take_over()


class Pins:
    """Stands in for the PBX that knows PINs."""

    def __init__(self, site: HandsetSite, **right: str) -> None:
        self.right = {name.removeprefix("n"): pin for name, pin in right.items()}
        self.asked: list[str] = []
        self.away = False
        desk: PageDesk = room(site).desk
        object.__setattr__(desk, "check_pin", self.check)

    async def check(self, extension: ExtensionRecord, pin: str, mac: str) -> bool:
        self.asked.append(f"{extension.number} {mac}")
        if self.away:
            raise PinError("the PBX did not answer")
        return self.right.get(extension.number) == pin


async def test_an_approved_phone_is_pointed_at_its_pages_by_the_address_that_it_reaches(site: HandsetSite) -> None:
    outside = await approved(site, number="2001")
    given = parameters(await outside.fetch())
    assert given["!services script"] == f"{BASE}xml/home" and given["!directory script"] == f"{BASE}xml/directory"
    assert given["!action uri incoming"] == f"{BASE}xml/action/incoming?number=$$REMOTENUMBER$$"
    inside = await approved(site, OTHER, "2003", lan=LAN)
    given = parameters(await inside.fetch())
    assert given["!services script"] == f"{LOCAL_BASE}xml/home"
    assert uris(await page(outside, "/xml/home"))["Directory"] == f"{BASE}xml/directory"


async def test_nobody_but_the_phone_itself_gets_a_page(site: HandsetSite) -> None:
    await approved(site, number="2001")
    stranger = Handset(site, port=40009)
    for path in ("/xml/home", "/xml/desk", "/xml/action/startup", "/directory.csv", "/xml/setup"):
        assert (await stranger.ask(path)).status_code == 401
        assert (await stranger.fetch(path)).status_code in (401, 404)
    phone = await approved(site, OTHER)
    answer = await phone.fetch("/xml/nothing")
    assert (answer.status_code, answer.content) == NOT_FOUND


async def test_the_directory_is_a_file_and_a_search_in_pages(site: HandsetSite) -> None:
    sites = site.service.house.sites
    (pbx,) = await sites.pbxs()
    many = [read(str(3000 + number), name=f"Müller <{number}>") for number in range(40)]
    await sites.take_over(pbx.id, [read("2001", name='Ada, "Reception"'), *many], 1.0)
    await site.service.keeper.take_over_all()
    phone = await approved(site, number="2001")
    given = parameters(await phone.fetch())
    assert given["!sip line1 display name"] == "Ada, 'Reception'"
    answer = await phone.fetch(f"/{given['!directory 1']}")
    lines = answer.text.splitlines()
    assert lines[0] == '"Ada, ""Reception""",2001' and "Müller <7>,3007" in lines and len(lines) == 41
    again = await phone.fetch("/directory.csv")
    assert again.headers["etag"] == answer.headers["etag"]
    assert (await page(phone, "/xml/directory")).tag == "AastraIPPhoneInputScreen"
    first = await page(phone, "/xml/directory?search=m%C3%BCller")
    assert first.tag == "AastraIPPhoneDirectory" and first.findtext("Title") == "Directory (1/3)"
    assert len(uris(first)) == 15 and first.get("previous") is None
    following = first.get("next") or ""
    assert following.startswith(BASE)
    second = await page(phone, following.removeprefix(BASE.rstrip("/")))
    assert second.findtext("Title") == "Directory (2/3)" and not set(uris(first)) & set(uris(second))
    last = await page(phone, "/xml/directory?search=m%C3%BCller&page=99")
    assert last.findtext("Title") == "Directory (3/3)" and last.get("next") is None
    assert list(uris(await page(phone, "/xml/directory?search=ada"))) == ['Ada, "Reception" 2001']
    assert "Nobody is found for x." in ((await page(phone, "/xml/directory?search=x")).findtext("Text") or "")


async def test_a_hot_desk_extension_logs_in_and_out_and_the_phones_file_follows(site: HandsetSite) -> None:
    await enable_hot_desking(site)
    pins = Pins(site, n2900="2468")
    phone = await approved(site, number="2003", lan=LAN)
    given = parameters(await phone.fetch())
    assert given["!topsoftkey3 label"] == "Log In" and given["!topsoftkey3 value"] == f"{LOCAL_BASE}xml/desk"
    form = await page(phone, "/xml/desk")
    assert [field.findtext("Parameter") for field in form.iter("InputField")] == ["extension", "pin"]
    for number, pin in (("2900", "1111"), ("2001", "2468"), ("9999", "2468"), ("2900", "abc")):
        refused = await page(phone, f"/xml/desk?extension={number}&pin={pin}")
        assert refused.findtext("Text") == "Extension or PIN is not right."
    assert pins.asked == [f"2900 {MAC}"]
    done = await page(phone, "/xml/desk?extension=2900&pin=2468")
    assert [item.get("URI") for item in done] == ["Command: FastReboot"]
    given = parameters(await phone.fetch())
    assert (given["!sip line1 user name"], given["!topsoftkey3 label"]) == ("2900", "Log Out")
    assert "Log out" in uris(await page(phone, "/xml/home"))
    await page(phone, "/xml/desk/out")
    assert parameters(await phone.fetch())["!sip line1 user name"] == "2003"
    await room(site).journal.flush()
    said = await site.timeline()
    assert "hot desk extension 2900 logged in" in said and "hot desk extension 2900 logged out" in said
    assert "2468" not in " ".join(said)


async def test_a_log_in_elsewhere_takes_the_extension_from_the_phone_before(site: HandsetSite) -> None:
    await enable_hot_desking(site)
    Pins(site, n2900="2468")
    first = await approved(site, number="2003", lan=LAN)
    second = await approved(site, OTHER, "2001", lan="192.168.20.102")
    for phone in (first, second):
        await page(phone, "/xml/desk?extension=2900&pin=2468")
    assert parameters(await first.fetch())["!sip line1 user name"] == "2003"
    assert parameters(await second.fetch())["!sip line1 user name"] == "2900"
    await room(site).journal.flush()
    assert "hot desk extension 2900 logged in at another phone" in await site.timeline()


async def test_outside_a_hot_desk_extension_is_refused_until_the_gateway_has_it(site: HandsetSite) -> None:
    await enable_hot_desking(site)
    Pins(site, n2900="2468")
    phone = await approved(site, number="2001")
    refused = await page(phone, "/xml/desk?extension=2900&pin=2468")
    assert "is not for teleworkers" in (refused.findtext("Text") or "")
    await site.service.house.sites.authorize(site.extensions["2900"], Authorization(True))
    await site.service.keeper.take_over_all()
    refused = await page(phone, "/xml/desk?extension=2900&pin=2468")
    assert "it is not on the border gateway yet" in (refused.findtext("Text") or "")
    assert (await site.phone()).hot_desk_id is None
    await room(site).journal.flush()
    said = " ".join(await site.timeline())
    assert "hot desk extension 2900 cannot log in here: it is not on the border gateway yet" in said

    async def there(extension_id: int) -> bool:
        return True

    object.__setattr__(room(site).desk, "on_gateway", there)
    await page(phone, "/xml/desk?extension=2900&pin=2468")
    assert (await site.phone()).hot_desk_id == site.extensions["2900"]


async def test_wrong_pins_at_a_phone_are_bounded_and_a_pbx_that_is_away_is_said(site: HandsetSite) -> None:
    await enable_hot_desking(site)
    pins = Pins(site, n2900="2468")
    phone = await approved(site, number="2003", lan=LAN)
    pins.away = True
    away = await page(phone, "/xml/desk?extension=2900&pin=2468")
    assert "does not answer" in (away.findtext("Text") or "")
    pins.away = False
    for _ in range(MAX_TRIES):
        await page(phone, "/xml/desk?extension=2900&pin=0000")
    locked = await page(phone, "/xml/desk?extension=2900&pin=2468")
    assert "Too many wrong tries" in (locked.findtext("Text") or "")
    assert len(pins.asked) == MAX_TRIES + 1


async def test_hot_desking_is_off_where_no_profile_enables_it(site: HandsetSite) -> None:
    phone = await approved(site, number="2003", lan=LAN)
    assert "!topsoftkey3 label" not in parameters(await phone.fetch())
    assert "Log in" not in uris(await page(phone, "/xml/home"))
    assert "not enabled" in ((await page(phone, "/xml/desk?extension=2900&pin=2468")).findtext("Text") or "")


async def test_the_setup_key_offers_what_is_free_to_an_approved_phone_of_the_lan(site: HandsetSite) -> None:
    await approved(site, OTHER, "2001")
    phone = await approved(site, lan=LAN)
    given = parameters(await phone.fetch())
    assert given["!topsoftkey3 label"] == "Setup"
    key = await phone.ask(given["!topsoftkey3 value"].removeprefix(LOCAL_BASE.rstrip("/")))
    (led,) = [item.get("URI") or "" for item in ElementTree.fromstring(key.content)]
    menu = await page(phone, led.removeprefix(LOCAL_BASE.rstrip("/")))
    offered = uris(menu)
    assert list(offered) == ["2002", "2003"]
    await page(phone, offered["2003"].removeprefix(LOCAL_BASE.rstrip("/")))
    assert parameters(await phone.fetch())["!sip line1 user name"] == "2003"
    assert "has an extension already" in ((await page(phone, "/xml/setup")).findtext("Text") or "")
    outside = Handset(site, OTHER, port=40001, credentials=(await digest_of(site, OTHER)))
    assert "administrator assigns" in ((await page(outside, "/xml/setup")).findtext("Text") or "")


async def digest_of(site: HandsetSite, mac: str) -> Credentials:
    phone: PhoneRecord = await site.phone(mac)
    assert phone.digest is not None
    return phone.digest


async def test_a_new_phones_setup_key_asks_for_extension_and_code(site: HandsetSite) -> None:
    phone = Handset(site, lan=LAN)
    await phone.fetch()
    await site.settled()
    house = site.service.house
    code = await house.phones.make_code(site.extensions["2003"], site.service.clock(), 3600)
    form = ElementTree.fromstring((await phone.ask("/setup")).content)
    assert form.findtext("Title") == "Setup" and [item.text for item in form.iter("Parameter")] == ["extension", "code"]
    wrong = await phone.ask("/setup?extension=2003&code=0000000000")
    assert "not right" in wrong.text and not (await site.phone()).approved
    right = ElementTree.fromstring((await phone.ask(f"/setup?extension=2003&code={code}")).content)
    assert [item.get("URI") for item in right] == ["Command: FastReboot"]
    stored = await site.phone()
    assert stored.approved and stored.extension_id == site.extensions["2003"]
    answer = await Handset(site, OTHER, port=40001).ask("/setup")
    assert (answer.status_code, answer.content) == NOT_FOUND


async def test_pictures_are_for_every_handset(site: HandsetSite) -> None:
    answer = await Handset(site).ask("/images/logo.png")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.content.startswith(b"\x89PNG")
    assert (await Handset(site).ask("/images/../secret.png")).status_code == 404

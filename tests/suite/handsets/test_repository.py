"""Phones and one-time codes in the database."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from opx.sip.digest import Algorithm
from opx.suite.handsets.codes import verifier_of
from opx.suite.handsets.records import FACTORY_ADMIN_PASSWORD, Side, Sighting, State
from opx.suite.handsets.repository import PhoneQuery, PhoneRepository
from opx.suite.sites.records import Conflict, Missing, SiteError
from opx.suite.sites.repository import SiteRepository
from support.suite_store import open_suite, read, with_pbx

pytestmark = pytest.mark.usefixtures("each_database")

MAC = "1400E9123456"
OTHER = "1400E9654321"
NOW = 1_800_000_000.0
SEEN = Sighting(MAC, NOW, "6930", "6.4.0.140-SIP", "Mitel6930 MAC:14-00-E9-12-34-56 V:6.4.0.140-SIP", Side.TELEWORKER)


@dataclass
class Store:
    sites: SiteRepository
    phones: PhoneRepository
    extensions: dict[str, int]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_suite(tmp_path) as sites:
        pbx, _ = await with_pbx(sites)
        await sites.take_over(pbx.id, [read("2001"), read("2002"), read("2900", hot_desk=True)], NOW)
        found, _ = await sites.extensions()
        yield Store(sites, PhoneRepository(sites.engine, sites.sealer), {item.number: item.id for item in found})


async def test_what_is_seen_first_is_listed_as_new_and_has_no_secret(store: Store) -> None:
    assert await store.phones.note([SEEN, replace(SEEN, at=NOW + 5, source="198.51.100.7")], 10) == [MAC]
    phone = await store.phones.phone(MAC)
    assert (phone.state, phone.side, phone.model) == (State.NEW, "teleworker", "6930")
    assert (phone.first_seen, phone.last_seen, phone.source) == (NOW + 5, NOW + 5, "198.51.100.7")
    assert phone.digest is None and phone.admin_password == "" and phone.user_password == ""


async def test_a_later_sighting_changes_no_version_and_keeps_what_it_does_not_know(store: Store) -> None:
    await store.phones.note([replace(SEEN, source="198.51.100.7", delivered="abc")], 10)
    assert await store.phones.note([replace(SEEN, at=NOW + 60, firmware="6.5.0-SIP")], 10) == []
    phone = await store.phones.phone(MAC)
    assert (phone.first_seen, phone.last_seen, phone.firmware) == (NOW, NOW + 60, "6.5.0-SIP")
    assert (phone.source, phone.delivered, phone.delivered_at, phone.version) == ("198.51.100.7", "abc", NOW, 1)


async def test_unknown_phones_beyond_the_bound_are_left_out(store: Store) -> None:
    many = [replace(SEEN, mac=f"1400E900000{index}") for index in range(5)]
    assert len(await store.phones.note(many, 3)) == 3
    assert await store.phones.count(State.NEW) == 3
    assert await store.phones.note([replace(SEEN, mac=OTHER)], 3) == []


async def test_an_approval_brings_random_secrets_and_opens_a_window_for_the_source(store: Store) -> None:
    await store.phones.note([replace(SEEN, source="198.51.100.7"), replace(SEEN, mac=OTHER)], 10)
    phone = await store.phones.approve(MAC, NOW, 600.0)
    other = await store.phones.approve(OTHER, NOW, 600.0)
    assert phone.digest and other.digest and phone.digest.password != other.digest.password
    assert len(phone.digest.password) == 20 and len(phone.digest.name) <= 40
    assert phone.admin_password.isdigit() and phone.admin_password not in (FACTORY_ADMIN_PASSWORD, other.admin_password)
    assert phone.window_open(NOW + 599) and not phone.window_open(NOW + 600)
    assert phone.window_source == "198.51.100.7"
    assert phone.digest.password not in repr(phone) and phone.admin_password not in repr(phone)


async def test_a_bound_phone_has_no_window_and_a_new_approval_brings_another_digest(store: Store) -> None:
    await store.phones.note([SEEN], 10)
    first = await store.phones.approve(MAC, NOW, 600.0)
    bound = await store.phones.bind(MAC, "198.51.100.7", NOW + 1)
    assert (bound.bound_at, bound.bound_source, bound.window_open(NOW + 2)) == (NOW + 1, "198.51.100.7", False)
    again = await store.phones.approve(MAC, NOW + 9, 600.0)
    assert again.digest != first.digest and again.bound_at is None and again.window_open(NOW + 10)
    assert again.admin_password == first.admin_password


async def test_a_revoked_phone_keeps_its_extension_and_loses_its_digest(store: Store) -> None:
    await store.phones.note([SEEN], 10)
    await store.phones.assign(MAC, store.extensions["2001"])
    await store.phones.approve(MAC, NOW, 600.0)
    phone = await store.phones.revoke(MAC)
    assert phone.state is State.REVOKED and phone.digest is None and not phone.window_open(NOW)
    assert phone.extension_id == store.extensions["2001"]


async def test_an_extension_is_one_phones_only(store: Store) -> None:
    await store.phones.note([SEEN, replace(SEEN, mac=OTHER)], 10)
    await store.phones.assign(MAC, store.extensions["2001"])
    with pytest.raises(SiteError, match=f"2001 is the extension of phone {MAC} already"):
        await store.phones.assign(OTHER, store.extensions["2001"])
    with pytest.raises(SiteError, match="hot desk"):
        await store.phones.assign(OTHER, store.extensions["2900"])
    await store.phones.assign(MAC, None)
    await store.phones.assign(OTHER, store.extensions["2001"])


async def test_a_hot_desk_extension_moves_to_the_phone_that_it_is_logged_in_to_last(store: Store) -> None:
    await store.phones.note([SEEN, replace(SEEN, mac=OTHER)], 10)
    await store.phones.assign(MAC, store.extensions["2001"])
    phone, left = await store.phones.hot_desk(MAC, store.extensions["2900"])
    assert (phone.used_extension_id, left) == (store.extensions["2900"], "")
    _, left = await store.phones.hot_desk(OTHER, store.extensions["2900"])
    assert left == MAC
    assert (await store.phones.phone(MAC)).used_extension_id == store.extensions["2001"]
    with pytest.raises(SiteError, match="no hot desk extension"):
        await store.phones.hot_desk(MAC, store.extensions["2002"])


async def test_a_code_approves_and_assigns_once(store: Store) -> None:
    number, key = "2001", store.extensions["2001"]
    code = await store.phones.make_code(key, NOW, 3600.0)
    assert code.isdigit()
    ((record, verifier),) = await store.phones.code_for(number, NOW, 5)
    assert record.extension_id == key and verifier == verifier_of(number, code)
    assert set(verifier) == set(Algorithm)
    phone = await store.phones.redeem(SEEN, key, verifier, NOW, 600.0)
    assert phone.state is State.APPROVED and phone.extension_id == key and phone.window_open(NOW)
    with pytest.raises(SiteError, match="used already"):
        await store.phones.redeem(replace(SEEN, mac=OTHER), key, verifier, NOW, 600.0)


async def test_a_code_ends_with_its_time_its_tries_and_its_successor(store: Store) -> None:
    key = store.extensions["2001"]
    old = verifier_of("2001", await store.phones.make_code(key, NOW, 3600.0))
    await store.phones.make_code(key, NOW, 3600.0)
    with pytest.raises(SiteError):
        await store.phones.redeem(SEEN, key, old, NOW, 600.0)
    assert await store.phones.code_for("2001", NOW + 3600, 5) == []
    for _ in range(5):
        await store.phones.note_wrong_code([key])
    assert await store.phones.code_for("2001", NOW, 5) == []


async def test_a_revoked_phone_is_not_approved_by_a_code(store: Store) -> None:
    await store.phones.note([SEEN], 10)
    await store.phones.revoke(MAC)
    key = store.extensions["2001"]
    verifier = verifier_of("2001", await store.phones.make_code(key, NOW, 3600.0))
    with pytest.raises(SiteError, match="revoked"):
        await store.phones.redeem(SEEN, key, verifier, NOW, 600.0)
    assert (await store.phones.phone(MAC)).extension_id is None


async def test_the_list_finds_by_mac_number_and_state_and_has_the_new_ones_first(store: Store) -> None:
    await store.phones.note([SEEN, replace(SEEN, mac=OTHER, at=NOW + 9)], 10)
    await store.phones.approve(OTHER, NOW, 60.0)
    await store.phones.assign(OTHER, store.extensions["2002"])
    found, total = await store.phones.phones()
    assert ([phone.mac for phone in found], total) == ([MAC, OTHER], 2)
    for text in ("2002", "65:43", "65-43-21", OTHER.lower()):
        assert [phone.mac for phone in (await store.phones.phones(PhoneQuery(text)))[0]] == [OTHER]
    assert [phone.mac for phone in (await store.phones.phones(PhoneQuery(state=State.NEW)))[0]] == [MAC]


async def test_who_was_not_the_first_is_told(store: Store) -> None:
    phone = await store.phones.add("14:00:e9:12:34:56", "6930")
    assert phone.mac == MAC
    await store.phones.approve(MAC, NOW, 60.0, version=phone.version)
    with pytest.raises(Conflict):
        await store.phones.revoke(MAC, version=phone.version)
    with pytest.raises(SiteError, match="no MAC address"):
        await store.phones.add("14:00:e9")
    await store.phones.forget(MAC)
    with pytest.raises(Missing):
        await store.phones.phone(MAC)

"""Extension and one-time code at a new phone's Log In key, by digest and by page, and whoever tries to guess them."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opx.suite.handsets.records import State
from opx.suite.sites.records import Credentials
from support.handset_site import HOME, MAC, NOT_FOUND, OTHER, Handset, HandsetSite, handset_site, parameters

PAGE = '[handsets.provision]\nlog_in = "xml"\n'


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[HandsetSite]:
    async with handset_site(tmp_path) as made:
        yield made


async def code_for(site: HandsetSite, number: str, lasting: float = 3600.0) -> str:
    return await site.service.house.phones.make_code(site.extensions[number], site.service.clock(), lasting)


def typed(site: HandsetSite, number: str, code: str, mac: str = MAC, home: str = HOME, port: int = 40000) -> Handset:
    return Handset(site, mac, home=home, port=port, credentials=Credentials(number, code))


async def test_extension_and_code_approve_the_phone_and_are_answered_with_its_account(site: HandsetSite) -> None:
    assert parameters(await Handset(site).fetch())["!http digest force login"] == "1"
    code = await code_for(site, "2001")
    given = parameters(await typed(site, "2001", code).fetch())
    assert given["!sip line1 user name"] == "tw-2001"
    assert given["!http digest force login"] == "0"
    phone = await site.phone()
    assert (phone.state, phone.extension_id) == (State.APPROVED, site.extensions["2001"])
    assert "approved as extension 2001 by its one-time code" in await site.timeline()
    own = Credentials(given["!http digest username"], given["!http digest password"])
    assert (await Handset(site, credentials=own).fetch()).status_code == 200


async def test_a_code_serves_one_phone_once(site: HandsetSite) -> None:
    code = await code_for(site, "2001")
    given = parameters(await typed(site, "2001", code).fetch())
    # The answer may have been lost on its way: the same phone may type it again, until it has its own digest.
    assert (await typed(site, "2001", code).fetch()).status_code == 200
    assert (await typed(site, "2001", code, OTHER, port=40001).fetch()).status_code == 401
    latest = (await site.phone()).digest
    assert latest is not None and latest.password != given["!http digest password"]
    assert (await Handset(site, credentials=latest).fetch()).status_code == 200
    await site.settled()
    assert (await typed(site, "2001", code).fetch()).status_code == 401


@pytest.mark.parametrize("change", ["number", "code", "both"])
async def test_each_half_must_be_right(site: HandsetSite, change: str) -> None:
    code = await code_for(site, "2001")
    await code_for(site, "2002")
    number = "2002" if change in ("number", "both") else "2001"
    wrong = code[::-1] if code[::-1] != code else "0" * 10
    answer = await typed(site, number, wrong if change in ("code", "both") else code).fetch()
    assert answer.status_code == 401
    assert site.service.book.phone(MAC) is None


async def test_a_code_that_has_expired_is_none(tmp_path: Path) -> None:
    now = [1_800_000_000.0]
    async with handset_site(tmp_path, clock=lambda: now[0]) as site:
        code = await code_for(site, "2001", 600.0)
        now[0] += 600.0
        assert (await typed(site, "2001", code).fetch()).status_code == 401


async def test_a_phone_and_a_code_have_few_tries(site: HandsetSite) -> None:
    code = await code_for(site, "2001")
    for _ in range(5):
        await typed(site, "2001", "0000000000").fetch()
    assert (await typed(site, "2001", code).fetch()).status_code == 401
    for index in range(1, 4):
        for _ in range(3):
            await typed(site, "2001", "0000000000", f"1400E900000{index}", f"192.0.2.{index}", 41000 + index).fetch()
    assert (await typed(site, "2001", code, OTHER, "192.0.2.77", 41077).fetch()).status_code == 401
    assert (await site.service.house.phones.code_list(site.service.clock()))[0].tries >= 10
    assert ("codes-guessed", "2001") in await site.alarms()


async def test_neither_code_nor_password_stands_on_a_timeline(site: HandsetSite) -> None:
    await Handset(site).fetch()
    code = await code_for(site, "2001")
    await typed(site, "2001", "1112223334").fetch()
    await typed(site, "2001", code).fetch()
    text = "\n".join(await site.timeline())
    assert "a wrong one-time code was typed for extension 2001" in text
    assert code not in text and "1112223334" not in text


async def test_an_extension_of_another_phone_is_not_taken_over_by_a_code(site: HandsetSite) -> None:
    await Handset(site, OTHER).fetch()
    await site.settled()
    await site.approve(OTHER, "2001")
    code = await code_for(site, "2001")
    assert (await typed(site, "2001", code).fetch()).status_code == 401
    assert (await site.phone(OTHER)).extension_id == site.extensions["2001"]


async def test_the_code_is_not_taken_without_tls(site: HandsetSite) -> None:
    code = await code_for(site, "2003")
    phone = Handset(site, lan="192.168.20.101", scheme="http", credentials=Credentials("2003", code))
    assert (await phone.fetch()).status_code == 401
    assert site.service.book.phone(MAC) is None


async def test_the_page_asks_for_both_and_has_the_phone_start_anew(tmp_path: Path) -> None:
    async with handset_site(tmp_path, PAGE) as site:
        phone = Handset(site)
        given = parameters(await phone.fetch())
        assert (given["!topsoftkey3 label"], given["!http digest force login"]) == ("Log In", "0")
        page = given["!topsoftkey3 value"].removeprefix("https://203.0.113.1:8202")
        form = await phone.ask(page)
        assert form.headers["content-type"].startswith("text/xml")
        assert re.findall(r"<Parameter>(\w+)</Parameter>", form.text) == ["extension", "code"]
        wrong = await phone.ask(f"{page}?extension=2001&code=1234567890")
        await site.settled()
        assert "not right" in wrong.text and (await site.phone()).state is State.NEW
        code = await code_for(site, "2001")
        right = await phone.ask(f"{page}?extension=2001&code={code}")
        assert "Command: FastReboot" in right.text
        assert not any(secret in right.text for secret in ("set-Side-2001", code))
        assert parameters(await phone.fetch())["!sip line1 password"] == "set-Side-2001"


async def test_the_page_is_not_there_when_the_handset_asks_itself(site: HandsetSite) -> None:
    answer = await Handset(site).ask("/login?extension=2001&code=1")
    assert (answer.status_code, answer.content) == NOT_FOUND


async def test_with_log_in_off_no_code_is_taken(tmp_path: Path) -> None:
    async with handset_site(tmp_path, '[handsets.provision]\nlog_in = "off"\n') as site:
        code = await code_for(site, "2001")
        assert parameters(await Handset(site).fetch())["!http digest force login"] == "0"
        assert (await typed(site, "2001", code).fetch()).status_code == 401

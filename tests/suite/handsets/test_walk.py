"""A handset's requests from the first to the last, in process: who gets what, and what stands where afterwards."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opx.gateway_client.errors import PermissionMissing, Unreachable
from opx.suite.handsets.origins import Connection
from opx.suite.handsets.records import FACTORY_ADMIN_PASSWORD, FACTORY_CREDENTIALS, State
from opx.suite.sites.records import Credentials
from support.handset_site import (
    HOME,
    MAC,
    NOT_FOUND,
    OTHER,
    OUTSIDE,
    SUITE,
    Handset,
    HandsetSite,
    handset_site,
    parameters,
)

SECRET_NAMES = ("password", "auth name", "user name")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[HandsetSite]:
    async with handset_site(tmp_path) as made:
        yield made


def secrets_of(site: HandsetSite) -> list[str]:
    """Whatever nobody but the phone that it is for may ever see."""
    found = [part for item in site.service.book.extensions.values() for part in (item.internal, item.remote) if part]
    phones = site.service.book.phones.values()
    own = [phone.digest.password for phone in phones if phone.digest] + [phone.admin_password for phone in phones]
    return [item.password for item in found] + [item for item in own if item]


async def bound(site: HandsetSite, mac: str = MAC, number: str = "2001") -> Handset:
    """A teleworker's phone that has its own digest, and has used it."""
    phone = Handset(site, mac)
    await phone.fetch()
    await site.settled()
    await site.approve(mac, number)
    first = parameters(await phone.fetch())
    phone.credentials = Credentials(first["!http digest username"], first["!http digest password"])
    assert (await phone.fetch()).status_code == 200
    await site.settled()
    return phone


async def test_a_phone_that_nobody_knows_is_challenged_and_then_gets_two_line_keys_and_no_secret(
    site: HandsetSite,
) -> None:
    phone = Handset(site)
    assert (await phone.ask(f"/{MAC}.cfg")).status_code == 401
    answer = await phone.fetch()
    given = parameters(answer)
    assert (answer.status_code, given["!topsoftkey1 label"], given["!topsoftkey2 type"]) == (200, "Line 1", "line")
    assert given["!http digest force login"] == "1" and "!topsoftkey3 type" not in given
    assert given["!sip line1 password"] == given["!sip line1 user name"] == ""
    assert "admin password" not in answer.text
    assert not [secret for secret in secrets_of(site) if secret in answer.text]
    await site.settled()
    seen = await site.phone()
    assert (seen.state, seen.side, seen.model, seen.firmware) == (State.NEW, "teleworker", "6930", "6.4.0.140-SIP")
    assert (seen.source, site.service.book.phone(MAC)) == (HOME, seen)


async def test_an_approved_phone_is_given_the_outside_address_and_the_set_side_credentials(site: HandsetSite) -> None:
    phone = Handset(site)
    await phone.fetch()
    await site.settled()
    approved = await site.approve(number="2001")
    given = parameters(await phone.fetch())
    assert (given["!sip line1 registrar ip"], given["!sip line1 registrar port"]) == (OUTSIDE, "5060")
    assert (given["!sip line1 user name"], given["!sip line1 password"]) == ("tw-2001", "set-Side-2001")
    assert given["!admin password"] == approved.admin_password != FACTORY_ADMIN_PASSWORD
    assert given["!https server"] == OUTSIDE and given["!https validate certificates"] == "1"
    await site.settled()
    stored = await site.phone()
    assert stored.delivered and stored.delivered_at
    assert await site.timeline() == [f"fetched configuration {stored.delivered[:8]}"]


async def test_the_first_delivery_is_for_the_approved_source_alone(site: HandsetSite) -> None:
    phone = Handset(site)
    await phone.fetch()
    await site.settled()
    await site.approve(number="2001")
    stranger = await Handset(site, home="192.0.2.66", port=40001).fetch()
    assert parameters(stranger)["!sip line1 password"] == ""
    assert f"its first configuration is for {HOME} alone (from 192.0.2.66)" in await site.timeline()
    for _ in range(2):
        await Handset(site, home="192.0.2.66", port=40001).fetch()
    assert ("phone-guessed", "14:00:E9:12:34:56") in await site.alarms()
    assert parameters(await phone.fetch())["!sip line1 password"] == "set-Side-2001"


async def test_a_phone_that_waits_starts_anew_when_it_was_approved_and_nobody_else_learns_of_it(
    site: HandsetSite,
) -> None:
    phone = Handset(site)
    given = parameters(await phone.fetch())
    page = given["action uri poll"].removeprefix("https://203.0.113.1:8202")
    await site.settled()
    waits = (await phone.ask(page)).text
    assert "Execute" in waits and "Reboot" not in waits
    await site.approve(number="2001")
    elsewhere = Handset(site, home="192.0.2.66", port=40001)
    unknown = Handset(site, OTHER, port=40002)
    assert (await elsewhere.ask(page)).text == (await unknown.ask(page)).text == waits
    assert "Command: FastReboot" in (await phone.ask(page)).text
    given = parameters(await phone.fetch())
    assert "action uri poll" not in given
    phone.credentials = Credentials(given["!http digest username"], given["!http digest password"])
    await phone.fetch()
    await site.settled()
    assert (await phone.ask(page)).text == waits


async def test_its_own_digest_binds_a_phone_and_nothing_else_opens_its_file_from_then_on(site: HandsetSite) -> None:
    phone = await bound(site)
    stored = await site.phone()
    assert stored.bound_at and stored.bound_source == HOME
    assert "bound: it used its own digest for the first time" in await site.timeline()
    for credentials in (
        FACTORY_CREDENTIALS,
        Credentials(phone.credentials.name, "wrong"),
        Credentials("wrong", phone.credentials.password),
        Credentials(phone.credentials.name, ""),
        Credentials("", ""),
        Credentials("2001", "1234567890"),
    ):
        answer = await Handset(site, credentials=credentials).fetch()
        assert not [secret for secret in secrets_of(site) if secret in answer.text]
    assert (await phone.fetch()).status_code == 200


async def test_who_guesses_learns_nothing_from_how_it_is_refused(site: HandsetSite) -> None:
    await bound(site)
    new, revoked, waiting, unknown = OTHER, "1400E9000001", "1400E9000002", "1400E9000003"
    for mac in (new, revoked, waiting):
        await Handset(site, mac, port=40100).fetch()
    await site.settled()
    await site.approve(waiting, "2002", source="192.0.2.99")
    await site.service.house.phones.revoke(revoked)
    site.service.book.put(await site.phone(revoked))
    for port, credentials in enumerate((FACTORY_CREDENTIALS, Credentials("guess", "guess")), start=41000):
        answers = [
            await Handset(site, mac, home="192.0.2.66", port=port, credentials=credentials).fetch()
            for mac in (MAC, new, revoked, waiting, unknown)
        ]
        assert len({(answer.status_code, answer.content, len(answer.headers)) for answer in answers}) == 1
        plain = [
            [(name, value) for name, value in answer.headers.items() if name != "www-authenticate"]
            for answer in answers
        ]
        assert all(headers == plain[0] for headers in plain)


async def test_no_secret_is_logged_or_told(site: HandsetSite, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    phone = await bound(site)
    for credentials in (phone.credentials, Credentials(phone.credentials.name, "a-wrong-guess"), FACTORY_CREDENTIALS):
        await Handset(site, credentials=credentials).fetch()
    told = "\n".join([*await site.timeline(), *(str(alarm) for alarm in await site.alarms()), caplog.text])
    assert len(told) > 100
    assert not [secret for secret in [*secrets_of(site), "a-wrong-guess"] if secret in told]


async def test_a_guessed_phone_is_noticed_explained_and_raises_an_alarm(site: HandsetSite) -> None:
    await bound(site)
    guesser = Handset(site, home="192.0.2.66", port=40009)
    for _ in range(3):
        await guesser.fetch()
    assert ("phone-guessed", "14:00:E9:12:34:56") in await site.alarms()
    assert any("(from 192.0.2.66)" in text for text in await site.timeline())


async def test_a_guesser_is_silenced_and_the_homes_behind_the_same_gateway_are_not(site: HandsetSite) -> None:
    phone = await bound(site)
    guesser = Handset(site, home="192.0.2.66", port=40009, credentials=Credentials("guess", "guess"))
    for _ in range(20):
        assert (await guesser.fetch()).status_code == 401
    silenced = await guesser.fetch()
    assert (silenced.status_code, silenced.content) == NOT_FOUND
    assert (await phone.fetch()).status_code == 200
    assert (await Handset(site, OTHER, home="198.51.100.8", port=40010).fetch()).status_code == 200


async def test_a_neighbour_of_a_guesser_with_its_own_digest_is_served(site: HandsetSite) -> None:
    phone = await bound(site)
    for _ in range(25):
        await Handset(site, port=40009, credentials=Credentials("guess", "guess")).fetch()
    assert (await phone.fetch()).status_code == 200


async def test_a_digest_for_one_file_does_not_open_another(site: HandsetSite) -> None:
    phone = await bound(site)
    other = await bound(site, OTHER, "2002")
    answer = await phone.ask(f"/{OTHER}.cfg")
    assert (answer.status_code, answer.content) == NOT_FOUND
    for _ in range(2):
        await phone.ask(f"/{OTHER}.cfg")
    assert any("asked for its file" in text for text in await site.timeline(OTHER))
    assert ("phone-guessed", "14:00:E9:65:43:21") in await site.alarms()
    swapped = await Handset(site, OTHER, credentials=phone.credentials).fetch()
    assert swapped.status_code == 401
    assert (await other.fetch()).status_code == 200


async def test_a_phone_that_comes_from_another_home_gets_its_file_and_raises_an_alarm(site: HandsetSite) -> None:
    phone = await bound(site)
    moved = Handset(site, home="198.51.100.99", port=40077, credentials=phone.credentials)
    assert (await moved.fetch()).status_code == 200
    assert ("phone-moved", "14:00:E9:12:34:56") in await site.alarms()
    assert f"asks from 198.51.100.99 now, and from {HOME} before" in await site.timeline()
    assert (await site.phone()).source == "198.51.100.99"


async def test_a_revoked_phone_loses_its_account_and_an_approval_lets_it_in_again(site: HandsetSite) -> None:
    phone = await bound(site)
    site.service.book.put(await site.service.house.phones.revoke(MAC))
    assert (await phone.fetch()).status_code == 401
    assert parameters(await Handset(site).fetch())["!sip line1 registrar ip"] == "0.0.0.0"
    await site.approve()
    assert parameters(await Handset(site).fetch())["!sip line1 password"] == "set-Side-2001"


async def test_a_phone_of_the_lan_is_given_the_node_the_inside_credentials_and_a_setup_key(site: HandsetSite) -> None:
    phone = Handset(site, lan="192.168.20.101")
    given = parameters(await phone.fetch())
    assert given["!topsoftkey3 label"] == "Setup"
    assert given["!topsoftkey3 value"] == "https://opx.example.com:8202/setup"
    await site.settled()
    await site.approve(number="2003")
    given = parameters(await phone.fetch())
    assert (given["!sip line1 registrar ip"], given["!sip line1 registrar port"]) == ("192.168.20.20", "5060")
    assert (given["!sip line1 user name"], given["!sip line1 password"]) == ("2003", "pbx-Secret-1")
    assert given["!https server"] == "opx.example.com"
    assert site.looked_up == []


async def test_an_extension_that_is_not_for_teleworkers_gives_a_phone_outside_no_account_and_says_why(
    site: HandsetSite,
) -> None:
    phone = Handset(site)
    await phone.fetch()
    await site.settled()
    await site.approve(number="2003")
    answer = await phone.fetch()
    assert "pbx-Secret-1" not in answer.text and "192.168.20.20" not in answer.text
    assert any('tick "Use remote authorization credentials"' in text for text in await site.timeline())


async def test_no_file_for_the_outside_names_anything_inside(site: HandsetSite) -> None:
    phone = await bound(site)
    for path in ("/startup.cfg", "/aastra.cfg", "/6930.cfg", f"/{MAC}.cfg"):
        answer = await phone.fetch(path)
        assert answer.status_code == 200
        for inside in (SUITE, "192.168.", "opx.example.com", "pbx-Secret-1", "ldap", "tftp", "log server", "multicast"):
            assert inside not in answer.text.lower(), path


async def test_without_tls_the_lan_alone_is_served_and_gets_no_secret(site: HandsetSite) -> None:
    outside = Handset(site, scheme="http")
    assert (await outside.ask("/startup.cfg")).status_code == 404
    phone = Handset(site, lan="192.168.20.101", scheme="http")
    assert (await phone.fetch("/startup.cfg")).status_code == 200
    await phone.fetch()
    await site.settled()
    await site.approve(number="2003")
    answer = await phone.fetch()
    assert not [secret for secret in secrets_of(site) if secret in answer.text]
    assert "asked without TLS; what it may have goes over HTTPS only" in await site.timeline()


async def test_where_the_settings_allow_it_the_lan_gets_its_secrets_without_tls(tmp_path: Path) -> None:
    async with handset_site(tmp_path, "[handsets]\nhttp_secrets = true\n") as site:
        phone = Handset(site, lan="192.168.20.101", scheme="http")
        await phone.fetch()
        await site.settled()
        await site.approve(number="2003")
        assert parameters(await phone.fetch())["!sip line1 password"] == "pbx-Secret-1"


async def test_whatever_else_is_asked_is_refused_alike(site: HandsetSite) -> None:
    phone = Handset(site)
    wrong = [
        await phone.ask("/startup.cfg", method="POST"),
        await phone.ask("/startup.cfg", method="PUT"),
        await phone.ask("/"),
        await phone.ask("/%2e%2e/suite.key"),
        await phone.ask("/nothing.cfg"),
        await phone.ask("/nothing/at/all"),
        await phone.ask("/6999.cfg"),
        await phone.ask("/startup.cfg?" + "a" * 3000),
        await Handset(site, user_agent="curl/8.0").ask("/startup.cfg"),
        await Handset(site, user_agent="curl/8.0").ask(f"/{MAC}.cfg"),
        await Handset(site, lan="203.0.113.9").ask("/startup.cfg"),
    ]
    for answer in wrong:
        assert (answer.status_code, answer.content) == NOT_FOUND
        assert answer.headers == wrong[0].headers


async def test_whatever_a_stranger_sends_is_answered_in_one_of_few_ways(site: HandsetSite) -> None:
    await bound(site)
    chance = random.Random(7)
    pieces = [
        b"/", b"1400E9123456.cfg", b"startup.cfg", b"6930.cfg", b"..", b"%2e%2e", b"%00", b"\xff", b"setup", b"waiting",
        b"ca.pem", b"a" * 300, b"%", b"?", b"//",
    ]  # fmt: skip
    values = [
        b"", b"Digest", b"Digest realm=\"OPX handsets\"", b"Basic YTpi", b"Digest " + b"a=1," * 400, b"\xff\x00",
        b'Digest username="2001", realm="OPX handsets", nonce="x", uri="/", response="0", qop=auth, nc=1, cnonce="1"',
        b"chunked", b"99999999999999999999", b"-1", b"0", b'"*"', b"Mitel6930 MAC:14-00-E9-12-34-56 V:6.4-SIP",
    ]  # fmt: skip
    names = [b"authorization", b"user-agent", b"content-length", b"transfer-encoding", b"if-none-match", b"range"]
    agent = (b"user-agent", b"Mitel6930 MAC:14-00-E9-12-34-56 V:6.4.0.140-SIP")
    secrets = secrets_of(site)
    for _ in range(600):
        path = b"".join(chance.choices(pieces, k=chance.randint(1, 4)))
        more = [(chance.choice(names), chance.choice(values)) for _ in range(chance.randint(0, 2))]
        peer = (chance.choice(["192.168.20.1", "192.168.20.101", "203.0.113.9", "::1", ""]), chance.randint(1, 65535))
        connection = Connection(peer, (SUITE, 8202), chance.random() < 0.8)
        query = chance.choice([b"", b"extension=2001&code=1", b"\xff=%zz&&&", b"a" * 3000])
        method = chance.choice(["GET", "GET", "HEAD", "POST", "\x00"])
        response = await site.service.reception.answer(method, path, query, [agent, *more], connection)
        assert response.status in (200, 401, 404), (path, more)
        assert not [secret for secret in secrets if secret.encode() in response.body]


async def test_head_tells_the_same_and_sends_nothing(site: HandsetSite) -> None:
    whole, head = await Handset(site).fetch("/startup.cfg"), await Handset(site).fetch("/startup.cfg", method="HEAD")
    assert (head.status_code, head.content, head.headers) == (200, b"", whole.headers)
    assert int(head.headers["content-length"]) == len(whole.content)


async def test_who_has_a_file_already_is_told_so(site: HandsetSite) -> None:
    phone = Handset(site)
    first = await phone.ask("/startup.cfg")
    again = await phone.ask("/startup.cfg", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert (await phone.ask("/startup.cfg", headers={"if-none-match": '"other"'})).status_code == 200


async def test_any_case_of_the_mac_is_the_same_phone(site: HandsetSite) -> None:
    assert (await Handset(site).fetch(f"/{MAC.lower()}.cfg")).status_code == 200


async def test_with_the_gateways_look_up_off_nothing_is_guessed_and_the_window_is_as_the_settings_say(
    tmp_path: Path,
) -> None:
    async with handset_site(tmp_path, "[handsets]\nwindow_without_origin = false\n") as site:
        site.trouble = PermissionMissing(
            "the consumer may not read OPX/v1/forwards/origin", "permission_missing", 403, {}
        )
        phone = Handset(site)
        await phone.fetch()
        await site.settled()
        assert (await site.phone()).source == ""
        await site.approve(number="2001")
        assert parameters(await phone.fetch())["!sip line1 password"] == ""
        assert any("may not read OPX/v1/forwards/origin" in text for text in await site.timeline())
        assert await site.alarms() == []
        site.service.origins.retry()
        await Handset(site, port=40001).fetch()
        assert await site.alarms() == [("origin-off", "")]


async def test_who_keeps_the_gateway_from_telling_the_source_does_not_get_round_it(site: HandsetSite) -> None:
    phone = Handset(site)
    await phone.fetch()
    await site.settled()
    await site.approve(number="2001")
    site.trouble = Unreachable("it did not answer")
    stranger = await Handset(site, home="192.0.2.66", port=40001).fetch()
    assert parameters(stranger)["!sip line1 password"] == ""
    site.trouble = None
    site.service.origins.retry()
    assert parameters(await Handset(site, port=40002).fetch())["!sip line1 password"] == "set-Side-2001"


async def test_a_phone_that_was_taken_home_is_approved_there_without_a_source_too(site: HandsetSite) -> None:
    await Handset(site, lan="192.168.20.101").fetch()
    await site.settled()
    site.trouble = Unreachable("it did not answer")
    await Handset(site).fetch()
    await site.settled()
    assert (await site.phone()).source == "" == site.service.book.phones[MAC].source
    await site.approve(number="2001")
    assert parameters(await Handset(site).fetch())["!sip line1 password"] == "set-Side-2001"


async def test_thousands_of_connections_are_looked_up_a_few_times(site: HandsetSite) -> None:
    phones = [Handset(site, f"1400E9{index:06X}", port=30000 + index) for index in range(60)]
    await asyncio.gather(*(phone.fetch() for phone in phones))
    assert len(site.looked_up) <= 5
    assert sum(len(asked) for asked in site.looked_up) == 60


async def test_many_unknown_phones_of_one_source_raise_an_alarm_and_are_not_all_written_down(site: HandsetSite) -> None:
    for index in range(60):
        answer = await Handset(site, f"1400E9{index:06X}", home="192.0.2.66", port=30000 + index).fetch()
        assert answer.status_code == 200
    assert ("phones-unknown", "192.0.2.66") in await site.alarms()
    assert await site.service.house.phones.count(State.NEW) == 50


async def test_when_no_more_phones_are_listed_there_is_alarm_and_those_that_never_came_again_make_room(
    tmp_path: Path,
) -> None:
    now = [1_800_000_000.0]
    async with handset_site(tmp_path, "[handsets.limits]\nnew_phones = 2\n", clock=lambda: now[0]) as site:
        for index in range(3):
            await Handset(site, f"1400E900000{index}", port=30000 + index).fetch()
        assert ("phones-full", "") in await site.alarms()
        await site.service.house.phones.assign("1400E9000000", site.extensions["2001"])
        now[0] += 31 * 86_400.0
        await site.service.witness.tidy()
        assert list(site.service.book.phones) == ["1400E9000000"]
        await Handset(site).fetch()
        await site.settled()
        assert (await site.phone()).state is State.NEW

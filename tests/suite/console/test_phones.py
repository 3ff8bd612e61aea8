"""Configuration > Phones: what the list shows, and what can be done to a phone."""

import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from opx.alarms import Alarm
from opx.gateway_client.errors import Unreachable
from opx.gateway_client.models import Registration
from opx.suite.alarms import AlarmRepository
from opx.suite.console.phone_entry import read_csv
from opx.suite.console.phone_state import KEPT, Registrations, RegistrationView
from opx.suite.console.service import ConsoleService
from opx.suite.handsets.records import Side, Sighting, State
from opx.suite.handsets.repository import PhoneRepository
from opx.suite.profiles.records import ProfileKind, ProfileSpec
from opx.suite.profiles.repository import ProfileRepository
from opx.suite.provisioning.records import ProvisionState
from opx.suite.provisioning.records import State as ProvisionedState
from opx.suite.sites.records import NodeSpec, PbxSpec, SiteError
from opx.suite.syslog.repository import LogLine, PhoneLog
from opx.suite.timeline import Entry, Kind, Timeline, phone_subject
from opx.web.accounts import Role
from support.console import signed_in
from support.suite_console import open_suite_console
from support.suite_store import read, with_pbx

MAC, OTHER = "1400E9123456", "1400E9ABCDEF"


def phones_of(suite: ConsoleService) -> PhoneRepository:
    return PhoneRepository(suite.sites.engine, suite.sites.sealer)


async def seen(suite: ConsoleService, mac: str = MAC, side: Side = Side.TELEWORKER, source: str = "") -> None:
    sighting = Sighting(mac, time.time(), "6930", "6.4.0.140-SIP", "Mitel6930", side, source)
    await phones_of(suite).note([sighting], 100)


async def test_a_phone_that_asked_is_approved_and_gets_an_extension(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        await with_pbx(suite.sites, "1001", "1002")
        await seen(suite, source="198.51.100.7")
        visitor = await signed_in(suite)
        await visitor.get("/phones")
        assert "1 phone waits for approval." in visitor.text
        assert "14:00:E9:12:34:56" in visitor.text and "6930" in visitor.text and "198.51.100.7" in visitor.text
        await visitor.get(f"/phones/{MAC}")
        assert "none; it shows Line 1 and Line 2" in visitor.text
        await visitor.send(f"/phones/{MAC}/assign", number="1002")
        assert "has extension 1002 now." in visitor.text
        await visitor.send(f"/phones/{MAC}/approve")
        assert "is approved" in visitor.text and "approved by ada" in visitor.text
        phone = await phones_of(suite).phone(MAC)
        assert phone.approved and phone.extension_id is not None and phone.window_source == "198.51.100.7"
        assert (await suite.sites.extension(phone.extension_id)).number == "1002"
        await visitor.get("/phones?state=approved")
        assert "has not fetched it yet" in visitor.text
        await visitor.get("/audit-log")
        assert "approved a phone" in visitor.text and "assigned a phone" in visitor.text


async def test_no_secret_of_a_phone_is_on_a_page_until_it_is_asked_for(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        await with_pbx(suite.sites, "1001")
        await seen(suite)
        await phones_of(suite).approve(MAC, time.time(), 900)
        phone = await phones_of(suite).phone(MAC)
        visitor = await signed_in(suite)
        pages = [(await visitor.get(path)).text for path in ("/phones", f"/phones/{MAC}/remove", f"/phones/{MAC}")]
        assert phone.digest is not None
        for secret in (phone.digest.password, phone.admin_password, phone.user_password):
            assert [page for page in pages if secret in page] == []
        await visitor.send(f"/phones/{MAC}/password")
        assert f"<code data-copy>{phone.admin_password}</code>" in visitor.html
        assert "was revealed to ada" in visitor.text
        await visitor.get(f"/phones/{MAC}")
        assert phone.admin_password not in visitor.html
        await visitor.get("/audit-log")
        assert "revealed a phone's administrator password" in visitor.text and phone.admin_password not in visitor.html


async def test_a_one_time_code_is_shown_once_and_belongs_to_the_extension(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        await with_pbx(suite.sites, "1001")
        await seen(suite)
        visitor = await signed_in(suite)
        await visitor.get(f"/phones/{MAC}")
        await visitor.send(f"/phones/{MAC}/code")
        assert "Assign an extension first" in visitor.text
        await visitor.send(f"/phones/{MAC}/assign", number="1001")
        await visitor.send(f"/phones/{MAC}/code")
        shown = re.search(r"<code data-copy>(\d{10})</code>", visitor.html)
        assert shown is not None, visitor.text
        await visitor.get(f"/phones/{MAC}")
        assert shown[1] not in visitor.html
        (code,) = await phones_of(suite).code_list(time.time())
        assert (await suite.sites.extension(code.extension_id)).number == "1001"


async def test_an_extension_that_cannot_be_assigned_is_refused_at_its_field(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        pbx, _ = await with_pbx(suite.sites, "1001")
        await suite.sites.take_over(pbx.id, [read("1001"), read("1500", hot_desk=True)], 1.0)
        await seen(suite)
        await seen(suite, OTHER)
        visitor = await signed_in(suite)
        await visitor.get(f"/phones/{MAC}")
        await visitor.send(f"/phones/{MAC}/assign", number="1001")
        await visitor.get(f"/phones/{OTHER}")
        for number, said in (
            ("1001", f"is the extension of phone {MAC} already"),
            ("1500", "is a hot desk extension"),
            ("9999", "there is no SIP extension"),
        ):
            assert (await visitor.send(f"/phones/{OTHER}/assign", number=number)).status_code == 422
            assert said in visitor.text and visitor.form(f"/phones/{OTHER}/assign")["number"] == number
        other = await suite.sites.save_pbx(PbxSpec("Branch"))
        await suite.sites.save_node(NodeSpec(other.id, "Node 2", "192.168.20.21"))
        await suite.sites.take_over(other.id, [read("1001")], 1.0)
        await visitor.send(f"/phones/{OTHER}/assign", number="1001")
        assert "several PBXs have an extension 1001" in visitor.text
        await visitor.send(f"/phones/{OTHER}/assign", number="1001 at Branch")
        assert "has extension 1001 at Branch now." in visitor.text


async def test_many_phones_are_assigned_and_approved_together(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        await with_pbx(suite.sites, "1001", "1002")
        await seen(suite)
        await seen(suite, OTHER)
        visitor = await signed_in(suite)
        await visitor.get("/phones")
        await visitor.send("/phones/bulk", mac=[MAC, OTHER], do="assign")
        values = {f"number-{MAC}": "1001", f"number-{OTHER}": "none"}
        await visitor.send("/phones/assign", **values, approve="yes")
        assert visitor.page.status_code == 422 and "there is no SIP extension" in visitor.text
        assert visitor.form("/phones/assign")[f"number-{OTHER}"] == "none"
        await visitor.send("/phones/assign", **{f"number-{OTHER}": "1002"}, approve="yes")
        assert "2 phones are approved." in visitor.text
        assert await phones_of(suite).count(State.APPROVED) == 2
        await visitor.send("/phones/bulk", do="approve")
        assert "No phone was ticked." in visitor.text


@pytest.mark.usefixtures("each_database")
async def test_phones_are_entered_before_they_are_seen(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        await with_pbx(suite.sites, "1001", "1002")
        visitor = await signed_in(suite)
        await visitor.get("/phones/add")
        await visitor.send("/phones/add", mac="14-00-e9-12-34-56", number="1001", model="Mitel6930")
        assert "is expected. It still has to be approved when it asks." in visitor.text
        await visitor.get("/phones/add")
        await visitor.send("/phones/add", mac=MAC)
        assert "there is a phone of this MAC address already" in visitor.text
        await visitor.send("/phones/add", mac="xyz")
        assert "is no MAC address" in visitor.text
        await visitor.get("/phones/import")
        await visitor.send("/phones/import", csv=f"MAC;Extension\n{OTHER};1002\n14:00:e9:00:00:01;77\n{MAC};\n")
        assert "2 of 3 phones are taken in." in visitor.text
        assert "line 3: there is no SIP extension '77'" in visitor.text
        found = {phone.mac: phone for phone in await phones_of(suite).all()}
        assert set(found) == {MAC, OTHER}
        assert found[MAC].extension_id is None and found[OTHER].extension_id is not None
        form = {name: value for name, value in visitor.form("/phones/import").items() if isinstance(value, str)}
        await visitor.send("/phones/import", csv=f"14:00:e9:00:00:02;1002\n{OTHER};1002\n14:00:e9:00:00:03;1002\n")
        assert f"line 1: 1002 is the extension of phone {OTHER} already; line 3: 1002 is" in visitor.text
        file = {"file": ("phones.csv", "\ufeff1400E9000001,1001\n".encode(), "text/csv")}
        answer = await visitor.client.post("/phones/import", data=form | {"csv": ""}, files=file)
        assert answer.status_code == 303
        assert (await phones_of(suite).phone("1400E9000001")).extension_id is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no phone in it"),
        ("mac\n", "there is no phone in it"),
        ("1400E9123456\n1400e9123456", "stands there twice"),
        ("1400E9123456,1001\nnonsense,1", "line 2"),
        ("x" * 200_001, "at most"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(text: str, said: str) -> None:
    with pytest.raises(SiteError, match=said):
        read_csv(text)


async def test_a_revoked_and_a_removed_phone(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        await seen(suite)
        await phones_of(suite).approve(MAC, time.time(), 900)
        visitor = await signed_in(suite)
        await visitor.get(f"/phones/{MAC}")
        stale = visitor.form(f"/phones/{MAC}/revoke")["version"]
        await visitor.send(f"/phones/{MAC}/revoke")
        assert "is revoked." in visitor.text and (await phones_of(suite).phone(MAC)).digest is None
        await visitor.send(f"/phones/{MAC}/approve", version=stale)
        assert "was changed by somebody else meanwhile" in visitor.text
        await visitor.get(f"/phones/{MAC}/remove")
        await visitor.send(f"/phones/{MAC}/remove")
        assert "When it asks again, it is a new one." in visitor.text
        assert (await visitor.get(f"/phones/{MAC}")).status_code == 404
        assert (await visitor.get("/phones/nonsense")).status_code == 404


async def test_warnings_and_the_log_of_a_phone_are_shown(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        await seen(suite, side=Side.LOCAL, source="192.168.20.31")
        await seen(suite, OTHER, Side.LOCAL, "192.168.20.32")
        await Timeline(suite.sites.engine).note(
            [Entry.now(phone_subject(MAC), Kind.WARNING, "asked from <another> source")]
        )
        alarm = Alarm("a1", "phone-guessed", "14:00:E9:12:34:56", "wrong passwords from 203.0.113.9", time.time())
        await AlarmRepository(suite.sites.engine).write([alarm], [])
        log = PhoneLog(suite.sites.engine)
        await log.write([LogLine(MAC, "192.168.20.31", time.time(), 3, "sip: <refused>")])
        visitor = await signed_in(suite)
        await visitor.get("/phones")
        assert visitor.text.count("look at its timeline") == 1
        await visitor.get(f"/phones/{MAC}")
        assert "Somebody else may be asking for a phone's configuration" in visitor.text
        assert "wrong passwords from 203.0.113.9" in visitor.text
        assert "asked from <another> source" in visitor.text and "sip: <refused>" in visitor.text
        await visitor.get(f"/phones/{OTHER}")
        assert "It has sent nothing by syslog." in visitor.text and "wrong passwords" not in visitor.text


@pytest.mark.usefixtures("each_database")
async def test_the_list_is_searched_filtered_and_ordered(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        await with_pbx(suite.sites, "1001")
        repository = phones_of(suite)
        await seen(suite, side=Side.LOCAL, source="192.168.20.31")
        await repository.add(OTHER, "6940")
        (extension,), _ = await suite.sites.extensions()
        await repository.assign(OTHER, extension.id)
        visitor = await signed_in(suite, role=Role.READ_ONLY)
        for query, found in (
            ("", (MAC, OTHER)),
            ("?q=14:00:E9:AB", (OTHER,)),
            ("?q=1001", (OTHER,)),
            ("?q=192.168.20.31", (MAC,)),
            ("?state=waiting", (MAC,)),
            ("?state=expected", (OTHER,)),
            ("?side=local", (MAC,)),
            ("?sort=-extension", (OTHER, MAC)),
            ("?q=nothing", ()),
        ):
            await visitor.get(f"/phones{query}")
            assert tuple(re.findall(r'href="/phones/([0-9A-F]{12})"', visitor.html)) == found, query
        assert 'name="mac"' not in visitor.html


async def test_a_phone_is_told_things_and_given_profiles(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        await seen(suite)
        await phones_of(suite).approve(MAC, time.time(), 900)
        profiles = ProfileRepository(suite.sites.engine)
        keymap = await profiles.save(ProfileSpec(ProfileKind.KEYMAP, "Sales"))
        plain = await profiles.save(ProfileSpec(ProfileKind.CONFIGURATION, "Plain"))
        visitor = await signed_in(suite)
        await visitor.get(f"/phones/{MAC}")
        await visitor.send(f"/phones/{MAC}/profiles", keymap=str(keymap.id), configuration=str(plain.id))
        assert "has these profiles now: Sales, Plain." in visitor.text
        phone = await phones_of(suite).phone(MAC)
        assert (phone.keymap_profile_id, phone.configuration_profile_id) == (keymap.id, plain.id)
        assert visitor.form(f"/phones/{MAC}/profiles")["keymap"] == str(keymap.id)
        await visitor.send(f"/phones/{MAC}/profiles", keymap=str(plain.id), configuration="")
        assert visitor.page.status_code == 422 and "This profile is gone" in visitor.text
        for order in ("resync", "reboot", "identify"):
            await visitor.send(f"/phones/{MAC}/tell", order=order)
            assert "Its timeline says what comes of it." in visitor.text
        assert (await visitor.send(f"/phones/{MAC}/tell", order="dance")).status_code == 422
        await visitor.get("/audit-log")
        assert "told a phone to restart" in visitor.text


async def test_the_page_says_what_a_phone_lacks_and_whether_it_has_the_newest_configuration(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        await with_pbx(suite.sites, "1001")
        await seen(suite, side=Side.LOCAL, source="192.168.20.31")
        repository = phones_of(suite)
        await repository.approve(MAC, time.time(), 900)
        visitor = await signed_in(suite)
        await visitor.get(f"/phones/{MAC}")
        assert "no extension is assigned to it" in visitor.text and "there is a newer one" not in visitor.text
        (extension,), _ = await suite.sites.extensions()
        await repository.assign(MAC, extension.id)
        sighting = Sighting(MAC, time.time(), "6930", "6.4.0.140-SIP", "Mitel6930", Side.LOCAL, "", "old-version")
        await repository.note([sighting], 100)
        await visitor.get(f"/phones/{MAC}")
        assert "there is a newer one" in visitor.text and "no extension is assigned" not in visitor.text
        assert "registration not known nothing is read from Office by itself" in visitor.text


class Answering:
    """A link whose gateway knows registrations by device."""

    def __init__(self, registrations: dict[int, list[Registration]]) -> None:
        self.known = registrations
        self.asked: list[int] = []

    async def ask(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        return await work(self)

    async def registrations(self, device_id: int) -> list[Registration]:
        self.asked.append(device_id)
        if device_id not in self.known:
            raise Unreachable("the gateway did not answer")
        return self.known[device_id]


class Provisioned:
    """Extension 1 is the gateway's device 101, and so on."""

    async def state(self, extension_id: int) -> Any:
        return ProvisionedState(extension_id, ProvisionState.PROVISIONED, 100 + extension_id)


async def test_registrations_are_asked_of_the_gateway_once_for_all_pages_of_some_seconds(tmp_path: Path) -> None:
    here = Registration(
        host="198.51.100.7",
        port=5062,
        transport="UDP",
        user_agent="",
        registered_at=1.0,
        expires_at=2.0,
        last_seen=1.0,
        reachable=True,
        at_icp=False,
    )
    now = 0.0
    async with open_suite_console(tmp_path) as suite:
        await with_pbx(suite.sites, "1001", "1002", "1003")
        link: Any = Answering({101: [here], 102: []})
        provisioned: Any = Provisioned()
        registrations = Registrations(suite.sites, link, provisioned, "", lambda: now)
        wanted: list[tuple[str, int | None]] = [("teleworker", key) for key in (1, 2, 3)]
        found = await registrations.of([*wanted, ("teleworker", None), ("", 1)])
        assert found[1] == RegistrationView(True, True, "from 198.51.100.7, port 5062, over UDP; not at its ICP")
        assert found[2] == RegistrationView(True, False)
        assert found[3] == RegistrationView(False, False, "the gateway did not answer")
        assert await registrations.of(wanted) == found and sorted(link.asked) == [101, 102, 103]
        now = KEPT
        await registrations.of(wanted[:1])
        assert sorted(link.asked) == [101, 101, 102, 103]

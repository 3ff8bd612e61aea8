"""MiVoice Border Gateway > Teleworking > SIP."""

import re
import time
from html import unescape
from pathlib import Path

import pytest

from opx.gateway.repository import BindingRow, DeviceSpec, TimelineRow
from opx.gateway.web.service import WebService
from opx.web.accounts import Role
from support.console import SETTINGS, Visitor, open_console, signed_in

SET_SECRET, ICP_SECRET = "Set-Side-7secret", "Icp-Side-8secret"


async def put_device(web: WebService, name: str = "tw1", extension: str = "1001") -> int:
    await web.repository.put_icp("Node 1", "MiVoice Office 250", "192.168.20.20", 5060, "UDP")
    record, _ = await web.repository.put_device(
        DeviceSpec(name, SET_SECRET, "Node 1", extension, ICP_SECRET, "At home")
    )
    return record.id


async def put_binding(web: WebService, device_id: int, user_agent: str = "Mitel6930 MAC:x V:6.4.0.140-SIP") -> None:
    now = time.time()
    contact = f"sip:tw{device_id}@10.0.0.5"
    row = BindingRow(device_id, contact, "", "UDP", "198.51.100.7", 40000, "c", 1, user_agent, now, now + 100)
    await web.repository.write(bindings=[row])


async def filled_in(web: WebService, visitor: Visitor, **values: str) -> None:
    await visitor.get("/sip-devices/add")
    await visitor.send("/sip-devices/add", set_username="tw1", icp_username="1001", icp="Node 1", **values)


async def test_a_device_with_a_made_up_password_shows_it_once(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        await web.repository.put_icp("Node 1", "", "192.168.20.20", 5060, "UDP")
        visitor = await signed_in(web)
        await filled_in(web, visitor, icp_password=ICP_SECRET, icp_password_again=ICP_SECRET)
        shown = re.search(r"<code data-copy>(.+?)</code>", visitor.html)
        assert shown and len(shown[1]) == 20, visitor.text
        await visitor.get("/sip-devices/1")
        assert shown[1] not in visitor.html
        (device,) = await web.repository.devices()
        assert (device.set_username, device.icp_username, device.icp_password) == ("tw1", "1001", ICP_SECRET)
        before = dict(device.set_ha1)
        await web.repository.put_device(DeviceSpec("tw1", shown[1], "Node 1", "1001"))
        assert (await web.repository.devices())[0].set_ha1 == before


async def test_no_password_is_ever_on_a_page_or_in_the_audit_log(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        number = await put_device(web)
        visitor = await signed_in(web)
        typed = {"set_password": "Typed-9-secret!", "set_password_again": "Typed-9-secret!"}
        await visitor.get(f"/sip-devices/{number}/edit")
        await visitor.send(f"/sip-devices/{number}/edit", **typed, description="x" * 300)
        assert visitor.page.status_code == 422
        pages = [visitor.html]
        await visitor.send(f"/sip-devices/{number}/edit", **typed, description="moved")
        assert "Device tw1 is saved." in visitor.text
        for path in ("/sip-devices", "", "/edit", "/delete"):
            await visitor.get(path if path.startswith("/sip") else f"/sip-devices/{number}{path}")
            pages.append(visitor.html)
        await visitor.get("/audit-log")
        assert "credentials written" in visitor.text and "moved" in visitor.text
        pages.append(visitor.html)
        device = await web.repository.device(number)
        for secret in (SET_SECRET, ICP_SECRET, typed["set_password"], *device.set_ha1.values()):
            assert [page for page in pages if secret in page] == []


@pytest.mark.parametrize(
    ("values", "field", "said"),
    [
        ({"generate": ""}, "set_password", "a new device needs one"),
        ({"generate": "", "set_password": "12345678", "set_password_again": "12345678"}, "set_password", "weak"),
        ({"generate": "", "set_password": "Typed-9-secret!"}, "set_password_again", "not the same"),
        ({"set_password": "Typed-9-secret!"}, "set_password", "one of both"),
        ({"icp_password": "x"}, "icp_password_again", "not the same"),
        ({"icp": ""}, "icp", "none is chosen"),
        ({"icp": "Node 9"}, "icp", "there is no ICP Node 9"),
        ({"set_username": "tw 1"}, "set_username", "is no set-side user name"),
        ({"set_username": "taken"}, "set_username", "there is a device taken already"),
        ({"icp_username": "1009"}, "icp_username", "another device has the ICP-side user name 1009"),
        ({"description": "x" * 256}, "description", "at most 255"),
    ],
)
async def test_each_mistake_is_named_at_its_field(
    tmp_path: Path, values: dict[str, str], field: str, said: str
) -> None:
    async with open_console(tmp_path) as web:
        await put_device(web, "taken", "1009")
        visitor = await signed_in(web)
        await visitor.get("/sip-devices/add")
        typed = {"set_username": "tw1", "icp_username": "1001", "icp": "Node 1", **values}
        page = await visitor.send("/sip-devices/add", **typed)
        assert page.status_code == 422
        assert said in visitor.text
        assert f'id="e-{field}"' in visitor.html
        assert 'type="password" value' not in visitor.html
        assert len(await web.repository.devices()) == 1


async def test_a_weak_password_is_let_in_where_the_settings_permit_it(tmp_path: Path) -> None:
    async with open_console(tmp_path, "permit_weak_passwords = true\n" + SETTINGS) as web:
        await web.repository.put_icp("Node 1", "", "192.168.20.20", 5060, "UDP")
        visitor = await signed_in(web)
        await filled_in(web, visitor, generate="", set_password="1234", set_password_again="1234")
        assert "Device tw1 is added." in visitor.text


async def test_an_edit_without_passwords_keeps_them(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        number = await put_device(web)
        before = await web.repository.device(number)
        visitor = await signed_in(web)
        await visitor.get(f"/sip-devices/{number}/edit")
        await visitor.send(f"/sip-devices/{number}/edit", description="Moved")
        after = await web.repository.device(number)
        assert (after.set_ha1, after.icp_password, after.revision) == (
            before.set_ha1,
            before.icp_password,
            before.revision,
        )
        assert after.description == "Moved"


async def test_a_new_name_needs_the_password_again_and_says_why(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        number = await put_device(web)
        visitor = await signed_in(web)
        await visitor.get(f"/sip-devices/{number}/edit")
        page = await visitor.send(f"/sip-devices/{number}/edit", set_username="tw9")
        assert (page.status_code, "the set-side password is needed again" in visitor.text) == (422, True)
        await visitor.send(f"/sip-devices/{number}/edit", set_username="tw9", generate="yes")
        assert (await web.repository.device(number)).set_username == "tw9"


async def test_the_icp_side_password_can_become_the_set_sides(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        number = await put_device(web)
        visitor = await signed_in(web)
        await visitor.get(f"/sip-devices/{number}/edit")
        typed = {"set_password": "Typed-9-secret!", "set_password_again": "Typed-9-secret!"}
        await visitor.send(f"/sip-devices/{number}/edit", icp_same="yes", **typed)
        assert (await web.repository.device(number)).icp_password == "Typed-9-secret!"


@pytest.mark.usefixtures("each_database")
async def test_two_writers_do_not_overwrite_each_other_unseen(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        number = await put_device(web)
        ada, bob = await signed_in(web, "ada"), await signed_in(web, "bob")
        path = f"/sip-devices/{number}/edit"
        await ada.get(path)
        await bob.get(path)
        await bob.send(path, description="Bob's", enabled="")
        page = await ada.send(path, description="Ada's", generate="yes")
        assert page.status_code == 409
        assert "last by bob" in ada.text and "Description Bob's Ada's" in ada.text and "Enabled no yes" in ada.text
        assert (await web.repository.device(number)).description == "Bob's"
        # What came over the API counts as well.
        await ada.get(path)
        await web.repository.put_device(DeviceSpec("tw1", "Api-Side-9secret", "Node 1", "1001", None, "Api's"))
        assert (await ada.send(path)).status_code == 409


async def test_a_device_is_disabled_enabled_and_deleted(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        number = await put_device(web)
        visitor = await signed_in(web)
        await visitor.get(f"/sip-devices/{number}")
        await visitor.send(f"/sip-devices/{number}/disable")
        assert "is disabled" in visitor.text
        assert not (await web.repository.device(number)).enabled
        await visitor.send(f"/sip-devices/{number}/enable")
        assert (await web.repository.device(number)).enabled
        await visitor.get(f"/sip-devices/{number}/delete")
        await visitor.send(f"/sip-devices/{number}/delete")
        assert "Device tw1 is deleted." in visitor.text
        assert await web.repository.devices() == []
        actions = [entry.action for entry in (await web.console.audit.entries("device tw1", 0, 9))[0]]
        assert actions == ["deleted a device", "enabled a device", "disabled a device"]


async def test_a_read_only_user_sees_a_device_and_no_way_to_change_it(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        number = await put_device(web)
        visitor = await signed_in(web, role=Role.READ_ONLY)
        await visitor.get(f"/sip-devices/{number}")
        assert "Edit" not in visitor.text and "Disable" not in visitor.text and "Delete" not in visitor.text
        token = visitor.form("/sign-out")["form_token"]
        for path in ("edit", "disable", "delete", "notify", "hang-up"):
            answer = await visitor.client.post(f"/sip-devices/{number}/{path}", data={"form_token": token})
            assert answer.status_code == 403, path
        assert (await web.repository.device(number)).enabled


@pytest.mark.usefixtures("each_database")
async def test_the_list_is_filtered_searched_and_sorted_by_what_the_database_holds(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        for index in range(30):
            await put_device(web, f"tw{index:02}", f"{1000 + index}")
        await put_binding(web, 8)
        await web.repository.set_enabled("tw03", False)
        visitor = await signed_in(web)
        await visitor.get("/sip-devices")
        assert "1 to 25 of 30 devices" in visitor.text
        for question, wanted in (
            ("state=in-service", ["tw07"]),
            ("state=disabled", ["tw03"]),
            ("q=198.51.100", ["tw07"]),
            ("q=6930", ["tw07"]),
            ("q=1005", ["tw05"]),
            ("sort=-icp_username&page=2", ["tw04", "tw03", "tw02", "tw01", "tw00"]),
        ):
            await visitor.get(f"/sip-devices?{question}")
            assert re.findall(r'<a href="/sip-devices/\d+">(\w+)</a>', visitor.html) == wanted, question
        await visitor.get("/sip-devices?sort=address")
        assert re.findall(r'<a href="/sip-devices/\d+">(\w+)</a>', visitor.html)[0] == "tw07"
        await visitor.get("/sip-devices?icp=1&state=out-of-service")
        assert "1 to 25 of 28 devices" in visitor.text
        await visitor.get("/sip-devices?q=%25")
        assert "No device is like that." in visitor.text


async def test_without_a_running_gateway_the_page_shows_what_was_stored_and_says_so(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        number = await put_device(web)
        await put_binding(web, number)
        visitor = await signed_in(web)
        for path in ("/sip-devices", f"/sip-devices/{number}"):
            await visitor.get(path)
            assert "The gateway does not answer" in visitor.text
            assert "was in service" in visitor.text and "198.51.100.7:40000" in visitor.text
            assert "Mitel 6930, 6.4.0.140" in visitor.text


async def test_a_hostile_phone_and_description_are_shown_as_text(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        number = await put_device(web)
        evil = "<img src=x onerror=alert(1)>"
        await put_binding(web, number, evil)
        await web.repository.put_device(DeviceSpec("tw1", SET_SECRET, "Node 1", "1001", None, evil))
        await web.repository.write(timeline=[TimelineRow(number, time.time(), "refusal", evil)])
        visitor = await signed_in(web)
        for path in ("/sip-devices", f"/sip-devices/{number}", f"/sip-devices/{number}/edit", f"/sip-devices?q={evil}"):
            await visitor.get(path)
            assert "<img" not in visitor.html
            assert "onerror=alert(1)" in unescape(visitor.html)


@pytest.mark.usefixtures("each_database")
async def test_the_timeline_is_paged_filtered_and_searched(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        number = await put_device(web)
        other = await put_device(web, "tw2", "1002")
        now = time.time()
        rows = [TimelineRow(number, now + n, "refusal" if n % 10 == 0 else "call", f"event {n}") for n in range(60)]
        await web.repository.write(timeline=[*rows, TimelineRow(other, now, "call", "not mine")])
        visitor = await signed_in(web)
        await visitor.get(f"/sip-devices/{number}")
        assert "1 to 25 of 60 entries" in visitor.text and "event 59" in visitor.text and "not mine" not in visitor.text
        await visitor.get(f"/sip-devices/{number}?page=3")
        assert "51 to 60 of 60 entries" in visitor.text
        await visitor.get(f"/sip-devices/{number}?kind=refusal")
        assert "1 to 6 of 6 entries" in visitor.text
        await visitor.get(f"/sip-devices/{number}?q=event+5")
        assert "1 to 11 of 11 entries" in visitor.text


async def test_what_is_gone_is_not_found(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        for path in ("/sip-devices/9", "/sip-devices/9/edit", "/sip-devices/9/delete", "/sip-devices/x"):
            assert (await visitor.get(path)).status_code == 404, path

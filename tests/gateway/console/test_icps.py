"""MiVoice Border Gateway > Service configuration > ICPs."""

from pathlib import Path

import pytest

from opx.gateway.repository import DeviceSpec, NodeAddress
from opx.gateway.web.service import WebService
from opx.web.accounts import Role
from support.console import open_console, signed_in


async def put_node(web: WebService, name: str = "Node 1", host: str = "192.168.20.20") -> int:
    record, _ = await web.repository.put_icp(name, "MiVoice Office 250", host, 5060, "UDP")
    return record.id


async def test_the_page_is_where_the_guide_has_it(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await visitor.get("/icps")
        assert "MiVoice Border Gateway System configuration Settings Service configuration ICPs" in visitor.text
        assert '<a href="/icps" aria-current="page">ICPs</a>' in visitor.html


async def test_an_icp_is_added_with_its_further_nodes(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await visitor.get("/icps/add")
        nodes = "192.168.20.21\n\n pbx-c.example:5070/tcp \n"
        await visitor.send("/icps/add", name="Node 1", host="192.168.20.20", nodes=nodes)
        assert visitor.page.url.path == "/icps/1"
        assert "ICP Node 1 is added." in visitor.text
        (icp,) = await web.repository.icps()
        assert (icp.host, icp.port, icp.transport, icp.type) == ("192.168.20.20", 5060, "UDP", "MiVoice Office 250")
        assert icp.nodes == (NodeAddress("192.168.20.21", 5060), NodeAddress("pbx-c.example", 5070, "TCP"))
        entries, _ = await web.console.audit.entries("", 0, 1)
        assert (entries[0].user, entries[0].action, entries[0].target) == ("ada", "added an ICP", "ICP Node 1")
        assert "192.168.20.20:5060/UDP, then 192.168.20.21:5060/UDP" in entries[0].detail


async def test_a_change_without_a_running_gateway_says_that_it_is_stored(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await visitor.get("/icps/add")
        await visitor.send("/icps/add", name="Node 1", host="192.168.20.20")
        assert "No gateway is running here; it takes this over at its next start." in visitor.text


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "", "an ICP needs a name"),
        ("host", "not a host!", "is no host name or address"),
        ("host", "2001:db8::1", "is IPv6"),
        ("port", "sip", "is no whole number"),
        ("port", "70000", "is no port"),
        ("transport", "SCTP", "is no transport"),
        ("nodes", "192.168.20.21:x", "is no node"),
        ("nodes", "192.168.20.20", "stands here twice"),
        ("type", "x" * 33, "at most 32 characters"),
    ],
)
async def test_each_mistake_is_named_at_its_field_and_what_was_typed_stays(
    tmp_path: Path, field: str, value: str, said: str
) -> None:
    async with open_console(tmp_path) as web:
        visitor = await signed_in(web)
        await visitor.get("/icps/add")
        typed = {"name": "Node 1", "host": "192.168.20.20", "nodes": "192.168.20.29", field: value}
        page = await visitor.send("/icps/add", **typed)
        assert page.status_code == 422
        assert said in visitor.text
        assert f'id="e-{field}"' in visitor.html
        if field != "transport":
            assert visitor.form("/icps/add")[field] == value
        assert await web.repository.icps() == []


async def test_a_name_that_is_there_already_is_refused_and_nothing_overwritten(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        await put_node(web)
        visitor = await signed_in(web)
        await visitor.get("/icps/add")
        page = await visitor.send("/icps/add", name="Node 1", host="192.168.20.99")
        assert (page.status_code, "there is an ICP Node 1 already" in visitor.text) == (422, True)
        assert (await web.repository.icps())[0].host == "192.168.20.20"


async def test_an_edit_changes_what_was_changed_and_says_so_in_the_audit_log(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        number = await put_node(web)
        visitor = await signed_in(web)
        await visitor.get(f"/icps/{number}/edit")
        await visitor.send(f"/icps/{number}/edit", name="Node A", port="")
        assert "ICP Node A is saved." in visitor.text
        (icp,) = await web.repository.icps()
        assert (icp.id, icp.name, icp.host, icp.port) == (number, "Node A", "192.168.20.20", 5060)
        entries, _ = await web.console.audit.entries("changed an ICP", 0, 1)
        assert entries[0].detail == 'name "Node 1" to "Node A"'


async def test_two_writers_do_not_overwrite_each_other_unseen(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        number = await put_node(web)
        ada, bob = await signed_in(web, "ada"), await signed_in(web, "bob")
        path = f"/icps/{number}/edit"
        await ada.get(path)
        await bob.get(path)
        await bob.send(path, host="192.168.20.77")
        page = await ada.send(path, type="PBX", host="192.168.20.88")
        assert page.status_code == 409
        assert "was changed while you had this form open , last by bob" in ada.text
        assert "Hostname or IP Address 192.168.20.77 192.168.20.88" in ada.text
        assert (await web.repository.icps())[0].host == "192.168.20.77"
        await ada.send(path)
        assert (await web.repository.icps())[0].host == "192.168.20.88"


async def test_an_icp_that_devices_use_cannot_be_deleted_and_the_page_names_them(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        number = await put_node(web)
        for index in range(12):
            await web.repository.put_device(DeviceSpec(f"tw{index:02}", "Set-Side-7secret", "Node 1"))
        visitor = await signed_in(web)
        await visitor.get(f"/icps/{number}/delete")
        assert "12 devices use it" in visitor.text and "tw00" in visitor.text and "and 2 more" in visitor.text
        assert f'action="/icps/{number}/delete"' not in visitor.html
        token = visitor.form("/sign-out")["form_token"]
        answer = await visitor.client.post(f"/icps/{number}/delete", data={"form_token": token, "version": "1"})
        assert answer.status_code == 409
        assert len(await web.repository.icps()) == 1


async def test_an_icp_that_none_uses_is_deleted_after_a_question(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        number = await put_node(web)
        visitor = await signed_in(web)
        await visitor.get(f"/icps/{number}/delete")
        assert "Delete Node 1?" in visitor.text
        await visitor.send(f"/icps/{number}/delete")
        assert "ICP Node 1 is deleted." in visitor.text
        assert (await visitor.get(f"/icps/{number}")).status_code == 404


async def test_the_list_is_searched_sorted_and_paged(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        for index in range(30):
            await put_node(web, f"Node {index:02}", f"192.168.20.{100 + index}")
        visitor = await signed_in(web, role=Role.READ_ONLY)
        await visitor.get("/icps")
        assert "1 to 25 of 30 ICPs" in visitor.text and "Add an ICP" not in visitor.text
        await visitor.get("/icps?sort=-name&page=2")
        assert "Node 04" in visitor.text and "Node 05" not in visitor.text
        await visitor.get("/icps?q=192.168.20.107")
        assert "Node 07" in visitor.text and "1 to 1 of 1 ICP" in visitor.text
        for odd in ("sort=nothing", "page=0", "page=-1", "page=99999999999", "page=x", "sort=--name", "q=%00"):
            assert (await visitor.get(f"/icps?{odd}")).status_code == 200, odd


async def test_hostile_text_is_shown_as_text(tmp_path: Path) -> None:
    async with open_console(tmp_path) as web:
        evil = '"><script>alert(1)</script>'
        await web.repository.put_icp(evil, evil, "192.168.20.20", 5060, "UDP")
        visitor = await signed_in(web)
        for path in ("/icps", "/icps/1", "/icps/1/edit", "/icps/1/delete", f"/icps?q={evil}"):
            await visitor.get(path)
            assert "<script>alert" not in visitor.html, path
            assert "alert(1)" in visitor.text, path

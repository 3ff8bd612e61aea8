"""Phone Systems > [PBX]: PBXs, their nodes, and how their extensions are read."""

import re
from pathlib import Path

from opx.suite.console.service import ConsoleService
from opx.suite.sites.records import NodeSpec, PbxSpec
from opx.web.accounts import Role
from support.console import Visitor, signed_in
from support.suite_console import open_suite_console
from support.suite_store import with_pbx

URL = "https://192.168.20.20:8445/"


async def added(suite: ConsoleService, connector: str = "csv", url: str = "") -> Visitor:
    """A visitor on the page of a PBX that was added."""
    visitor = await signed_in(suite)
    await visitor.get("/pbxs/add")
    await visitor.send("/pbxs/add", name="Office", connector=connector, url=url)
    return visitor


async def upload(visitor: Visitor, text: str) -> None:
    await visitor.get("/pbxs/1/csv")
    form = {name: value for name, value in visitor.form("/pbxs/1/csv").items() if name != "file"}
    file = {"file": ("extensions.csv", text.encode(), "text/csv")}
    visitor.page = await visitor.client.post("/pbxs/1/csv", data=form, files=file, follow_redirects=True)


async def test_a_pbx_stands_in_the_menu_under_its_name(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await added(suite)
        assert "PBX Office is added." in visitor.text
        assert re.search("Phone Systems MiVoice Border Gateway .*Office", visitor.text)
        assert '<a href="/pbxs/1" aria-current="page">Office</a>' in visitor.html
        await visitor.get("/pbxs/1/edit")
        await visitor.send("/pbxs/1/edit", name="Berne")
        assert re.search("Phone Systems MiVoice Border Gateway .*Berne", visitor.text)
        await visitor.get("/audit-log")
        assert 'name "Office" to "Berne"' in visitor.text


async def test_a_pbx_that_another_process_added_comes_into_the_menu(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        await suite.sites.save_pbx(PbxSpec("Elsewhere"))
        suite.bulletin.publish("sites")
        for _ in range(100):
            await visitor.get("/")
            if "Elsewhere" in visitor.text:
                break
        assert "Elsewhere" in visitor.text


PBX_MISTAKES = (
    ({"name": ""}, "expected a name"),
    ({"connector": "opx", "url": "http://x/"}, "expected the management API's address"),
    ({"connector": "asterisk"}, "expected one of those shown"),
)


async def test_mistakes_of_a_pbx_are_named(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        for values, said in PBX_MISTAKES:
            await visitor.get("/pbxs/add")
            await visitor.send("/pbxs/add", **{"name": "Office", "connector": "", **values})
            assert visitor.page.status_code == 422 and said in visitor.text, values


async def test_the_token_is_written_and_never_shown_and_a_certificate_is_forgotten_with_its_address(
    tmp_path: Path,
) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        await visitor.get("/pbxs/add")
        await visitor.send("/pbxs/add", name="Office", connector="opx", url=URL, token="management-token")
        assert await suite.sites.pbx_token(1) == "management-token"
        pbx = await suite.sites.pbx(1)
        await suite.sites.save_pbx(PbxSpec("Office", "opx", URL, "cd" * 32), 1, pbx.version)

        await visitor.get("/pbxs/1/edit")
        assert "management-token" not in visitor.html
        await visitor.send("/pbxs/1/edit", ct_gateway="5.0.64")
        assert (await suite.sites.pbx(1)).fingerprint == "cd" * 32
        assert await suite.sites.pbx_token(1) == "management-token"
        await visitor.get("/pbxs/1/edit")
        await visitor.send("/pbxs/1/edit", url="https://192.168.20.21:8445/")
        assert (await suite.sites.pbx(1)).fingerprint == ""


async def test_nodes_are_added_changed_and_deleted(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await added(suite)
        await visitor.get("/pbxs/1/nodes/add")
        await visitor.send("/pbxs/1/nodes/add", address="192.168.20.20", nat_address="203.0.113.1")
        assert "Node 1 is added." in visitor.text and "203.0.113.1" in visitor.text
        await visitor.get("/pbxs/1/nodes/1")
        await visitor.send("/pbxs/1/nodes/1", nat_sip_port="5070", software="6.3 SP1")
        assert "203.0.113.1:5070" in visitor.text and "6.3 SP1" in visitor.text
        (node,) = await suite.sites.nodes()
        assert (node.nat_sip_port, node.sip_port, node.software) == (5070, 5060, "6.3 SP1")
        await visitor.get("/pbxs/1/nodes/1/delete")
        await visitor.send("/pbxs/1/nodes/1/delete")
        assert "There is no node yet." in visitor.text


NODE_MISTAKES = (
    ({"address": ""}, "is no host name or IPv4 address"),
    ({"nat_address": "not a host"}, "is no host name or IPv4 address"),
    ({"sip_port": "70000"}, "is no port"),
    ({"nat_sip_port": "sip"}, "is no whole number"),
)


async def test_mistakes_of_a_node_are_named(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await added(suite)
        for values, said in NODE_MISTAKES:
            await visitor.get("/pbxs/1/nodes/add")
            await visitor.send("/pbxs/1/nodes/add", **{"address": "192.168.20.20", **values})
            assert visitor.page.status_code == 422 and said in visitor.text, values


async def test_a_node_that_somebody_else_changed_is_not_overwritten_unseen(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        pbx, node = await with_pbx(suite.sites)
        visitor = await signed_in(suite)
        await visitor.get("/pbxs/1/nodes/1")
        await suite.sites.save_node(NodeSpec(pbx.id, "Node 1", "192.168.20.20", nat_address="203.0.113.9"), node.id)
        await visitor.send("/pbxs/1/nodes/1", nat_address="203.0.113.7")
        assert visitor.page.status_code == 409 and "203.0.113.9 203.0.113.7" in visitor.text
        await visitor.send("/pbxs/1/nodes/1")
        assert (await suite.sites.node(1)).nat_address == "203.0.113.7"


async def test_extensions_come_from_a_csv_file(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await added(suite)
        await upload(visitor, "number;name;password;hot desk\n1001;Ada;secret-1001;no\n1002;Lobby;secret-1002;yes\n")
        assert "The file holds 2 extensions; 2 differed" in visitor.text
        assert "SIP hot desk" in visitor.text and "secret-1001" not in visitor.html
        await upload(visitor, "number\n1001\n")
        assert "gone from the PBX" in visitor.text
        extension = await suite.sites.extension(1)
        assert extension.internal is not None and extension.internal.password == "secret-1001"


CSV_MISTAKES = (
    ("name\nAda\n", "there is no column number"),
    ("number\nfour\n12\n12\n", "line 2, column 1: is no extension number"),
    ("", "there is no column number"),
)


async def test_mistakes_of_a_csv_file_are_named_with_their_lines(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await added(suite)
        for text, said in CSV_MISTAKES:
            await upload(visitor, text)
            assert visitor.page.status_code == 422 and said in visitor.text, text
        assert await suite.sites.extension_counts() == {}


async def test_a_file_beyond_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await added(suite)
        await upload(visitor, "number\n" + "1" * 5_000_000)
        assert visitor.page.status_code == 413


async def test_reading_fails_with_the_reason_and_it_stays_on_the_page(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await added(suite, "opx", "https://127.0.0.1:1/")
        await visitor.send("/pbxs/1/read")
        assert "certificate is not trusted yet" in visitor.text
        await visitor.get("/pbxs")
        assert "certificate is not trusted yet" in visitor.text
        await visitor.get("/pbxs/1/certificate")
        assert "the PBX did not answer at 127.0.0.1, port 1" in visitor.text


async def test_a_pbx_with_ticked_extensions_stays(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        await with_pbx(suite.sites, "1001")
        await suite.sites.tick([1], True)
        visitor = await signed_in(suite)
        await visitor.get("/pbxs/1/delete")
        await visitor.send("/pbxs/1/delete")
        assert visitor.page.status_code == 409 and "untick them first" in visitor.text
        await suite.sites.tick([1], False)
        await visitor.get("/pbxs/1/delete")
        await visitor.send("/pbxs/1/delete")
        assert "There is no PBX yet." in visitor.text


async def test_a_reader_looks_and_changes_nothing(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        await with_pbx(suite.sites, "1001")
        visitor = await signed_in(suite, "rea", Role.READ_ONLY)
        await visitor.get("/pbxs/1")
        assert "1001" in visitor.text
        for offered in ("Add a node", "Read extensions now", "Use remote authorization credentials"):
            assert offered not in visitor.text
        await visitor.send("/sign-out")
        await visitor.sign_in("rea")
        await visitor.get("/pbxs/1/nodes/add")
        await visitor.send("/pbxs/1/nodes/add", address="192.168.20.21")
        assert visitor.page.status_code == 403

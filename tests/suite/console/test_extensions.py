"""SIP extensions: the list with bulk ticks, the SIP Authorization form, what is typed by hand."""

import asyncio
import re
from pathlib import Path

from opx.suite.console.service import ConsoleService
from opx.suite.console.ticking import AT_ONCE
from opx.suite.provisioning.records import Provisioned, ProvisionState
from opx.suite.provisioning.repository import ProvisioningRepository
from opx.suite.sites.records import GatewaySpec
from opx.web.accounts import Role
from support.console import Visitor, signed_in
from support.suite_console import open_suite_console
from support.suite_store import WRONG_NAME, read, with_pbx

PAGE = "/pbxs/1/extensions/1"


async def opened(suite: ConsoleService, *numbers: str, rest_api: bool = True) -> Visitor:
    """A visitor who is signed in, and a PBX with these extensions."""
    await with_pbx(suite.sites, *numbers)
    await suite.sites.gateway.save(GatewaySpec("192.168.20.1", rest_api=rest_api))
    return await signed_in(suite)


async def at_gateway(suite: ConsoleService, *states: Provisioned) -> None:
    """What provisioning would have written down."""
    async with suite.sites.engine.begin() as connection:
        await ProvisioningRepository(suite.sites.engine).save_in(connection, states)


async def test_ticking_makes_up_remote_credentials_and_tells_nobody_the_password(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await opened(suite, "1001")
        await visitor.get(PAGE)
        offered = visitor.form(PAGE)["remote_name"]
        assert re.fullmatch(r"tw-[0-9a-f]{12}", str(offered))
        await visitor.send(PAGE, teleworker="yes")
        assert "Extension 1001 is saved." in visitor.text and "Waiting to be written" in visitor.text
        extension = await suite.sites.extension(1)
        assert extension.teleworker and extension.remote is not None and extension.internal is not None
        assert extension.remote.name == offered and len(extension.remote.password) >= 20
        assert extension.remote.password not in visitor.html and extension.internal.password not in visitor.html
        assert "uses remote authorization credentials from now on" in visitor.text
        await visitor.get("/audit-log")
        assert 'teleworker "no" to "yes"' in visitor.text and "credentials written" in visitor.text
        assert extension.remote.password not in visitor.html


async def test_a_name_that_was_only_offered_is_not_stored_without_a_tick(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await opened(suite, "1001")
        await visitor.get(PAGE)
        await visitor.send(PAGE)
        assert (await suite.sites.extension(1)).remote is None


async def test_unticking_keeps_the_credentials_for_another_time(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await opened(suite, "1001")
        await suite.sites.tick([1], True)
        before = await suite.sites.extension(1)
        await visitor.get(PAGE)
        await visitor.send(PAGE, teleworker="")
        after = await suite.sites.extension(1)
        assert not after.teleworker and after.remote == before.remote


async def test_a_name_that_is_not_the_number_is_refused_with_the_reason(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await opened(suite)
        await suite.sites.take_over(1, [WRONG_NAME], 1.0)
        await visitor.get(PAGE)
        assert "It cannot be used through the gateway yet" in visitor.text
        await visitor.send(PAGE, teleworker="yes")
        assert visitor.page.status_code == 422
        assert "sip1003 differs from the extension number 1003" in visitor.text
        assert not (await suite.sites.extension(1)).teleworker
        await visitor.get(PAGE)
        assert "not put on the gateway: the internal authorization name sip1003" in visitor.text
        await visitor.send(PAGE, teleworker="yes", internal_name="1003")
        assert (await suite.sites.extension(1)).teleworker


async def test_what_the_gateway_has_is_shown(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await opened(suite, "1001", "1002", "1003")
        await suite.sites.tick([1, 2], True)
        await at_gateway(
            suite,
            Provisioned(1, "1001", ProvisionState.PROVISIONED, device_id=77, owned=True),
            Provisioned(2, "1002", ProvisionState.FAILED, "no ICP has this node's address"),
        )
        await visitor.get(PAGE)
        assert "Gateway's id 77" in visitor.text and "unticking removes it" in visitor.text
        await visitor.get("/pbxs/1")
        assert "On the gateway 77" in visitor.text and "no ICP has this node's address" in visitor.text
        await visitor.get("/pbxs/1?state=failed")
        assert "1 extension" in visitor.text and "1002" in visitor.text and ">1001<" not in visitor.html
        await suite.sites.tick([3], True)
        await visitor.get("/pbxs/1?state=pending")
        assert "1003" in visitor.text and "1 extension" in visitor.text


async def test_passwords_are_revealed_only_without_the_rest_api_and_it_is_written_down(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await opened(suite, "1001", rest_api=False)
        await suite.sites.tick([1], True)
        extension = await suite.sites.extension(1)
        assert extension.remote is not None and extension.internal is not None
        await visitor.get(PAGE)
        await visitor.send(f"{PAGE}/reveal")
        assert extension.remote.password in visitor.text and extension.internal.password in visitor.text
        await visitor.get(PAGE)
        assert extension.remote.password not in visitor.html
        assert "credentials shown to ada" in visitor.text
        await suite.sites.gateway.save(GatewaySpec("192.168.20.1", rest_api=True))
        await visitor.get(PAGE)
        token = visitor.form(PAGE)["form_token"]
        answer = await visitor.client.post(f"{PAGE}/reveal", data={"form_token": token}, follow_redirects=True)
        assert "shown only while the Rest API is off" in answer.text
        assert extension.remote.password not in answer.text
        await visitor.get("/audit-log?q=revealed")
        assert "revealed credentials extension 1001" in visitor.text and "1 entry" in visitor.text


async def test_a_reader_reveals_nothing(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        await opened(suite, "1001", rest_api=False)
        reader = await signed_in(suite, "rea", Role.READ_ONLY)
        await reader.get(PAGE)
        assert "Reveal" not in reader.text
        token = reader.form("/sign-out")["form_token"]
        answer = await reader.client.post(f"{PAGE}/reveal", data={"form_token": token})
        assert answer.status_code == 403


async def test_many_are_ticked_at_once_each_for_itself(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await opened(suite)
        await suite.sites.take_over(1, [read("1001"), read("1002"), WRONG_NAME], 1.0)
        await visitor.get("/pbxs/1")
        await visitor.send("/pbxs/1/tick", extension=["1", "3"], do="tick")
        assert "1 of 2 extensions use remote authorization credentials now." in visitor.text
        assert "1 left as they were: the internal authorization name differs" in visitor.text
        await visitor.send("/pbxs/1/tick", which="all", do="untick")
        assert "3 of 3 extensions do not use" in visitor.text
        await visitor.send("/pbxs/1/tick", do="tick")
        assert "No extension was chosen." in visitor.text


async def test_all_of_a_search_are_ticked_and_the_rest_is_left_alone(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await opened(suite, *(str(number) for number in range(1000, 1040)), "2000")
        await visitor.get("/pbxs/1?q=10&page=2")
        await visitor.send("/pbxs/1/tick", which="all", do="tick")
        assert "40 of 40 extensions" in visitor.text
        assert visitor.page.url.query == b"q=10&sort=number&page=2"
        assert (await suite.sites.extension_counts())[1] == (41, 40)


async def test_thousands_are_ticked_behind_the_page_with_progress(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        number = AT_ONCE + 1
        visitor = await opened(suite, *(str(10_000 + step) for step in range(number)))
        await visitor.get("/pbxs/1")
        await visitor.send("/pbxs/1/tick", which="all", do="tick")
        assert f"of {number} extensions are ticked so far" in visitor.text
        for _ in range(1000):
            await visitor.get("/pbxs/1")
            if "ticked so far" not in visitor.text:
                break
            await asyncio.sleep(0.01)
        assert f"{number} of {number} extensions use remote authorization credentials now." in visitor.text
        assert (await suite.sites.extension_counts())[1] == (number, number)


async def test_the_list_is_searched_and_ordered(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await opened(suite)
        await suite.sites.take_over(1, [read("1001"), read("1002", hot_desk=True), WRONG_NAME], 1.0)
        await suite.sites.tick([1], True)
        for query, shown in (
            ("?use=obstructed", ["1003"]),
            ("?use=remote", ["1001"]),
            ("?kind=hot-desk", ["1002"]),
            ("?sort=-number", ["1003", "1002", "1001"]),
        ):
            await visitor.get(f"/pbxs/1{query}")
            found = re.findall(r'<th scope="row"><a href="/pbxs/1/extensions/\d">(\d+)</a>', visitor.html)
            assert found == shown, query


async def test_an_extension_is_typed_by_hand_described_and_deleted(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await opened(suite)
        await visitor.get("/pbxs/1/extensions/add")
        await visitor.send("/pbxs/1/extensions/add", number="1001", name="Ada", internal_password="pbx-secret")
        assert "Extension 1001 is added." in visitor.text and "Node 1" in visitor.text
        extension = await suite.sites.extension(1)
        assert extension.internal is not None
        assert (extension.internal.name, extension.internal.password) == ("1001", "pbx-secret")
        await visitor.get(f"{PAGE}/edit")
        await visitor.send(f"{PAGE}/edit", name="Ada L.", hot_desk="yes")
        assert "SIP hot desk" in visitor.text and "Ada L." in visitor.text
        await suite.sites.tick([1], True)
        await visitor.get(f"{PAGE}/delete")
        await visitor.send(f"{PAGE}/delete")
        assert visitor.page.status_code == 409 and "untick that first" in visitor.text
        await suite.sites.tick([1], False)
        await visitor.get(f"{PAGE}/delete")
        await visitor.send(f"{PAGE}/delete")
        assert "Extension 1001 is deleted." in visitor.text


MISTAKES = (
    ({"number": "ten"}, "is no extension number"),
    ({"number": "1001"}, "there is an extension 1001 already"),
    ({"number": "1002", "node": "99"}, "is no node of this PBX"),
    ({"number": "1002", "internal_password": "é"}, "printable ASCII"),
)


async def test_mistakes_of_a_typed_extension_are_named(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await opened(suite, "1001")
        for values, said in MISTAKES:
            await visitor.get("/pbxs/1/extensions/add")
            await visitor.send("/pbxs/1/extensions/add", **values)
            assert visitor.page.status_code == 422 and said in visitor.text, values


async def test_who_was_overtaken_at_the_form_sees_what_differs(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await opened(suite, "1001")
        await visitor.get(PAGE)
        await suite.sites.tick([1], True)
        await visitor.send(PAGE, remote_name="tw-ada", remote_password="Typed-by-hand-1")
        assert visitor.page.status_code == 409 and "Use remote authorization credentials yes no" in visitor.text
        assert "Typed-by-hand-1" not in visitor.html


async def test_an_extension_of_another_pbx_is_not_found_here(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await opened(suite, "1001")
        for path in ("/pbxs/2/extensions/1", "/pbxs/1/extensions/9", "/pbxs/1/extensions/9/edit", "/pbxs/9"):
            assert (await visitor.get(path)).status_code == 404

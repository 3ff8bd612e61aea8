"""The suite's first page, and the guide's stages as a checklist."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from opx.gateway.webservices.records import RESOURCES, ConsumerSpec, Permission
from opx.suite.console.service import ConsoleService
from opx.suite.provisioning.records import Provisioned, ProvisionState
from opx.suite.provisioning.repository import ProvisioningRepository
from opx.suite.sites.records import GatewaySpec, Locations
from opx.suite.timeline import GATEWAY, Entry, Kind, Timeline, extension_subject, phone_subject
from opx.web.accounts import Role
from support.console import signed_in
from support.suite_console import open_suite_console
from support.suite_gateway import with_token
from support.suite_store import with_pbx
from support.web_services import ALL, WebSite, web_site


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebSite]:
    (tmp_path / "gateway").mkdir()
    with web_site(tmp_path / "gateway") as running:
        yield running


async def states(suite: ConsoleService, *rows: Provisioned) -> None:
    async with suite.sites.engine.begin() as connection:
        await ProvisioningRepository(suite.sites.engine).save_in(connection, rows)


async def test_a_new_site_is_told_where_to_begin(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        await visitor.get("/")
        assert "Stage 1, the gateway's addresses, is not complete: Internal IP address of the gateway" in visitor.text
        assert "There is none." in visitor.text


async def test_figures_and_what_needs_attention(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        await with_pbx(suite.sites, "1001", "1002", "1003", "1004")
        await suite.sites.gateway.save(GatewaySpec("192.168.20.1", rest_api=True))
        await suite.sites.tick([1, 2, 3], True)
        await states(
            suite,
            Provisioned(1, "1001", ProvisionState.PROVISIONED, device_id=7, owned=True),
            Provisioned(2, "1002", ProvisionState.FAILED, "no ICP"),
        )
        timeline = Timeline(suite.sites.engine)
        await timeline.note(
            [
                Entry.now(extension_subject(2), Kind.REFUSED, "no ICP has this address"),
                Entry.now(phone_subject("1400E9123456"), Kind.WARNING, "asked from another place"),
                Entry.now(GATEWAY, Kind.WARNING, "the token ends soon"),
                Entry.now(extension_subject(99), Kind.REFUSED, "it is gone"),
                Entry.now(extension_subject(1), Kind.DONE, "is on the gateway"),
            ]
        )
        visitor = await signed_in(suite)
        await visitor.get("/")
        assert "4 SIP extensions 1 of 3 teleworkers on the gateway" in visitor.text
        assert "On the gateway 1" in visitor.text and "Waiting to be written 1" in visitor.text
        assert "1 extension is not on the gateway as wanted." in visitor.text
        assert "Extension 1002 no ICP has this address" in visitor.text
        assert 'href="/phones/1400E9123456"' in visitor.html and "asked from another place" in visitor.text
        assert "MiVoice Border Gateway the token ends soon" in visitor.text
        assert "An extension that is gone" in visitor.text and "is on the gateway" not in visitor.text


async def test_a_reader_may_have_the_stages_checked_again(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite, "rea", Role.READ_ONLY)
        await visitor.get("/stages")
        await visitor.send("/stages/check")
        assert visitor.page.status_code == 200 and "Stage 6: The phones" in visitor.text


async def test_what_the_gateway_says_is_among_the_conditions(tmp_path: Path, web: WebSite) -> None:
    async with open_suite_console(tmp_path) as suite:
        await with_token(suite.sites, suite.bulletin, web, ALL)
        await with_pbx(suite.sites, "1001")
        await suite.sites.save_locations(Locations("", "203.0.113.1"))
        web.with_node("192.168.20.21")
        visitor = await signed_in(suite)
        await visitor.get("/stages")
        assert "Gateway version 10 or higher done" in visitor.text and "Gateway mode done" in visitor.text
        assert "no ICP has 192.168.20.20 as its Hostname or IP Address" in visitor.text
        assert "TCP 8202 to 127.0.20.10, with SNAT to be done" in visitor.text
        web.with_node("192.168.20.20")
        await visitor.send("/stages/check")
        assert "ICP for Node 1 at 192.168.20.20 done" in visitor.text


async def test_what_is_not_granted_cannot_be_checked(tmp_path: Path, web: WebSite) -> None:
    permissions = dict.fromkeys(RESOURCES, Permission.NONE) | {"Base/managetoken": Permission.READ_WRITE}
    async with open_suite_console(tmp_path) as suite:
        await with_token(suite.sites, suite.bulletin, web, ConsumerSpec("Suite", "suite", permissions))
        await with_pbx(suite.sites)
        visitor = await signed_in(suite)
        await visitor.get("/stages")
        assert "the consumer has no permission OPX/v1/forwards" in visitor.text
        assert "the consumer has no permission MBG/v1/icps" in visitor.text

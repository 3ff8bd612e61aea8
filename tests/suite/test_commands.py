"""`opx suite`: the site settings without a browser."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from typer.testing import CliRunner, Result

from opx.suite.commands import app
from opx.suite.handsets.repository import PhoneRepository
from opx.suite.provisioning.records import Provisioned, ProvisionState, Run
from opx.suite.provisioning.repository import ProvisioningRepository
from opx.suite.sites.repository import ExtensionQuery, SiteRepository
from support.suite_store import WRONG_NAME, open_suite, read, suite_file, with_pbx


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = suite_file(tmp_path)
    file.path.write_text(file.text)
    return file.path


T = TypeVar("T")


def stored(folder: Path, work: Callable[[SiteRepository], Awaitable[T]]) -> T:
    async def do() -> T:
        async with open_suite(folder) as sites:
            return await work(sites)

    return asyncio.run(do())


def suite(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--config", str(config)])


def test_stage_1_is_done_by_commands(config: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("management-token\n")
    for arguments in (
        ("gateway", "set", "192.168.20.1", "--rest-api"),
        ("pbx", "add", "Office", "--connector", "opx", "--url", "https://pbx/", "--token-file", f"{tmp_path}/token"),
        ("node", "add", "Office", "Node 1", "192.168.20.20", "--nat-address", "203.0.113.1"),
        ("location", "set", "--local", "192.168.20.10"),
        ("location", "set", "--remote", "gateway.example.com"),
    ):
        done = suite(config, *arguments)
        assert done.exit_code == 0, done.output
        assert "management-token" not in done.output
    assert "203.0.113.1:5060" in suite(config, "pbx", "list").output
    (pbx,) = stored(tmp_path, lambda sites: sites.pbxs())
    assert stored(tmp_path, lambda sites: sites.pbx_token(pbx.id)) == "management-token"
    assert stored(tmp_path, lambda sites: sites.gateway.read()).rest_api
    assert stored(tmp_path, lambda sites: sites.locations()).remote == "gateway.example.com"


def test_a_command_given_twice_changes_what_it_made(config: Path, tmp_path: Path) -> None:
    suite(config, "pbx", "add", "Office")
    for port in ("5060", "5070"):
        suite(config, "pbx", "add", "Office")
        suite(config, "node", "add", "Office", "Node 1", "192.168.20.20", "--sip-port", port)
    assert [node.sip_port for node in stored(tmp_path, lambda sites: sites.nodes())] == [5070]
    assert len(stored(tmp_path, lambda sites: sites.pbxs())) == 1


def test_what_cannot_be_stored_is_said_and_ends_with_1(config: Path) -> None:
    wrong = suite(config, "gateway", "set", "gateway.example.com")
    assert (wrong.exit_code, wrong.output) == (1, "'gateway.example.com' is no IPv4 address\n")
    assert "there is no PBX Office" in suite(config, "node", "add", "Office", "Node 1", "192.168.20.20").output


def test_extensions_are_ticked_each_for_itself(config: Path, tmp_path: Path) -> None:
    pbx, _ = stored(tmp_path, with_pbx)
    stored(tmp_path, lambda sites: sites.take_over(pbx.id, [read("1001"), read("1002"), WRONG_NAME], 1.0))
    done = suite(config, "extension", "tick", "--all")
    assert done.exit_code == 1
    assert "2 of 3 extensions ticked" in done.output
    assert "1003: the internal authorization name sip1003 differs" in done.output
    assert suite(config, "extension", "untick", "1002").exit_code == 0
    ticked, _ = stored(tmp_path, lambda sites: sites.extensions(ExtensionQuery(teleworker=True)))
    assert [extension.number for extension in ticked] == ["1001"]
    assert "there is no SIP extension 9" in suite(config, "extension", "tick", "9").output
    assert "expected extension numbers, or --all" in suite(config, "extension", "tick").output


def test_phones_are_approved_assigned_and_revoked(config: Path, tmp_path: Path) -> None:
    stored(tmp_path, lambda sites: with_pbx(sites, "1001", "1002"))
    stored(tmp_path, lambda sites: PhoneRepository(sites.engine, sites.sealer).add("14:00:E9:00:00:01", "6930"))
    assert "new" in suite(config, "phone", "list").output
    assert suite(config, "phone", "approve", "14-00-e9-00-00-01", "--extension", "1001").exit_code == 0
    listed = suite(config, "phone", "list").output
    assert "14:00:E9:00:00:01" in listed and "approved" in listed and "1001" in listed
    assert suite(config, "phone", "assign", "1400E9000001", "--extension", "1002").exit_code == 0
    assert suite(config, "phone", "revoke", "1400E9000001").exit_code == 0
    assert "revoked" in suite(config, "phone", "list").output
    assert "there is no such phone" in suite(config, "phone", "approve", "1400E9000002").output
    assert "no MAC address" in suite(config, "phone", "approve", "1400").output


def test_a_one_time_code_is_shown_once(config: Path, tmp_path: Path) -> None:
    stored(tmp_path, lambda sites: with_pbx(sites, "1001"))
    shown = suite(config, "phone", "code", "1001")
    assert shown.exit_code == 0
    code = shown.stdout.split()[0]
    assert code.isdigit()
    for path in tmp_path.glob("suite.db*"):
        assert code.encode() not in path.read_bytes()


def test_what_the_gateway_shows_cannot_be_seen_when_it_is_not_there(config: Path) -> None:
    assert "inside address is not set" in suite(config, "gateway", "trust").output
    suite(config, "gateway", "set", "127.255.255.1", "--rest-api")
    refused = suite(config, "gateway", "trust")
    assert refused.exit_code == 1
    assert "did not answer at 127.255.255.1, port 8443" in refused.output
    assert "127.255.255.1:8443" in suite(config, "gateway", "show").output


def test_how_far_the_gateway_agrees_is_shown_with_the_reasons(config: Path, tmp_path: Path) -> None:
    async def prepare(sites: SiteRepository) -> None:
        await with_pbx(sites, "1001", "1002")
        ids = [extension.id for extension in (await sites.extensions())[0]]
        await sites.tick(ids, True)
        kept = ProvisioningRepository(sites.engine)
        async with sites.engine.begin() as connection:
            await kept.save_in(connection, [Provisioned(ids[0], "1001", ProvisionState.FAILED, "no such ICP")])
        await kept.save_run(Run("no-token", "there is no access token", token_note="the access token ends in 9 days"))

    stored(tmp_path, prepare)
    off = suite(config, "provisioning", "show")
    assert off.exit_code == 0 and "kept by hand" in off.output and "no such ICP" not in off.output
    suite(config, "gateway", "set", "192.168.20.1", "--rest-api")
    shown = suite(config, "provisioning", "show")
    assert shown.exit_code == 1
    for text in ("Waiting to be written", "no such ICP", "nothing is provisioned: there is no access token", "9 days"):
        assert text in shown.output, text
    assert "no suite is running here" in suite(config, "provisioning", "now").output

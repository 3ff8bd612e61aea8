"""`opx suite check` and `opx suite user`."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from opx.suite.certificates import server_certificate
from opx.suite.commands import app
from opx.suite.settings import SuiteSettings
from opx.suite.sites.records import ExtensionSpec, GatewaySpec
from support.network import LoopbackNetwork
from support.suite_store import open_suite, suite_file, with_pbx


@pytest.fixture
def config(tmp_path: Path, loopback: LoopbackNetwork) -> Path:
    file = suite_file(tmp_path, loopback.at("20.10"))
    file.path.write_text(file.text)
    return file.path


def run(config: Path, *arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, [*arguments, "--config", str(config)])
    assert result.exit_code == status, result.output
    return result.output


async def with_site(folder: Path, address: str) -> None:
    async with open_suite(folder) as sites:
        await with_pbx(sites, "1001")
        await sites.gateway.save(GatewaySpec("192.168.20.1", rest_api=True))
        (await server_certificate(suite_file(folder, address).settings(SuiteSettings), sites)).open()


def test_a_suite_that_never_ran_is_in_order_so_far(config: Path) -> None:
    said = run(config, "check")
    assert "is made at the first start" in said and "error" not in said


def test_every_condition_of_the_guide_is_told_with_what_to_do(config: Path, loopback: LoopbackNetwork) -> None:
    asyncio.run(with_site(config.parent, loopback.at("20.10")))
    said = run(config, "check")
    assert "warning  stage 1, Client Location Remote: enter the gateway's external IP address" in said
    assert "warning  stage 4, Access token: request one" in said
    assert "ok       stage 5, SIP extensions: 1 extension known" in said
    assert "lasts 397 days" in said


def test_what_is_wrong_ends_with_1(config: Path, loopback: LoopbackNetwork) -> None:
    asyncio.run(with_site(config.parent, loopback.at("20.10")))
    (config.parent / "suite.key").chmod(0o644)
    found = json.loads(run(config, "check", "--json", status=1))
    assert any(item["level"] == "error" and "suite.key" in item["text"] for item in found)
    (config.parent / "suite.key").chmod(0o600)
    (config.parent / "suite.key").write_bytes(bytes(32))
    assert "does not belong to this database" in run(config, "check", status=1)
    config.write_text('address = "no"\n')
    assert "error    settings:" in run(config, "check", status=1)


def test_a_way_into_the_console_from_its_own_machine(config: Path, loopback: LoopbackNetwork) -> None:
    link = rf"https://{re.escape(loopback.at('20.10'))}:8444/link/\S+"
    assert re.search(link, run(config, "user", "link"))
    assert re.search(link, run(config, "user", "add", "rea"))
    listed = run(config, "user", "list")
    assert "rea" in listed and "read-only" in listed and "not chosen yet" in listed
    assert "there is no user ada" in run(config, "user", "link", "ada", status=1)


def test_a_suite_is_put_into_one_file_and_back(config: Path, loopback: LoopbackNetwork) -> None:
    folder, file = config.parent, config.parent / "kept.opx"
    asyncio.run(with_site(folder, loopback.at("20.10")))
    authority = (folder / "suite-certificates" / "ca.pem").read_bytes()
    assert "rows of revision" in run(config, "backup", str(file))
    asyncio.run(with_another_extension(folder))
    (folder / "suite-certificates" / "ca.pem").write_bytes(b"")

    said = run(config, "restore", str(file))

    assert "1 SIP extensions, 0 phones" in said and "what was there before" in said
    assert (folder / "suite-certificates" / "ca.pem").read_bytes() == authority
    assert asyncio.run(numbers(folder)) == ["1001"]
    assert "is there already" in run(config, "backup", str(file), status=1)


async def with_another_extension(folder: Path) -> None:
    async with open_suite(folder) as sites:
        await sites.add_extension(ExtensionSpec(1, "1002"))


async def numbers(folder: Path) -> list[str]:
    async with open_suite(folder) as sites:
        return [extension.number for extension in (await sites.extensions())[0]]

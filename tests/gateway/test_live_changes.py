"""What the command line changes reaches a gateway that is running."""

import asyncio
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from opx.gateway.commands import app
from support.live import LiveSite, live_site
from support.network import LoopbackNetwork
from support.postgres import DATABASES

pytestmark = pytest.mark.usefixtures("each_database")


def settings_file(site: LiveSite) -> Path:
    """The running gateway's settings."""
    file = site.folder / "gateway.toml"
    database = DATABASES.setting(site.folder / "gateway.db")
    sides = f'[set_side]\naddress = "{site.outside}"\n[icp_side]\naddress = "{site.inside}"\n'
    file.write_text(f'database = "{database}"\n{sides}')
    return file


async def command(site: LiveSite, *arguments: str) -> str:
    """Run `opx gateway` as another process would."""
    options = ["--config", str(settings_file(site))]
    result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, *options])
    assert result.exit_code == 0, result.output
    return result.output


async def test_a_device_is_known_and_gone_as_soon_as_its_command_has_ended(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    async with live_site(loopback, tmp_path) as site:
        directory = site.gateway.signalling.directory
        assert directory.by_username("tw9") is None

        output = await command(site, "device", "add", "tw9", "--icp", "Node 1", "--generate")
        assert "no gateway is running" not in output
        added = directory.by_username("tw9")
        assert added is not None
        await command(site, "device", "disable", "tw9")
        disabled = directory.by_username("tw9")
        assert disabled is not None
        assert (added.enabled, disabled.enabled) == (True, False)
        await command(site, "device", "remove", "tw9")
        assert directory.by_username("tw9") is None


async def test_a_second_gateway_with_the_same_files_does_not_start(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_site(loopback, tmp_path) as site:
        second = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "opx", "gateway", "run", "--config", str(settings_file(site))),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await second.communicate()

        assert second.returncode == 1
        assert output.startswith(b"cannot start: ")
        assert b"Traceback" not in output
        assert "no gateway is running" not in await command(site, "device", "disable", "tw1")


async def test_a_backup_is_made_while_the_gateway_runs_and_none_is_restored_under_it(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    async with live_site(loopback, tmp_path) as site:
        archive, options = str(tmp_path / "backup"), ("--config", str(settings_file(site)))
        assert f"{archive}: " in await command(site, "backup", archive)

        refused = await asyncio.to_thread(CliRunner().invoke, app, ["restore", archive, *options])
        assert refused.exit_code == 1
        assert "opx gateway is running" in refused.output
        await command(site, "device", "disable", "tw1")
        device = site.gateway.signalling.directory.by_username("tw1")
        assert device is not None and not device.enabled

    restored = await asyncio.to_thread(CliRunner().invoke, app, ["restore", archive, *options])
    assert restored.exit_code == 0, restored.output
    async with live_site(loopback, tmp_path, remote=()) as site:
        device = site.gateway.signalling.directory.by_username("tw1")
        assert device is not None and device.enabled

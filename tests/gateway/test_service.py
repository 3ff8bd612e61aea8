"""The gateway as one service: starting, failing to start, stopping."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from opx.config import load_settings
from opx.pbx.settings import PbxSettings
from support.live import LiveSite, live_site
from support.network import LoopbackNetwork
from support.programs import PATIENCE

pytestmark = pytest.mark.usefixtures("each_database")


def workers(folder: Path) -> str:
    """Media workers of this test's own gateways: they carry its addresses in their arguments."""
    found = subprocess.run(["pgrep", "-f", f"media.worker.*{folder}"], capture_output=True, text=True, check=False)
    return found.stdout


async def test_a_second_gateway_on_the_same_address_says_so_and_leaves_nothing_running(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    (tmp_path / "second").mkdir()
    async with live_site(loopback, tmp_path) as site:
        before = workers(Path(site.outside))
        second = LiveSite(loopback, tmp_path / "second")
        with pytest.raises(OSError, match="in use"):
            await second.start_gateway()
        async with asyncio.timeout(PATIENCE):
            while workers(Path(site.outside)) != before:
                await asyncio.sleep(0.05)


async def test_a_stopped_gateway_leaves_no_worker(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with live_site(loopback, tmp_path) as site:
        assert workers(Path(site.outside))
    assert not workers(Path(site.outside))


def test_relative_paths_of_every_program_start_at_its_settings_file(tmp_path: Path) -> None:
    file = tmp_path / "pbx.toml"
    file.write_text('address = "127.0.0.1"\ntoken_file = "/elsewhere/token"\n')
    settings = load_settings(PbxSettings, file)
    assert settings.database == tmp_path / "pbx.db"
    assert settings.token_file == Path("/elsewhere/token")

"""A suite that is killed anywhere between two writes leaves a gateway that the next one makes right."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from opx.suite.provisioning.records import ProvisionState
from support.programs import PATIENCE
from support.provisioned_site import ProvisionedSite, provisioned_site
from support.web_services import WebSite, web_site

NUMBERS = [f"10{n:02}" for n in range(1, 9)]
MOMENTS = range(4, 14)
"""A look asks the gateway three times, and each bulk write is six moments more: two writes of the database around a
question."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebSite]:
    (tmp_path / "gateway").mkdir()
    with web_site(tmp_path / "gateway") as running:
        yield running


async def killed_suites(site: ProvisionedSite, folder: Path, *moments: int) -> int:
    """Let suites of their own processes work and be killed, then one that ends the work; how many were killed."""
    tests = Path(__file__).parents[2]
    folders = [str(tests), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(tests / "support" / "killed_provisioning.py"), str(folder), *map(str, moments)],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return int(done.stdout.split()[0])


async def test_a_suite_killed_at_any_moment_is_taken_over_from_by_the_next(tmp_path: Path, web: WebSite) -> None:
    async with provisioned_site(tmp_path, web, numbers=NUMBERS) as site:
        await site.token()
        site.icp()
        by_hand = site.by_hand("added-by-hand", "1001")
        await site.tick(*NUMBERS)
        assert await killed_suites(site, tmp_path, *MOMENTS) > 6
        await site.assert_agrees(*NUMBERS)
        for number in NUMBERS:
            state = await site.state(number)
            assert state and state.owned == (number != "1001"), number

        await site.tick("1001", "1002", "1003", "1004", on=False)
        assert await killed_suites(site, tmp_path, *MOMENTS[1:6]) > 2
        assert await site.states("1001", "1002") == [ProvisionState.LEFT, None]
        assert site.devices()["1001"].id == by_hand.id
        await site.tick("1001")
        await killed_suites(site, tmp_path)
        await site.assert_agrees("1001", "1005", "1006", "1007", "1008")

"""The guide's stages 2, 3 and 4 in a real Chromium that trusts our authority by its certificate store, with scripts and
without."""

from pathlib import Path

import pytest
from playwright.sync_api import Playwright, expect

from support.browser import chromium, needs_browser, trust
from support.console_program import console_program
from support.guide import Suite, go, sign_in_first, stage_2, stage_3, stage_4
from support.network import LoopbackNetwork

pytestmark = needs_browser


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_stages_2_3_and_4_one_after_the_other(
    playwright_: Playwright, loopback: LoopbackNetwork, tmp_path: Path, scripts: bool
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with console_program(tmp_path, loopback) as console:
        trust(home, console.authority)
        with chromium(playwright_, home) as browser:
            page = browser.new_context(java_script_enabled=scripts).new_page()
            sign_in_first(page, console.link)
            stage_2(page, loopback.at("20.10"))
            stage_3(page, loopback.at("20.20"))
            suite = Suite(console.url, console.authority)
            stage_4(page, suite)
            provision(suite, console.url)
            # What the suite did by its token is on the page that the guide names.
            go(page, "MiVoice Border Gateway", "Teleworking", "SIP")
            expect(page.get_by_role("row").filter(has_text="tw-4711")).to_contain_text("Node 1")


def provision(suite: Suite, url: str) -> None:
    """The suite makes a device at the ICP that it finds."""
    (icp,) = suite.get("MBG/v1/icps").json()["items"]
    device = {
        "set_username": "tw-4711",
        "set_password": "Made-up-by-the-suite-1",
        "icp_id": icp["id"],
        "icp_username": "1001",
        "icp_password": "From-the-node-1",
    }
    answer = suite.session.post(f"{url}webservices/MBG/v1/devices", json=device)
    assert answer.status_code == 201, answer.text

"""The guide's stages 2, 3 and 4 in a real Chromium that trusts our authority by its certificate store, with scripts and
without."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, Playwright, expect

from support.browser import chromium, needs_browser, trust
from support.console_program import ConsoleProgram, console_program
from support.guide import Suite, go, sign_in_first, stage_2, stage_3, stage_4
from support.network import claim_network

pytestmark = needs_browser


@dataclass(frozen=True)
class Desk:
    """An administrator's browser on the console."""

    console: ConsoleProgram
    page: Page


@pytest.fixture(scope="module", params=[True, False], ids=["with scripts", "without scripts"])
def desk(
    request: pytest.FixtureRequest, playwright_: Playwright, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    network = claim_network()
    try:
        folder, home = tmp_path_factory.mktemp("gateway"), tmp_path_factory.mktemp("home")
        with console_program(folder, network) as console:
            trust(home, console.authority)
            with chromium(playwright_, home) as browser:
                page = browser.new_context(java_script_enabled=request.param).new_page()
                sign_in_first(page, console.link)
                yield Desk(console, page)
    finally:
        network.release()


def test_stage_2_port_forwarding(desk: Desk) -> None:
    stage_2(desk.page, desk.console.network.at("20.10"))


def test_stage_3_icps(desk: Desk) -> None:
    stage_3(desk.page, desk.console.network.at("20.20"))


def test_stage_4_web_services(desk: Desk) -> None:
    suite = Suite(desk.console.url, desk.console.authority)
    stage_4(desk.page, suite)
    # What the suite then does by its token is on the page that the guide names.
    (icp,) = suite.get("MBG/v1/icps").json()["items"]
    device = {
        "set_username": "tw-4711",
        "set_password": "Made-up-by-the-suite-1",
        "icp_id": icp["id"],
        "icp_username": "1001",
        "icp_password": "From-the-node-1",
    }
    answer = suite.session.post(f"{desk.console.url}webservices/MBG/v1/devices", json=device)
    assert answer.status_code == 201, answer.text
    go(desk.page, "MiVoice Border Gateway", "Teleworking", "SIP")
    expect(desk.page.get_by_role("row").filter(has_text="tw-4711")).to_contain_text("Node 1")

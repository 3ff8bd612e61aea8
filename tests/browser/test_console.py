"""The console in a real Chromium: trust, scripts, keyboard, widths."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Playwright, expect

from support.browser import assert_well_made, chromium, needs_browser, trust
from support.console_program import ConsoleProgram, console_program
from support.guide import PASSWORD, sign_in_first, stage_3
from support.network import claim_network

pytestmark = needs_browser

PAGES = (
    "",
    "settings",
    "icps",
    "icps/add",
    "icps/1",
    "icps/1/edit",
    "sip-devices",
    "sip-devices/add",
    "sip-devices/1",
    "port-forwarding",
    "port-forwarding/add",
    "port-forwarding/preset",
    "web-services",
    "web-services/consumers/add",
    "users",
    "users/add",
    "audit-log",
    "calls",
    "alarms",
    "account",
)


@dataclass
class Desk:
    console: ConsoleProgram
    browser: Browser
    page: Page
    complaints: list[str] = field(default_factory=list)

    def hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self, path: str) -> None:
        self.page.goto(self.console.url + path)


@pytest.fixture(scope="module")
def desk(playwright_: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """An administrator's browser, on a gateway with an ICP and a device."""
    network = claim_network()
    try:
        folder, home = tmp_path_factory.mktemp("gateway"), tmp_path_factory.mktemp("home")
        with console_program(folder, network) as console:
            trust(home, console.authority)
            with chromium(playwright_, home) as browser:
                page = browser.new_context().new_page()
                found = Desk(console, browser, page)
                page.on("console", found.hear)
                page.on("pageerror", lambda error: found.complaints.append(str(error)))
                sign_in_first(page, console.link)
                stage_3(page, network.at("20.20"))
                add_device(found, "tw1", "1001")
                yield found
    finally:
        network.release()


def add_device(desk: Desk, name: str, extension: str, page: Page | None = None) -> None:
    page = page or desk.page
    page.goto(f"{desk.console.url}sip-devices/add")
    page.get_by_label("Set-side username").fill(name)
    page.get_by_label("ICP-side username").fill(extension)
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text(f"Device {name} is added.")).to_be_visible()


def test_a_browser_that_does_not_have_our_authority_is_warned(
    desk: Desk, playwright_: Playwright, tmp_path: Path
) -> None:
    with chromium(playwright_, tmp_path) as stranger, pytest.raises(Error, match="ERR_CERT_AUTHORITY_INVALID"):
        stranger.new_page().goto(desk.console.url)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_without_complaint_named_and_not_wider_than_a_phone(desk: Desk, scheme: str) -> None:
    desk.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    desk.page.set_viewport_size({"width": 390, "height": 800})
    desk.complaints.clear()
    for path in PAGES:
        desk.open(path)
        assert_well_made(desk.page, path)
    assert desk.complaints == []
    desk.page.set_viewport_size({"width": 1280, "height": 800})


def test_the_keyboard_reaches_the_content_past_the_menu_and_every_mistake(desk: Desk) -> None:
    desk.open("icps/add")
    desk.page.keyboard.press("Tab")
    expect(desk.page.get_by_role("link", name="Skip to content")).to_be_focused()
    desk.page.keyboard.press("Enter")
    expect(desk.page.get_by_role("main")).to_be_focused()
    desk.page.get_by_label("Name", exact=True).fill("Node 9")
    desk.page.get_by_label("Hostname or IP Address").fill("not a host!")
    desk.page.keyboard.press("Enter")
    summary = desk.page.get_by_role("alert")
    expect(summary).to_be_focused()
    summary.get_by_role("link", name="Hostname or IP Address").click()
    host = desk.page.get_by_label("Hostname or IP Address")
    expect(host).to_be_focused()
    expect(host).to_have_accessible_description(re.compile("is no host name or address"))


def test_the_menu_of_a_narrow_window_opens_and_closes_by_its_links(desk: Desk) -> None:
    desk.page.set_viewport_size({"width": 390, "height": 800})
    desk.open("")
    menu = desk.page.get_by_role("navigation", name="Main menu")
    expect(menu).to_be_hidden()
    desk.page.get_by_role("link", name="Menu", exact=True).click()
    expect(menu).to_be_visible()
    menu.get_by_role("link", name="Close menu").click()
    expect(menu).to_be_hidden()
    desk.page.set_viewport_size({"width": 1280, "height": 800})


def test_a_page_brings_itself_up_to_date_and_keeps_what_is_typed(desk: Desk) -> None:
    desk.open("sip-devices")
    desk.page.get_by_label("Search SIP devices").fill("half typed")
    expect(desk.page.get_by_role("row").filter(has_text="tw2")).to_have_count(0)
    other = desk.page.context.new_page()
    add_device(desk, "tw2", "1002", other)
    other.close()
    expect(desk.page.get_by_role("row").filter(has_text="tw2")).to_have_count(1, timeout=60_000)
    expect(desk.page.get_by_label("Search SIP devices")).to_have_value("half typed")


def test_what_somebody_has_opened_stays_open_while_the_page_is_brought_up_to_date(desk: Desk) -> None:
    desk.open("")
    figures = desk.page.locator("details").first
    figures.locator("summary").click()
    with desk.page.expect_response(lambda answer: "x-opx-live" in answer.request.headers):
        pass
    expect(figures.get_by_role("table")).to_be_visible()


def test_a_form_is_sent_once_however_often_its_button_is_pressed(desk: Desk) -> None:
    desk.open("users/add")
    desk.page.get_by_label("Name").fill("rea")
    desk.page.get_by_role("button", name="Add and make a link").dblclick()
    expect(desk.page.get_by_text("A one-time link for rea")).to_be_visible()
    expect(desk.page.get_by_role("row").filter(has_text="rea")).to_have_count(1)


def test_signing_out_and_in_again(desk: Desk) -> None:
    context = desk.browser.new_context()
    page = context.new_page()
    page.goto(f"{desk.console.url}audit-log")
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Audit log")
    page.get_by_role("button", name="Sign out").click()
    # The browser refuses to walk its history while a page is still being replaced.
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.wait_for_load_state()
    page.go_back()
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    context.close()

"""The guide's six stages by hand on both consoles, in a real Chromium, with the real programs behind them."""

from pathlib import Path

from playwright.sync_api import Page, Playwright, expect

from opx.rtp import tones, wav
from support.browser import assert_well_made, chromium, needs_browser, trust
from support.console_program import console_program
from support.guide import go, sign_in_first, stage_2, stage_3, stage_4
from support.network import LoopbackNetwork
from support.programs import wait_until
from support.suite_guide import BORDER_GATEWAY, SuitePages, add_pbx, stage_1, stage_5, stage_6
from support.suite_program import node_program, suite_program
from support.unboxed import IMAGE, Unboxed

pytestmark = needs_browser

SERIOUS = ("error", "warning")
PAGES = (
    "",
    "stages",
    "border-gateway",
    "border-gateway/certificate",
    "border-gateway/token",
    "border-gateway/token/forget",
    "provisioning",
    "pbxs",
    "pbxs/add",
    "pbxs/1",
    "pbxs/1/edit",
    "pbxs/1/certificate",
    "pbxs/1/nodes/add",
    "pbxs/1/nodes/1",
    "pbxs/1/extensions/1",
    "pbxs/1/extensions/add",
    "locations/local",
    "locations/remote",
    "site-users",
    "site-users/add",
    "site-users/import",
    "phones",
    "phones/add",
    "phones/import",
    "phones/1400E9123456",
    "phones/1400E9123456/remove",
    "keymap-profiles",
    "keymap-profiles/add",
    "keymap-profiles/1/edit",
    "keymap-profiles/1/keys/top",
    "keymap-profiles/1/uses",
    "keymap-profiles/1/delete",
    "configuration-profiles",
    "configuration-profiles/add",
    "firmware",
    "audit-log",
)


def test_all_six_stages_on_both_consoles_up_to_a_call_from_an_unboxed_phone_at_home(
    playwright_: Playwright, loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with (
        node_program(tmp_path, loopback, ("1001", "1002")) as node,
        console_program(tmp_path, loopback) as gateway,
        suite_program(tmp_path, loopback) as suite,
    ):
        trust(home, gateway.authority)
        trust(home, suite.authority)
        with chromium(playwright_, home) as browser:
            on_gateway, on_suite = browser.new_context().new_page(), browser.new_context().new_page()
            sign_in_first(on_gateway, gateway.link)
            sign_in_first(on_suite, suite.link)
            add_pbx(on_suite, node.address, node.url, node.token)
            stage_1(on_suite, loopback.at("20.1"), loopback.at("10.1"))
            stage_2(on_gateway, loopback.at("20.10"))
            stage_3(on_gateway, node.address)
            stage_4(on_gateway, SuitePages(on_suite))
            stage_5(on_suite, "1001")
            go(on_gateway, "MiVoice Border Gateway", "Teleworking", "SIP")
            row = on_gateway.get_by_role("row").filter(has_text="tw-")
            expect(row).to_contain_text("1001")
            expect(row).to_contain_text("Node 1")
            go(on_suite, "Dashboard")
            tile = on_suite.get_by_role("link", name="teleworkers on the gateway")
            expect(tile).to_contain_text("1 of 1")
            go(on_gateway, "Administration", "Web services")
            fingerprint = on_gateway.locator(".fingerprint").inner_text()
            go(on_suite, *BORDER_GATEWAY)
            expect(on_suite.locator(".fingerprint")).to_have_text(fingerprint)
            phones_profiles_and_firmware(on_suite, suite.url, tmp_path)
            an_unboxed_phone_at_home_calls_the_office(on_suite, on_gateway, loopback, tmp_path)
            every_page_is_well_made(on_suite, suite.url)


def an_unboxed_phone_at_home_calls_the_office(
    on_suite: Page, on_gateway: Page, network: LoopbackNetwork, folder: Path
) -> None:
    """Stage 6. It calls the PBX's echo, and hears its own tone come back through the gateway."""
    home, heard = network.at("30.1"), folder / "heard.wav"
    (folder / "handset").mkdir()
    phone = Unboxed("14:00:E9:00:00:01", folder / "handset")
    phone.upgrade(f"http://{network.at('20.10')}:8203/", network.at("20.102"))
    phone.set_server(network.at("10.1"), home)
    with phone.power(home) as unknown:
        stage_6(on_suite, phone.mac, "1001")
        unknown.stop()
    call = ("--call", "*9", "--duration", "3", "--tone", "660", "--record", str(heard))
    with phone.power(home, *call) as approved:
        approved.wait_for("heard ")
        wait_until(heard.exists)
        go(on_gateway, "MiVoice Border Gateway", "Teleworking", "SIP")
        expect(on_gateway.get_by_role("row").filter(has_text="tw-")).to_contain_text("in service")
        approved.stop()
    samples = wav.read(heard)
    assert tones.dominant(samples[len(samples) // 2 :], (660.0, 440.0)) == 660.0


def phones_profiles_and_firmware(page: Page, url: str, folder: Path) -> None:
    """A phone is expected, a keymap has a key, a firmware is sent with a bar that moves and an answer in its place."""
    page.goto(f"{url}phones/add")
    page.get_by_label("MAC address").fill("14:00:E9:12:34:56")
    page.get_by_label("Extension").fill("1002")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("Phone 14:00:E9:12:34:56 is expected.")).to_be_visible()
    page.goto(f"{url}keymap-profiles/add")
    page.get_by_label("Name").fill("Sales")
    page.get_by_role("button", name="Add").click()
    page.get_by_label("Type of key 3").select_option("speeddial")
    page.get_by_label("Value of key 3").fill("1001")
    page.get_by_role("button", name="Save these keys").click()
    expect(page.get_by_text("The keys of Sales are saved.")).to_be_visible()
    file = folder / "6930.st"
    page.goto(f"{url}firmware")
    for content, said in ((b"no version", "expected a version such as"), (IMAGE, "is in the library")):
        file.write_bytes(content + bytes(2_000_000))
        page.get_by_label("File").set_input_files(file)
        page.evaluate(WATCH_PROGRESS)
        page.get_by_role("button", name="Add").click()
        expect(page.get_by_text(said).first).to_be_visible()
        assert page.evaluate("window.progressSeen"), said
    expect(page.get_by_role("row").filter(has_text="6.4.0.140-SIP")).to_contain_text("active")


WATCH_PROGRESS = """
window.progressSeen = false;
new MutationObserver(() => { window.progressSeen ||= document.querySelector("progress") !== null; })
  .observe(document.body, { childList: true, subtree: true });
"""


def every_page_is_well_made(page: Page, url: str) -> None:
    """In dark colours and as wide as a phone, without a word of complaint by the browser."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type in SERIOUS else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 800})
    for path in PAGES:
        page.goto(url + path)
        assert_well_made(page, path)
    assert complaints == []

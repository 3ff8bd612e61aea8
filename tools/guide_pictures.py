"""The pictures of docs/guide: the guide's stages on both consoles in a real Chromium, with the real programs behind."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, expect
from small_png import shrink

from support.browser import chromium, playwright, trust
from support.console_program import console_program
from support.guide import Shot, go, sign_in_first, stage_2, stage_3, stage_4
from support.network import LoopbackNetwork, claim_network
from support.suite_guide import SuitePages, add_pbx, firmware, stage_1, stage_5, stage_6
from support.suite_program import node_program, suite_program
from support.unboxed import IMAGE, Unboxed

WIDE = ViewportSize(width=1180, height=720)
NUMBERS = ("1001", "1002", "1003", "1004", "1101")


def take_guide(images: Path) -> None:
    """Make all pictures of the guide anew."""
    images.mkdir(parents=True, exist_ok=True)
    network = claim_network()
    with tempfile.TemporaryDirectory(prefix="opx-guide-") as temporary, ExitStack() as running:
        folder = Path(temporary)
        node = running.enter_context(node_program(folder, network, NUMBERS))
        gateway = running.enter_context(console_program(folder, network))
        suite = running.enter_context(suite_program(folder, network))
        for authority in (gateway.authority, suite.authority):
            trust(folder, authority)
        browser = running.enter_context(chromium(running.enter_context(playwright()), folder))
        on_gateway = browser.new_context(viewport=WIDE).new_page()
        on_suite = browser.new_context(viewport=WIDE).new_page()
        sign_in_first(on_gateway, gateway.link)
        sign_in_first(on_suite, suite.link)
        add_pbx(on_suite, node.address, node.url, node.token)
        _stages(on_gateway, on_suite, images, network, node.address, folder)
    network.release()


def _stages(on_gateway: Page, on_suite: Page, images: Path, network: LoopbackNetwork, node: str, folder: Path) -> None:
    stage_1(on_suite, network.at("20.1"), network.at("10.1"), _shots(on_suite, images, 1))
    stage_2(on_gateway, network.at("20.10"), _shots(on_gateway, images, 2))
    stage_3(on_gateway, node, shot=_shots(on_gateway, images, 3))
    stage_4(on_gateway, SuitePages(on_suite, _shots(on_suite, images, 4)), _shots(on_gateway, images, 4, "on-gateway-"))
    stage_5(on_suite, NUMBERS[0], _shots(on_suite, images, 5))
    _stage_6(on_suite, images, network, folder)
    go(on_suite, "Stages")
    expect(on_suite.get_by_role("heading", level=1)).to_have_text("Stages")
    _save(on_suite, images / "stages.png")


def _stage_6(page: Page, images: Path, network: LoopbackNetwork, folder: Path) -> None:
    image = folder / "6930.st"
    image.write_bytes(IMAGE)
    firmware(page, image)
    (folder / "handset").mkdir()
    phone, home = Unboxed("14:00:E9:00:00:01", folder / "handset"), network.at("30.1")
    phone.upgrade(f"http://{network.at('20.10')}:8203/", network.at("20.102"))
    phone.set_server(network.at("10.1"), home)
    with phone.power(home) as unknown:
        stage_6(page, phone.mac, NUMBERS[0], _shots(page, images, 6))
        unknown.stop()


def _shots(page: Page, images: Path, stage: int, about: str = "") -> Shot:
    """Saves a page under the name of its stage, where the guide's steps stop for a picture."""

    def shot(name: str) -> None:
        if name in ("refusal", "preset"):
            return
        if name == "verifier" and about:
            page.get_by_role("heading", name="Temporary tokens").scroll_into_view_if_needed()
            page.mouse.wheel(0, 2000)
        _save(page, images / f"stage-{stage}-{about}{name}.png")

    return shot


def _save(page: Page, path: Path) -> None:
    page.evaluate("document.activeElement.blur()")
    page.screenshot(path=path)
    shrink(path)

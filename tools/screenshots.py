"""Makes the pictures of the documentation anew: the demo's site, the guide's stages in a real Chromium, PNG files.

Run by `make screenshots`. The day of traffic on the dashboard is made up; all else is what the site does.
"""

import math
import re
import sqlite3
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from guide_pictures import take_guide
from phone_pictures import take_phones
from playwright.sync_api import Page, ViewportSize, expect
from small_png import shrink

from support.browser import chromium, playwright, trust
from support.guide import Suite, go, sign_in_first, stage_2, stage_3, stage_4
from support.network import LoopbackNetwork, claim_network
from support.programs import OutsideProgram

WIDE, NARROW = ViewportSize(width=1180, height=720), ViewportSize(width=390, height=720)
OPX = (sys.executable, "-m", "opx")


def main(images: Path) -> None:
    network = claim_network()
    with tempfile.TemporaryDirectory(prefix="opx-pictures-") as temporary, ExitStack() as running:
        folder = Path(temporary)
        site = running.enter_context(demo(folder, network))
        site.wait_for("Ctrl-C ends them")
        running.enter_context(second_node(folder, network)).wait_for("ready:")
        running.enter_context(phone(folder, network)).wait_for("answered")
        make_up_traffic(folder / "gateway.db")
        url = f"https://{network.at('20.1')}:8443/"
        found = re.search(rf"{re.escape(url)}link/\S+", site.text)
        assert found, site.text
        authority = folder / "certificates" / "ca.pem"
        trust(folder, authority)
        browser = running.enter_context(chromium(running.enter_context(playwright()), folder))
        page = browser.new_context(viewport=WIDE).new_page()
        sign_in_first(page, found[0])
        take(page, images, network, Suite(url, authority))
    network.release()


def take(page: Page, images: Path, network: LoopbackNetwork, suite: Suite) -> None:
    """Stage by stage, a picture where the guide has something to be seen."""

    def shot(name: str) -> None:
        if name == "verifier":
            page.get_by_role("heading", name="Consumers").scroll_into_view_if_needed()
            page.mouse.wheel(0, 2000)
        if name in ("forwards", "verifier"):
            save(page, images / f"console-{name}.png")

    stage_2(page, network.at("20.10"), shot)
    stage_3(page, network.at("20.21"), "Node 2", shot)
    expect(page.get_by_text("up", exact=True)).to_be_visible(timeout=60_000)
    stage_4(page, suite, shot)
    go(page, "Dashboard")
    save(page, images / "console-dashboard.png")
    page.emulate_media(color_scheme="dark")
    go(page, "MiVoice Border Gateway", "Teleworking", "SIP")
    page.get_by_role("link", name=re.compile("^tw")).first.click()
    expect(page.get_by_text("in a call")).to_be_visible()
    save(page, images / "console-device.png")
    page.set_viewport_size(NARROW)
    go(page, "Dashboard")
    save(page, images / "console-phone.png")


def save(page: Page, path: Path) -> None:
    page.evaluate("document.activeElement.blur()")
    page.screenshot(path=path)
    shrink(path)


def demo(folder: Path, network: LoopbackNetwork) -> OutsideProgram:
    arguments = [*OPX, "up", "--demo", "--folder", str(folder), "--base", network.base]
    return OutsideProgram(arguments, folder / "demo.txt")


def second_node(folder: Path, network: LoopbackNetwork) -> OutsideProgram:
    place = folder / "node-2"
    place.mkdir()
    settings = place / "pbx.toml"
    settings.write_text(f'address = "{network.at("20.21")}"\n')
    return OutsideProgram([*OPX, "pbx", "run", "--config", str(settings)], place / "output.txt")


def phone(folder: Path, network: LoopbackNetwork) -> OutsideProgram:
    """The demo's remote phone, in a call with the node's milliwatt tone."""
    user = (folder / "remote.username").read_text().strip()
    faces = ("--server", network.at("10.1"), "--local", network.at("30.1"))
    call = ("--call", "*8", "--duration", "600")
    credentials = ("--user", user, "--password-file", str(folder / "remote.password"))
    return OutsideProgram([*OPX, "phone", "run", *credentials, *faces, *call], folder / "phone.txt")


def make_up_traffic(database: Path) -> None:
    """A working day of an office with forty people outside."""
    now = time.time()
    period = 300
    with sqlite3.connect(database) as connection:
        for step in range(1, 287):
            at = now - now % period - step * period
            hour = time.localtime(at).tm_hour + time.localtime(at).tm_min / 60
            busy = max(0.0, math.sin((hour - 7) / 11 * math.pi)) if 7 < hour < 18 else 0.0
            calls = round(busy * (9 + 4 * math.sin(step / 2.3)) + (0.6 + math.sin(step / 5)) / 2)
            phones = round(14 + 26 * min(1.0, 1.6 * busy))
            connection.execute("INSERT OR IGNORE INTO traffic_sample VALUES (?, ?, ?)", (at, max(0, calls), phones))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    take_guide(Path(sys.argv[1]).parent / "guide" / "images")
    take_phones(Path(sys.argv[1]))

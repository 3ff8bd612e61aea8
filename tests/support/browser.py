"""A real Chromium that trusts our authority because it stands in its certificate store, and for no other reason."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from support.programs import PATIENCE, needs_program

needs_browser = needs_program("chromium", "certutil")

ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-domain-reliability",
    "--no-proxy-server",
)
"""None of them is about certificates: those are judged as any user's browser judges them."""


UNNAMED = """
() => [...document.querySelectorAll("main input:not([type=hidden]), main select, main textarea")]
    .filter((field) => !field.labels.length && !field.ariaLabel).map((field) => field.outerHTML)
"""
WITHOUT_CAPTION = """
() => [...document.querySelectorAll("table")].filter((table) => !table.caption?.textContent.trim()).length
"""
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def assert_well_made(page: Page, name: str) -> None:
    """One heading, every field with a label, every table with a caption, and not wider than the window."""
    expect(page.locator("h1")).to_have_count(1)
    assert page.evaluate(UNNAMED) == [], name
    assert page.evaluate(WITHOUT_CAPTION) == 0, name
    assert page.evaluate(TOO_WIDE) == 0, name


def trust(home: Path, authority: Path) -> None:
    """Put an authority into the certificate store of the user whose home that is."""
    store = home / ".pki" / "nssdb"
    if not store.exists():
        store.mkdir(parents=True)
        _certutil("-N", "-d", f"sql:{store}", "--empty-password")
    _certutil("-A", "-d", f"sql:{store}", "-n", str(authority), "-t", "C,,", "-i", str(authority))


def _certutil(*arguments: str) -> None:
    subprocess.run(["certutil", *arguments], check=True, capture_output=True, timeout=PATIENCE)


@contextmanager
def playwright() -> Iterator[Playwright]:
    """Playwright itself; one at a time in a process."""
    expect.set_options(timeout=1000 * PATIENCE)
    with sync_playwright() as started:
        yield started


@contextmanager
def chromium(started: Playwright, home: Path) -> Iterator[Browser]:
    """Chromium of a user with that home."""
    program = shutil.which("chromium")
    assert program is not None
    browser = started.chromium.launch(
        executable_path=program, args=list(ARGUMENTS), env={"HOME": str(home), "PATH": "/usr/bin:/bin"}
    )
    try:
        yield browser
    finally:
        browser.close()

"""What the browser tests share."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Playwright

from support.browser import playwright


@pytest.fixture(scope="module")
def playwright_() -> Iterator[Playwright]:
    """One for a module's tests, and no longer: its loop runs meanwhile, and other tests have loops of their own."""
    with playwright() as started:
        yield started

"""Web services for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.web_services import ALL, Api, WebSite, web_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[WebSite]:
    with web_site(tmp_path) as running:
        yield running


@pytest.fixture
def api(site: WebSite) -> Api:
    return Api(site, site.authorised())


@pytest.fixture
def full(site: WebSite) -> Api:
    return Api(site, site.authorised(ALL))

"""Port forwarding that runs in the test's process."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL

from opx.gateway.forwarding.repository import ForwardRepository
from opx.gateway.forwarding.site import site_of
from opx.store.engine import open_engine
from support.forwarding import Hosts
from support.forwarding_office import Office, Open, settings_for
from support.gateway_store import opened
from support.network import LoopbackNetwork


@pytest.fixture
def hosts(loopback: LoopbackNetwork) -> Iterator[Hosts]:
    at = loopback.at
    made = Hosts(at("10.1"), at("20.1"), at("20.10"), (at("30.1"), at("30.2")))
    yield made
    made.close()


@pytest.fixture
async def open_office(tmp_path: Path) -> AsyncIterator[Open]:
    """Makes one, which is not started."""
    async with opened(tmp_path):
        engine = open_engine(URL.create("sqlite+aiosqlite", database=str(tmp_path / "gateway.db")))
        made: list[Office] = []

        async def make(hosts: Hosts, text: str = "") -> Office:
            settings = settings_for(hosts, text)
            rules = ForwardRepository(engine, site_of(settings))
            made.append(Office(hosts, tmp_path, rules, settings.forwarding))
            return made[-1]

        yield make
        for office in made:
            await office.forwarding.stop()
        await engine.dispose()


@pytest.fixture
async def office(open_office: Open, hosts: Hosts) -> Office:
    made = await open_office(hosts)
    await made.forwarding.start()
    return made

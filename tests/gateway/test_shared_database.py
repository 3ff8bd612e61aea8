"""Gateways that share one PostgreSQL database hear of each other's changes, and do without it for a while."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from opx.gateway.repository import DeviceSpec
from opx.phone.softphone import Account, Softphone
from support.live import LiveSite, live_site
from support.network import LoopbackNetwork
from support.phones import until
from support.postgres import DATABASES, needs_postgres, running_server

pytestmark = needs_postgres()

NEW = DeviceSpec("tw9", "set-9-Secret", "Node 1", "1009", "icp-1009-Secret")


class Second(LiveSite):
    """A gateway with addresses of its own and the database of another one."""

    @property
    def outside(self) -> str:
        return self.network.at("11.1")

    @property
    def inside(self) -> str:
        return self.network.at("21.1")


@asynccontextmanager
async def two_gateways(network: LoopbackNetwork, folder: Path) -> AsyncIterator[tuple[LiveSite, LiveSite]]:
    with running_server(settings={}) as server, DATABASES.on(server):
        async with AsyncExitStack() as stack:
            one = await stack.enter_async_context(live_site(network, folder))
            other = Second(network, folder)
            (folder / "other").mkdir()
            settings = other.gateway_settings()
            other.gateway = one.gateway.__class__(
                settings.model_copy(update={"control_socket": folder / "other" / "gateway.sock"})
            )
            await other.gateway.start()
            stack.push_async_callback(other.gateway.stop)
            yield one, other


async def test_a_change_is_heard_by_the_gateway_that_nobody_told(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with two_gateways(loopback, tmp_path) as (one, other):
        for site in (one, other):
            assert site.gateway.signalling.directory.by_username("tw9") is None

        await one.gateway.repository.put_device(NEW)
        for site in (one, other):
            await until(lambda site=site: site.gateway.signalling.directory.by_username("tw9") is not None)  # type: ignore[misc]

        await other.gateway.repository.set_enabled("tw9", False)
        for site in (one, other):
            device = site.gateway.signalling.directory.by_username("tw9")
            await until(
                lambda site=site: not site.gateway.signalling.directory.by_username("tw9").enabled  # type: ignore[misc]
            )
            assert device is not None


async def test_phones_register_while_the_database_is_away_and_all_is_written_when_it_is_back(
    loopback: LoopbackNetwork, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running_server(settings={}) as server, DATABASES.on(server):
        async with live_site(loopback, tmp_path) as site:
            await asyncio.to_thread(server.kill)
            phone = Softphone(Account("tw1", "set-1-Secret", site.outside), loopback.at("30.1"))
            await phone.start()
            phone.register()
            await until(lambda: site.gateway.signalling.registrar.bindings.of(1) != [])
            await until(lambda: "the database cannot be written" in caplog.text)

            await asyncio.to_thread(server.start)
            await site.gateway.writer.flush()
            (row,) = await site.gateway.repository.bindings()
            assert (row.device_id, row.remote_host) == (1, loopback.at("30.1"))
            await until(lambda: not site.gateway.writer.failure)
            await site.gateway.writer.flush()
            texts = [row.text for row in await site.gateway.repository.timeline(None)]
            assert any("the database could be written again after" in text for text in texts), texts
            await site.gateway.repository.put_device(replace(NEW, description="after it"))
            await until(lambda: site.gateway.signalling.directory.by_username("tw9") is not None)
            await phone.stop()

"""Asking a media driver and waiting for its answer, as no part of the gateway does."""

import asyncio

from opx.gateway.media.interface import MediaDriver, RelayPorts, RelayStats
from support.programs import PATIENCE


async def ports_of(driver: MediaDriver, call_id: str) -> RelayPorts | None:
    """Open a call; None when there are no ports."""
    answer: asyncio.Future[RelayPorts | None] = asyncio.get_running_loop().create_future()
    driver.open(call_id, answer.set_result)
    async with asyncio.timeout(PATIENCE):
        return await answer


async def opened(driver: MediaDriver, call_id: str) -> RelayPorts:
    """Open a call that gets its ports."""
    ports = await ports_of(driver, call_id)
    assert ports is not None
    return ports


async def closed(driver: MediaDriver, call_id: str) -> RelayStats:
    """Close a call that there is."""
    answer: asyncio.Future[RelayStats] = asyncio.get_running_loop().create_future()
    before, driver.on_closed = driver.on_closed, lambda _, stats: answer.set_result(stats)
    driver.close(call_id)
    async with asyncio.timeout(PATIENCE):
        stats = await answer
    driver.on_closed = before
    return stats

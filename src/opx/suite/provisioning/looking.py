"""What the gateway has, read from it."""

from collections.abc import Sequence

from opx.gateway_client.client import GatewayClient
from opx.gateway_client.errors import NotFound
from opx.gateway_client.models import Device, Icp
from opx.suite.gateway_link.link import GatewayLink
from opx.suite.provisioning.known import Known
from opx.suite.provisioning.outcomes import Doubt, Outcome
from opx.suite.provisioning.planner import Step, Wanted

LOOKED_UP = 50
"""Devices asked for one by one; with more in doubt everything is read again."""


async def all_devices(link: GatewayLink, page: int | None) -> Known:
    """LinkError."""

    async def read(client: GatewayClient) -> list[Device]:
        return [device async for device in client.devices(page=page)]

    return Known(await link.ask(read))


async def all_icps(link: GatewayLink) -> list[Icp]:
    """LinkError."""

    async def read(client: GatewayClient) -> list[Icp]:
        return [icp async for icp in client.icps()]

    return await link.ask(read)


async def look_again(
    link: GatewayLink, known: Known, doubts: Sequence[tuple[Step, Wanted | None, int | None, Outcome]]
) -> bool:
    """Bring what is in doubt up to date; False when that is so much that everything should be read. LinkError.

    Each doubt comes with the id that the gateway's answer gave.
    """
    if len(doubts) > LOOKED_UP:
        return False
    for step, wanted, answered, outcome in doubts:
        if outcome.doubt is Doubt.DEVICE:
            key = answered or (step.device.id if step.device is not None else None)
            if key is not None:
                await _device(link, known, key)
        elif outcome.doubt is Doubt.NAMES and wanted is not None:
            for device in await _named(link, wanted.set_username, step.icp_id, wanted.number):
                known.put(device)
    return True


async def _device(link: GatewayLink, known: Known, key: int) -> None:
    try:
        known.put(await link.ask(lambda client: client.device(key)))
    except NotFound:
        known.drop(key)


async def _named(link: GatewayLink, set_username: str, icp_id: int, icp_username: str) -> list[Device]:
    async def read(client: GatewayClient) -> list[Device]:
        found = [device async for device in client.devices(set_username=set_username)]
        return found + [device async for device in client.devices(icp_id=icp_id, icp_username=icp_username)]

    return await link.ask(read)

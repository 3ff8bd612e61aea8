"""A gateway that is killed: what it recorded is there afterwards, and no alarm is told twice."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from opx.gateway.control.client import ControlClient
from opx.gateway.control.protocol import ControlError
from opx.gateway.faults.repository import CallQuery, FaultsRepository
from opx.gateway.opening import open_repository
from support.live import LiveSite
from support.network import LoopbackNetwork
from support.phones import until
from support.programs import PATIENCE, OutsideProgram
from support.receivers import webhook_receiver
from support.remote import remote_call

QUICK = """
[media]
workers = 0
[icps]
probe_interval = 1
probe_patience = 0.5
[alarms]
settle = 0
"""


def program(site: LiveSite, number: int) -> OutsideProgram:
    """The gateway in a process of its own."""
    settings = site.folder / "gateway.toml"
    settings.write_text(site.gateway_text())
    arguments = [sys.executable, "-m", "opx", "gateway", "run", "--config", str(settings)]
    return OutsideProgram(arguments, site.folder / f"gateway-{number}.log")


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(2 * PATIENCE):
        while not await true():
            await asyncio.sleep(0.1)


async def test_records_messages_and_alarms_outlive_a_kill(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    with webhook_receiver(loopback.at("40.1"), tls=False) as hook:
        extra = f'{QUICK}[webhook]\nurl = "{hook.url}"\nevents = ["alarm"]\n'
        site = LiveSite(loopback, tmp_path, remote=(1,), extra_gateway=extra)
        await site.start_pbx()
        repository, _ = await open_repository(site.gateway_settings())
        await site.fill(repository)
        faults = FaultsRepository(repository.engine)
        control = ControlClient(site.gateway_settings().control_socket)

        async def kept() -> bool:
            records, _ = await faults.calls(CallQuery(outcome="answered"))
            return bool(records) and await faults.ladder(records[0].call_id) is not None

        async def in_service(available: bool) -> bool:
            try:
                return (await control.status()).icps[0].available is available
            except ControlError:
                return False

        with program(site, 1) as gateway:
            await asyncio.to_thread(gateway.wait_for, "ready: gateway")
            async with remote_call(site) as talk:
                await talk.hang_up()
            await eventually(kept)
            await site.pbx.stop()
            await until(lambda: len(hook.got) == 1)
            gateway.kill()
        records, total = await faults.calls(CallQuery(outcome="answered"))
        assert total == 1
        with program(site, 2) as gateway:
            await asyncio.to_thread(gateway.wait_for, "ready: gateway")
            await eventually(lambda: in_service(False))
            await site.start_pbx()
            await eventually(lambda: in_service(True))
            await until(lambda: len(hook.got) == 2)
            gateway.stop()
        told = [json.loads(delivery.body) for delivery in hook.got]
        assert [(one["data"]["state"], one["data"]["subject"]) for one in told] == [
            ("raised", "Node 1"),
            ("cleared", "Node 1"),
        ]
        assert told[0]["id"].removesuffix("raised") == told[1]["id"].removesuffix("cleared")
        assert (await faults.calls(CallQuery(outcome="answered")))[0] == records
        await control.close()
        await repository.close()
        await site.pbx.stop()

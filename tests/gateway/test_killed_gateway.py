"""A gateway that is killed knows, when it is started again, every phone that it had told so."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from opx.gateway.journal import BindingRow
from opx.gateway.opening import open_repository
from opx.gateway.repository import Repository
from opx.phone.softphone import Account, Softphone
from support.live import LiveSite
from support.network import LoopbackNetwork
from support.programs import PATIENCE, OutsideProgram

pytestmark = pytest.mark.usefixtures("each_database")

PHONES = 6
QUIET = "[media]\nworkers = 0\n"


class KilledSite(LiveSite):
    """The gateway in a process of its own; `kill` it as often as one likes."""

    def program(self, number: int) -> OutsideProgram:
        settings = self.folder / "gateway.toml"
        settings.write_text(self.gateway_text())
        arguments = [sys.executable, "-m", "opx", "gateway", "run", "--config", str(settings)]
        return OutsideProgram(arguments, self.folder / f"gateway-{number}.log")

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Repository]:
        repository, _ = await open_repository(self.gateway_settings())
        try:
            yield repository
        finally:
            await repository.close()

    async def bindings(self) -> list[BindingRow]:
        async with self.database() as repository:
            return await repository.bindings()


async def registered(phone: Softphone) -> None:
    async with asyncio.timeout(PATIENCE):
        await phone.registered.wait()


async def test_every_phone_that_was_told_so_is_registered_after_the_restart(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    numbers = range(1, PHONES + 1)
    site = KilledSite(loopback, tmp_path, remote=numbers, extra_gateway=QUIET)
    await site.start_pbx()
    async with site.database() as repository:
        await site.fill(repository)
    phones = {n: Softphone(Account(f"tw{n}", f"set-{n}-Secret", site.outside), loopback.at(f"30.{n}")) for n in numbers}
    for phone in phones.values():
        await phone.start()
    told: set[str] = set()
    waiting = list(numbers)
    start = 0
    while waiting:
        with site.program(start) as gateway:
            await asyncio.to_thread(gateway.wait_for, "ready: gateway")
            assert {row.remote_host for row in await site.bindings()} == told
            # Killed with the last 200 on the wire: nothing has had time to be written behind.
            batch = [waiting.pop() for _ in range(min(len(waiting), 3))]
            for n in batch:
                phones[n].register()
            for n in batch:
                await registered(phones[n])
                told.add(loopback.at(f"30.{n}"))
            gateway.kill()
        start += 1
    with site.program(start) as gateway:
        await asyncio.to_thread(gateway.wait_for, "ready: gateway")
        rows = await site.bindings()
        assert {row.remote_host for row in rows} == told == {loopback.at(f"30.{n}") for n in numbers}
        assert all(row.expires_at > time.time() for row in rows)
        # One that signs off is told so, too.
        await phones.pop(1).stop()
        await asyncio.to_thread(gateway.wait_for, "the phone signed off")
        gateway.kill()
    with site.program(start + 1) as gateway:
        await asyncio.to_thread(gateway.wait_for, "ready: gateway")
        assert {row.remote_host for row in await site.bindings()} == told - {loopback.at("30.1")}
        gateway.stop()
    for phone in phones.values():
        await phone.stop()
    await site.pbx.stop()

"""The userspace driver as the gateway has it: its workers are started when there is something to forward."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from opx.gateway.forwarding.interface import Address, AskedOrigin, Origin, Traffic, WantedRoute, only_one
from opx.gateway.forwarding.rules import Protocol, Route
from opx.gateway.forwarding.userspace.link import WorkerLink
from opx.gateway.forwarding.userspace.wire import (
    EnginePolicy,
    origins_of,
    route_of,
    traffic_of,
    wanted_list,
)

log = logging.getLogger(__name__)


class UserspaceDriver:
    """A ForwardingDriver over `policy.workers` processes. `on_lost` hears when one of them ends by itself."""

    name = "userspace"

    def __init__(self, policy: EnginePolicy, socket_path: Path, on_lost: Callable[[], None] = lambda: None) -> None:
        """Workers listen on `socket_path` with ".f0" and so on behind it."""
        self._on_lost = on_lost
        self._links = [
            WorkerLink(socket_path.with_name(f"{socket_path.name}.f{index}"), policy, self._lost)
            for index in range(policy.workers)
        ]
        self._ordering = asyncio.Lock()

    @property
    def pids(self) -> list[int]:
        return [link.pid for link in self._links if link.alive]

    async def start(self) -> None:
        """Take over what a gateway that died has left."""
        await asyncio.gather(*(link.find() for link in self._links))

    async def stop(self) -> None:
        async with self._ordering:
            await asyncio.gather(*(link.end() for link in self._links))

    async def apply(self, wanted: Sequence[WantedRoute]) -> Mapping[int, str]:
        async with self._ordering:
            if not wanted:
                await asyncio.gather(*(link.end() for link in self._links))
                return {}
            for link in self._links:
                if not link.alive:
                    await link.start()
            routes = wanted_list(wanted)
            problems: dict[int, str] = {}
            for link in self._links:
                answer = await link.ask("apply", routes=routes)
                problems.update({int(key): text for key, text in answer.items()})
            return problems

    async def in_force(self) -> Mapping[int, Route]:
        """Of workers that differ, what all have."""
        answers = [await link.ask("in force") for link in self._links if link.alive]
        if not answers or len(answers) < len(self._links):
            return {}
        first, *others = answers
        return {
            int(key): route_of(values)
            for key, values in first.items()
            if all(other.get(key) == values for other in others)
        }

    async def hindrances(self) -> Mapping[int, str]:
        return {}

    async def traffic(self) -> Mapping[int, Traffic]:
        total: dict[int, Traffic] = {}
        for link in self._links:
            if link.alive:
                for key, one in traffic_of(await link.ask("traffic")).items():
                    total[key] = total[key] + one if key in total else one
        return total

    async def origin(self, protocol: Protocol, source: Address, host: Address | None) -> Origin | None:
        (found,) = await self.origins(protocol, [(source, host)])
        return found

    async def origins(self, protocol: Protocol, asked: Sequence[AskedOrigin]) -> list[Origin | None]:
        found: list[list[Origin]] = [[] for _ in asked]
        for link in self._links:
            if link.alive:
                answers = await link.ask("origins", protocol=protocol.value, asked=asked)
                for place, values in zip(found, answers, strict=True):
                    place += origins_of(values)
        return [only_one(place) for place in found]

    def _lost(self) -> None:
        log.error("a forwarding worker ended; its connections with it. It is started again")
        self._on_lost()

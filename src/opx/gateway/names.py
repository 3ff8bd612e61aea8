"""Keeps the names of ICPs looked up: each in a task of its own, so that no message and no other name ever waits."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from opx.gateway.repository import NodeAddress
from opx.gateway.resolver import Located, LookupFailed
from opx.sip.locating import Candidate

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NamePolicy:
    """Seconds. Answers hold for their TTL, within `min_ttl` and `max_ttl`; questions that failed are repeated after
    `retry`, and meanwhile the last good answer holds for `keep` beyond its TTL."""

    min_ttl: float = 30.0
    max_ttl: float = 3600.0
    retry: float = 10.0
    keep: float = 86400.0


class Locator(Protocol):
    async def locate(self, address: NodeAddress) -> Located:
        """LookupFailed."""


class KnownName:
    """What is known of one name; each answer and each failure gives the seconds until the next question."""

    def __init__(self, policy: NamePolicy) -> None:
        self.candidates: tuple[Candidate, ...] = ()
        self._policy = policy
        self._keep_until = 0.0

    def found(self, located: Located, now: float) -> float:
        self.candidates = located.candidates
        if not located.candidates:
            return max(self._policy.retry, self._policy.min_ttl)
        ttl = min(max(located.ttl, self._policy.min_ttl), self._policy.max_ttl)
        self._keep_until = now + ttl + self._policy.keep
        return ttl

    def failed(self, now: float) -> float:
        if now >= self._keep_until:
            self.candidates = ()
        return self._policy.retry


class NameKeeper:
    """`watch` the names there are, `stop` in the end. `on_located` hears of every answer, and `on_failed` of why there
    is none; both are called on the event loop."""

    def __init__(
        self,
        resolver: Locator,
        policy: NamePolicy,
        *,
        on_located: Callable[[NodeAddress, tuple[Candidate, ...]], None],
        on_failed: Callable[[NodeAddress, str], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._resolver = resolver
        self._policy = policy
        self._on_located = on_located
        self._on_failed = on_failed
        self._sleep = sleep
        self._known: dict[NodeAddress, KnownName] = {}
        self._tasks: dict[NodeAddress, asyncio.Task[None]] = {}

    def watch(self, addresses: Iterable[NodeAddress]) -> None:
        """Look after these names and no others; what is known of one that stays is told at once."""
        wanted = set(addresses)
        for address in [known for known in self._tasks if known not in wanted]:
            self._tasks.pop(address).cancel()
            del self._known[address]
        for address in wanted:
            known = self._known.get(address)
            if known is None:
                self._known[address] = KnownName(self._policy)
                self._tasks[address] = asyncio.get_running_loop().create_task(self._look_after(address))
            elif known.candidates:
                self._on_located(address, known.candidates)

    async def stop(self) -> None:
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_after(self, address: NodeAddress) -> None:
        loop = asyncio.get_running_loop()
        known = self._known[address]
        while True:
            try:
                located = await self._resolver.locate(address)
            except LookupFailed as error:
                delay = known.failed(loop.time())
                self._tell_failure(address, str(error))
            except Exception as error:
                # A name server may not end the watch, whatever it has sent.
                log.exception("looking up %s failed", address.host)
                delay = known.failed(loop.time())
                self._tell_failure(address, type(error).__name__)
            else:
                delay = known.found(located, loop.time())
                if not located.candidates:
                    self._tell_failure(address, "DNS knows no such server")
            self._on_located(address, known.candidates)
            await self._sleep(delay)

    def _tell_failure(self, address: NodeAddress, why: str) -> None:
        log.info("%s cannot be resolved: %s", address.host, why)
        self._on_failed(address, why)

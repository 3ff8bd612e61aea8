"""Port forwarding as the gateway runs it: picks the driver, keeps it in agreement with the rules, and tells of it."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from opx.gateway.forwarding.checking import Site
from opx.gateway.forwarding.interface import (
    Address,
    AskedOrigin,
    ForwardingDriver,
    ForwardingError,
    ForwardingPolicy,
    Origin,
    Traffic,
)
from opx.gateway.forwarding.nftables.driver import NftablesDriver
from opx.gateway.forwarding.reconciler import ForwardingStatus, Wish, differences, status_of, wish
from opx.gateway.forwarding.repository import ForwardRepository
from opx.gateway.forwarding.rules import Forward, Protocol, Route
from opx.gateway.forwarding.settings import ForwardingSettings
from opx.gateway.forwarding.userspace.driver import UserspaceDriver
from opx.gateway.forwarding.userspace.wire import EnginePolicy

RETRY = 1.0
"""Seconds before what a driver has lost is put in force again."""

log = logging.getLogger(__name__)


class Forwarding:
    """`start`, `changed` whenever the rules may have changed, `stop`. None of them raises for what a driver cannot do:
    calls go on without forwards.

    `on_news` hears, in a line each, what changes about what is in force.
    """

    def __init__(
        self,
        settings: ForwardingSettings,
        repository: ForwardRepository,
        control_socket: Path,
        on_news: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._settings = settings
        self._repository = repository
        self._on_news = on_news
        site = repository.site
        policy = policy_of(settings, site)
        engine = EnginePolicy(policy, settings.workers, settings.buffer, settings.pipes, settings.outlive)
        self._userspace = UserspaceDriver(engine, control_socket, self._lost)
        self._nftables = NftablesDriver(policy)
        self._driver: ForwardingDriver | None = None
        self._remark = ""
        self._problem = ""
        self._wish = Wish((), {})
        self._applied = False
        self._problems: Mapping[int, str] = {}
        self._hindrances: Mapping[int, str] = {}
        self._ordering = asyncio.Lock()
        self._wake = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def site(self) -> Site:
        return self._repository.site

    async def start(self) -> None:
        async with self._ordering:
            await self._choose()
        await self.changed()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Takes the rules out of force."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        async with self._ordering:
            if self._driver is not None:
                await self._driver.stop()
                self._driver = None

    async def changed(self) -> None:
        """Take over what the database holds now."""
        async with self._ordering:
            wanted = wish(await self._repository.all(), self.site)
            if wanted == self._wish and not self._problem and not self._problems and self._applied:
                return
            self._wish = wanted
            await self._apply()

    async def status(self, *, counted: bool = True) -> ForwardingStatus:
        """The wanted rules beside what is in force of them; with `counted`, which costs more, what passed by them."""
        forwards = await self._repository.all()
        problem = self._problem
        in_force: Mapping[int, Route] = {}
        traffic: Mapping[int, Traffic] = {}
        if self._driver is not None and not problem:
            try:
                in_force = await self._driver.in_force()
                traffic = await self._driver.traffic() if counted else {}
            except ForwardingError as error:
                problem = str(error)
        return self._status(forwards, problem, in_force, traffic)

    async def origin(
        self, address: str, port: int, *, host: Address | None = None, protocol: Protocol = Protocol.TCP
    ) -> Origin | None:
        """The outside source behind a forwarded connection that the LAN sees come from `address` and `port`.

        `host` is the address and port that it came to, which makes the answer certain: one source port may lead to
        several hosts. None when there is no such connection, or several. ForwardingError when it cannot be known now.
        """
        (found,) = await self.origins([((address, port), host)], protocol)
        return found

    async def origins(self, asked: Sequence[AskedOrigin], protocol: Protocol = Protocol.TCP) -> list[Origin | None]:
        """The same of many connections, each by its source and host, in their order. ForwardingError."""
        if self._driver is None:
            raise ForwardingError(self._problem or "port forwarding does not run")
        return await self._driver.origins(protocol, asked)

    # --- keeping

    async def _choose(self) -> None:
        """The driver by the settings and by what this machine lets us do; what another one has left is taken away."""
        wanted = self._settings.driver
        nftables = await self._nftables.problem()
        if wanted == "nftables" and nftables:
            self._problem = nftables
            return
        if wanted == "userspace" or nftables:
            self._driver = self._userspace
            self._remark = f"nftables is not used: {nftables}" if wanted == "auto" else ""
            if not nftables:
                await self._nftables.stop()
        else:
            self._driver = self._nftables
            await self._userspace.start()
            await self._userspace.stop()
        await self._driver.start()
        self._problem = ""

    async def _apply(self) -> None:
        if self._driver is None:
            return
        try:
            problems = {**await self._driver.apply(self._wish.routes), **self._wish.refused}
            self._applied = True
            hindrances = await self._driver.hindrances()
        except ForwardingError as error:
            self._say_problem(str(error))
            return
        self._say_problem("")
        self._take(problems, hindrances)

    def _take(self, problems: Mapping[int, str], hindrances: Mapping[int, str]) -> None:
        for key, text in {**problems, **hindrances}.items():
            if text not in (self._problems.get(key), self._hindrances.get(key)):
                self._news(f"port forwarding rule {key}: {text}")
        self._problems, self._hindrances = problems, hindrances

    async def _keep(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.check_interval):
                    await self._wake.wait()
                await asyncio.sleep(RETRY)
            self._wake.clear()
            try:
                async with self._ordering:
                    await self._check()
            except Exception:
                # Whatever it was, the next look may find it gone; without one nothing would be put right any more.
                log.exception("port forwarding could not be looked after")

    async def _check(self) -> None:
        """Put right what somebody else has changed, and try again what did not work. Where all is well nothing is
        written, for that may take long."""
        try:
            if self._driver is None:
                await self._choose()
                if self._driver is None:
                    return
            changes = differences(self._wish, self._problems, await self._driver.in_force())
            if self._applied and not (changes or self._problem or self._problems.keys() - self._wish.refused.keys()):
                self._take(self._problems, await self._driver.hindrances())
                return
        except ForwardingError as error:
            self._say_problem(str(error))
            return
        for text in changes:
            self._news(f"port forwarding: {text}; it is put in force again")
        await self._apply()

    def _lost(self) -> None:
        self._wake.set()

    def _say_problem(self, text: str) -> None:
        if text and text != self._problem:
            self._news(f"port forwarding does not work: {text}")
        elif self._problem and not text:
            self._news("port forwarding works again")
        self._problem = text

    def _news(self, text: str) -> None:
        log.warning("%s", text)
        self._on_news(text)

    def _status(
        self,
        forwards: Sequence[Forward],
        problem: str,
        in_force: Mapping[int, Route],
        traffic: Mapping[int, Traffic],
    ) -> ForwardingStatus:
        problems = dict(self._problems)
        if problem:
            problems = {forward.id: problem for forward in forwards}
        rules = tuple(
            status_of(forward, self.site, problems, in_force, self._hindrances, traffic) for forward in forwards
        )
        name = self._driver.name if self._driver is not None else self._settings.driver
        return ForwardingStatus(name, self._remark, problem, rules)


def policy_of(settings: ForwardingSettings, site: Site) -> ForwardingPolicy:
    return ForwardingPolicy(
        outside=site.outside,
        inside=site.inside,
        connections=settings.connections,
        connections_per_source=settings.connections_per_source,
        idle_limit=settings.idle_limit,
        half_close_limit=settings.half_close_limit,
        connect_limit=settings.connect_limit,
        udp_idle_limit=settings.udp_idle_limit,
    )

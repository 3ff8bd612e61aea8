"""Provisioning in the suite's main process: when there is something to do, what is in the way, what is said of it."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from opx.kept.bulletin import Bulletin
from opx.suite.backoff import BackOff
from opx.suite.gateway_link.link import GatewayLink
from opx.suite.gateway_link.troubles import LinkError, Reason
from opx.suite.provisioning.reconciler import Reconciler
from opx.suite.provisioning.records import Run
from opx.suite.provisioning.repository import ProvisioningRepository
from opx.suite.provisioning.settings import ProvisioningSettings
from opx.suite.provisioning.token import TokenKeeper
from opx.suite.sites.repository import SiteRepository
from opx.suite.timeline import GATEWAY, Entry, Kind, Timeline
from opx.suite.topics import EXTENSIONS, PROVISION_NOW, PROVISIONING, SITES

GATHERED = 0.2
"""Seconds after a change in which more of them may come before the work begins."""
UNSAID = frozenset({Reason.OFF, Reason.NO_ADDRESS})
"""Nothing to note on a timeline as long as provisioning was never in use."""

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Provisioning:
    """`start`, then `stop`. `clock` is the time of day; a test turns it and calls `work_due` itself."""

    sites: SiteRepository
    timeline: Timeline
    bulletin: Bulletin
    settings: ProvisioningSettings = field(default_factory=ProvisioningSettings)
    local_address: str = ""
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        settings = self.settings
        self.kept = ProvisioningRepository(self.sites.engine)
        self.link = GatewayLink(self.sites, self.bulletin, self.local_address, self.clock, self.clock)
        self.reconciler = Reconciler(
            self.sites, self.kept, self.timeline, self.link, settings, self._written, self.clock
        )
        self.token = TokenKeeper(self.sites, self.timeline, self.link, settings, self.clock)
        self._back_off = BackOff(settings.gateway_retry_min, settings.gateway_retry_max)
        self._run: Run | None = None
        self._failures = 0
        self._away_until = 0.0
        self._look_due = 0.0
        self._asked = False
        """Somebody wants everything to be looked at now; it may come while that is being done."""
        self._hurried: set[int] = set()
        self._all_hurried = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.bulletin.subscribe(EXTENSIONS, self._on_extensions)
        self.bulletin.subscribe(SITES, lambda keys: self._on_sites())
        self.bulletin.subscribe(PROVISION_NOW, self._on_now)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._keep_working())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.link.close()

    async def work_due(self) -> float:
        """Do what there is to do now; seconds until there is something again by itself."""
        now = self.clock()
        asked, self._asked = self._asked, False
        if now < self._away_until and not asked:
            return self._away_until - now
        if asked or now >= self._look_due:
            self.reconciler.forget()
        hurried, self._hurried = self._hurried, set()
        everything, self._all_hurried = self._all_hurried, False
        try:
            written = await self.reconciler.reconcile(None if everything else hurried)
            self._look_due = (self.reconciler.looked_at or now) + self.settings.full_look
            renewed = await self.token.look()
        except LinkError as error:
            self._hurried |= hurried
            self._all_hurried = self._all_hurried or everything
            return await self._in_the_way(error)
        await self._well(written)
        if renewed:
            self.bulletin.publish(SITES)
        return self._until_next()

    # --- what comes of it

    async def _in_the_way(self, error: LinkError) -> float:
        self._failures += 1
        self.reconciler.forget()
        wait = error.retry_after or self._back_off.seconds(self._failures)
        if error.reason.needs_somebody:
            wait = self.settings.gateway_retry_max
        now = self.clock()
        self._away_until = now + wait
        run = await self._known_run()
        new = run.reason != error.reason.value
        if new and not (error.reason in UNSAID and run.looked_at is None):
            await self.timeline.note([Entry(GATEWAY, now, Kind.REFUSED, f"nothing is written: {error}")])
        told = replace(
            run,
            reason=error.reason.value,
            trouble=str(error),
            since=now if new else run.since,
            next_try=None if error.reason in UNSAID else self._away_until,
            token_note=await self.token.note(),
        )
        if told != run or run.working:
            await self._save(replace(told, ended_at=now if run.working else run.ended_at))
        return wait

    async def _well(self, written: tuple[int, int]) -> None:
        self._failures = 0
        self._away_until = 0.0
        run, now = await self._known_run(), self.clock()
        entries = []
        if run.reason and run.reason not in UNSAID:
            entries.append(Entry(GATEWAY, now, Kind.DONE, "the gateway can be asked again"))
        done, refused = written
        if done > 1:
            took = now - (run.started_at or now)
            failed = f"; the gateway has refused {refused} of them" if refused else ""
            text = f"{done} extensions written in {took:.0f} s{failed}"
            entries.append(Entry(GATEWAY, now, Kind.WARNING if refused else Kind.DONE, text))
        if entries:
            await self.timeline.note(entries)
        told = replace(
            run,
            reason="",
            trouble="",
            since=None,
            next_try=None,
            looked_at=self.reconciler.looked_at,
            token_note=await self.token.note(),
        )
        if told != run or run.working:
            await self._save(replace(told, ended_at=now if run.working else run.ended_at))

    async def _written(self, keys: Collection[int]) -> None:
        """The reconciler has got on with its work."""
        run, todo, done = await self._known_run(), self.reconciler.todo, self.reconciler.done
        if todo:
            started = run.started_at if run.working else self.clock()
            run = replace(run, total=len(todo), done=len(done), started_at=started, ended_at=None)
            await self.kept.save_run(run)
            self._run = run
        self.bulletin.publish(PROVISIONING, [str(key) for key in keys])

    async def _save(self, run: Run) -> None:
        self._run = run
        await self.kept.save_run(run)
        self.bulletin.publish(PROVISIONING)

    async def _known_run(self) -> Run:
        if self._run is None:
            self._run = await self.kept.run()
        return self._run

    def _until_next(self) -> float:
        now = self.clock()
        due = [self._look_due, self.token.due]
        if self.reconciler.next_try is not None:
            due.append(self.reconciler.next_try)
        if self.reconciler.waits_for_icp:
            due.append(now + self.settings.icp_look)
        return max(0.0, min(due) - now)

    # --- what wakes it

    def _on_extensions(self, keys: tuple[str, ...]) -> None:
        self._hurry(keys)

    def _on_sites(self) -> None:
        self._asked = True
        self.token.forget()
        self._wake.set()

    def _on_now(self, keys: tuple[str, ...]) -> None:
        self._asked = True
        self._hurry(keys)

    def _hurry(self, keys: tuple[str, ...]) -> None:
        numbers = {int(key) for key in keys if key.isdigit()}
        self._hurried |= numbers
        self._all_hurried = self._all_hurried or not numbers
        self._wake.set()

    async def _keep_working(self) -> None:
        while True:
            self._wake.clear()
            try:
                wait = await self.work_due()
            except Exception:
                # A database that is away comes back; the task must still be there then.
                log.exception("provisioning failed; it goes on")
                self.reconciler.forget()
                wait = self.settings.gateway_retry_max
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()
                    await asyncio.sleep(GATHERED)

"""Carries out what the planner decides: looks at the gateway, plans, writes in bulk, and keeps what came of it."""

import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from opx.gateway_client import models
from opx.gateway_client.models import BulkResult, Icp
from opx.suite.backoff import BackOff
from opx.suite.gateway_link.link import GatewayLink
from opx.suite.provisioning.known import Known
from opx.suite.provisioning.looking import all_devices, all_icps, look_again
from opx.suite.provisioning.outcomes import Doubt, Outcome, digest_of, entry_of, settle
from opx.suite.provisioning.planner import Act, Finding, Step, Wanted, plan
from opx.suite.provisioning.records import Provisioned
from opx.suite.provisioning.repository import ProvisioningRepository
from opx.suite.provisioning.settings import ProvisioningSettings
from opx.suite.provisioning.wanted import wanted_of
from opx.suite.sites.records import ExtensionRecord
from opx.suite.sites.repository import ExtensionQuery, SiteRepository
from opx.suite.timeline import GATEWAY, Entry, Kind, Timeline, extension_subject

MAX_PASSES = 20
"""Plans in one go; names that wait for one another take a few. Whatever is left waits for the next look."""

Told = Callable[[Collection[int]], Awaitable[None]]


@dataclass(slots=True)
class _Sent:
    """A step with what is asked for it."""

    step: Step
    entry: models.Entry
    digest: str


@dataclass(eq=False)
class Reconciler:
    """`reconcile` makes the gateway agree, as far as that is possible now. `on_written` hears which extensions' states
    have changed, none when only the work at hand has; `todo`, `done` and `refused` are the extensions of that."""

    sites: SiteRepository
    kept: ProvisioningRepository
    timeline: Timeline
    link: GatewayLink
    settings: ProvisioningSettings
    on_written: Told
    clock: Callable[[], float] = time.time
    todo: set[int] = field(default_factory=set)
    done: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._known: Known | None = None
        self._icps: list[Icp] = []
        self._back_off = BackOff(self.settings.extension_retry_min, self.settings.extension_retry_max)
        self.looked_at: float | None = None
        self.waits_for_icp = False
        self.next_try: float | None = None
        """Of the extension whose turn comes first."""

    def forget(self) -> None:
        """What the gateway has is not known any more, and the work at hand begins anew."""
        self._known = None
        self._work_ends()

    async def reconcile(self, hurried: Collection[int] | None = ()) -> tuple[int, int]:
        """How many extensions were written, and how many of those the gateway has refused. LinkError.

        `hurried` extensions do not wait for their next try; None: none does.
        """
        server = self.link.server
        if self._known is None or server is None:
            server = await self.link.look()
        if self._known is None:
            self._known = await all_devices(self.link, server.page_size)
            self.looked_at = self.clock()
        self._icps = await all_icps(self.link)
        gateway = (await self.sites.gateway.read()).fingerprint
        bound = min(self.settings.bulk_size, server.bulk_size)
        for _ in range(MAX_PASSES):
            if self._known is None:
                self._known = await all_devices(self.link, server.page_size)
            if not await self._pass(gateway, bound, hurried):
                break
            hurried = ()
        written = len(self.done), len(self.refused)
        self._work_ends()
        return written

    def _work_ends(self) -> None:
        for work in (self.todo, self.done, self.refused):
            work.clear()

    # --- one pass

    async def _pass(self, gateway: str, bound: int, hurried: Collection[int] | None) -> bool:
        """One plan and all that it asks for; whether there was anything."""
        assert self._known is not None
        wanted = {row.extension_id: row for row in map(wanted_of, await self.kept.teleworkers())}
        records = await self.kept.records()
        planned = plan(
            wanted,
            records,
            self._known,
            self._icps,
            gateway=gateway,
            now=self.clock(),
            gone=await self.kept.gone(key for key in records if key not in wanted),
            hurried=hurried,
        )
        await self._save_findings(planned.findings)
        self._note_waiting(wanted, records, planned.findings)
        if planned.steps:
            self.todo |= {step.record.extension_id for step in planned.steps}
            await self.on_written(())
        progress = False
        for start in range(0, len(planned.steps), bound):
            if self._known is None:
                break
            progress = await self._write(planned.steps[start : start + bound], wanted, gateway) or progress
        return progress

    async def _write(self, steps: Sequence[Step], wanted: dict[int, Wanted], gateway: str) -> bool:
        """One bulk write; whether anything was asked."""
        sent = await self._entries(steps, wanted)
        if not sent:
            return False
        async with self.sites.engine.begin() as connection:
            await self.kept.save_in(connection, [part.step.record for part in sent])
        known, self._known = self._known, None
        # From here on until the answer is there, what the gateway has is not known.
        entries = [part.entry for part in sent]
        results = await self.link.ask(lambda client: client.change_devices(entries))
        assert known is not None
        outcomes = await self._settle(sent, results, known, gateway)
        if await self._doubts(sent, wanted, results, outcomes, known):
            self._known = known
        return True

    async def _entries(self, steps: Sequence[Step], wanted: dict[int, Wanted]) -> list[_Sent]:
        """What is asked for each step; one whose extension has changed since it was planned is planned anew."""
        keys = [step.record.extension_id for step in steps if step.act not in (Act.DELETE, Act.MAKE_WAY)]
        extensions: dict[int, ExtensionRecord] = {}
        if keys:
            found, _ = await self.sites.extensions(ExtensionQuery(ids=keys))
            extensions = {extension.id: extension for extension in found}
        sent = []
        for step in steps:
            key = step.record.extension_id
            entry = entry_of(step, wanted.get(key), extensions.get(key))
            if entry is not None:
                digest = digest_of(step, wanted[key], extensions[key]) if key in extensions else ""
                sent.append(_Sent(step, entry, digest))
        return sent

    async def _settle(
        self, sent: Sequence[_Sent], results: Sequence[BulkResult], known: Known, gateway: str
    ) -> list[Outcome]:
        now = self.clock()
        outcomes = [
            settle(part.step, part.entry, part.digest, result, gateway, now, self._back_off)
            for part, result in zip(sent, results, strict=True)
        ]
        keys = [part.step.record.extension_id for part in sent]
        gone = await self.kept.gone(keys)
        entries = []
        for part, outcome in zip(sent, outcomes, strict=True):
            step = part.step
            if outcome.device is not None:
                known.put(outcome.device)
            elif outcome.doubt is Doubt.GONE and step.device is not None:
                known.drop(step.device.id)
            if outcome.text:
                key, number = step.record.extension_id, step.record.number
                entries.append(_entry(key, number, outcome.kind, outcome.text, gone, now))
        async with self.sites.engine.begin() as connection:
            records = [outcome.record for outcome in outcomes if outcome.record is not None]
            dropped = [key for key, outcome in zip(keys, outcomes, strict=True) if outcome.record is None]
            await self.kept.save_in(connection, records, dropped)
            await self.timeline.note_in(connection, entries)
        settled = {key for key, it in zip(keys, outcomes, strict=True) if it.well or it.doubt is Doubt.NOTHING}
        self.done |= settled
        self.refused |= {key for key, it in zip(keys, outcomes, strict=True) if key in settled and not it.well}
        self.refused -= {key for key, it in zip(keys, outcomes, strict=True) if it.well}
        await self.on_written(keys)
        return outcomes

    async def _doubts(
        self,
        sent: Sequence[_Sent],
        wanted: dict[int, Wanted],
        results: Sequence[BulkResult],
        outcomes: Sequence[Outcome],
        known: Known,
    ) -> bool:
        """Whether what is known is right again."""
        in_doubt = [
            (part.step, wanted.get(part.step.record.extension_id), result.id, outcome)
            for part, result, outcome in zip(sent, results, outcomes, strict=True)
            if outcome.doubt in (Doubt.DEVICE, Doubt.NAMES)
        ]
        return await look_again(self.link, known, in_doubt)

    # --- helpers

    async def _save_findings(self, findings: Sequence[Finding]) -> None:
        if not findings:
            return
        now = self.clock()
        keys = [finding.extension_id for finding in findings]
        gone = await self.kept.gone(keys)
        async with self.sites.engine.begin() as connection:
            records = [replace(it.record, changed_at=now) for it in findings if it.record is not None]
            await self.kept.save_in(connection, records, [it.extension_id for it in findings if it.record is None])
            entries = [_entry(it.extension_id, it.number, it.kind, it.text, gone, now) for it in findings if it.text]
            await self.timeline.note_in(connection, entries)
        await self.on_written(keys)

    def _note_waiting(
        self, wanted: dict[int, Wanted], records: dict[int, Provisioned], findings: Sequence[Finding]
    ) -> None:
        now = {**records, **{it.extension_id: it.record for it in findings if it.record is not None}}
        hosts = {host.lower() for icp in self._icps for host in icp.hosts}
        self.waits_for_icp = any(row.node and row.node.lower() not in hosts for row in wanted.values())
        self.next_try = min((it.next_try for it in now.values() if it.next_try is not None), default=None)


def _entry(key: int, number: str, kind: Kind, text: str, gone: Collection[int], now: float) -> Entry:
    """On the extension's timeline, or the gateway's when there is no such extension any more."""
    if key in gone:
        return Entry(GATEWAY, now, kind, f"{number}: {text}")
    return Entry(extension_subject(key), now, kind, text)

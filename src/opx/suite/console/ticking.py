""" "Use remote authorization credentials" for many extensions at once, beside the pages, with progress to look at."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError

from opx.suite.console.desk import Desk
from opx.suite.sites.records import PbxRecord, SiteError
from opx.suite.sites.repository import TICKED_AT_ONCE
from opx.suite.topics import EXTENSIONS

AT_ONCE = 3 * TICKED_AT_ONCE
"""So many are changed before the page is shown again; with more it goes on in the background."""
REASONS = 5
"""Different reasons of refusals that are told."""

log = logging.getLogger(__name__)


@dataclass
class Work:
    """Ticking that goes on, or has ended."""

    teleworker: bool
    total: int
    done: int = 0
    failed: str = ""
    refused: Counter[str] = field(default_factory=Counter)
    ended: bool = False

    @property
    def changed(self) -> int:
        return self.done - self.refused.total()

    @property
    def text(self) -> str:
        """The outcome in words."""
        verb = "use" if self.teleworker else "do not use"
        said = f"{self.changed} of {self.total} extensions {verb} remote authorization credentials now."
        for reason, number in self.refused.most_common(REASONS):
            said += f" {number} left as they were: {reason}."
        if self.failed:
            said += f" It stopped there: {self.failed}."
        return said


class Ticking:
    """One piece of work for each PBX at a time."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._works: dict[int, Work] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def work(self, pbx_id: int) -> Work | None:
        """What goes on for a PBX; what has ended is shown this once."""
        found = self._works.get(pbx_id)
        if found is not None and found.ended:
            del self._works[pbx_id]
        return found

    async def start(self, request: Request, pbx: PbxRecord, ids: Sequence[int], teleworker: bool) -> None:
        """Have it done; what came of it is told on the next page when it is done by then."""
        shell = self._desk.console.shell
        going_on = self._works.get(pbx.id)
        if going_on is not None and not going_on.ended:
            shell.tell(request, "Other extensions of this PBX are just being changed; wait for that.", kind="warn")
            return
        work = Work(teleworker, len(ids))
        action = "ticked extensions" if teleworker else "unticked extensions"
        await self._desk.console.note(request, action, f"PBX {pbx.name}", f"{len(ids)} chosen")
        if len(ids) <= AT_ONCE:
            await self._carry_out(work, ids)
            kind = "warn" if work.refused or work.failed else "good"
            shell.tell(request, work.text, kind=kind)
            return
        self._works[pbx.id] = work
        task = asyncio.create_task(self._carry_out(work, ids))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, work: Work, ids: Sequence[int]) -> None:
        try:
            for step in range(0, len(ids), TICKED_AT_ONCE):
                part = ids[step : step + TICKED_AT_ONCE]
                results = await self._desk.sites.tick(part, work.teleworker)
                work.refused.update(_short(result.refused) for result in results if result.refused)
                work.done += len(part)
                self._desk.bulletin.publish(EXTENSIONS, [str(key) for key in part])
        except (SiteError, SQLAlchemyError, OSError) as error:
            log.warning("extensions were not ticked: %s", error)
            work.failed = str(error) if isinstance(error, SiteError) else "the database cannot be used"
        finally:
            work.ended = True


def _short(reason: str) -> str:
    """Reasons that differ by nothing but a name count as one."""
    return "the internal authorization name differs from the extension number" if "differs" in reason else reason

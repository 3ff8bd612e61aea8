"""Alarms: raised with a cause, cleared when it is over, told once. Sans I/O.

What comes and goes within a short time is one alarm: its end is told only when it has lasted.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from opx.sip.entropy import random_hex

MAX_STANDING = 1000
"""Alarms that stand at the same time; beyond, the log says so once and no further ones are raised."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Alarm:
    """`subject` says which one of its kind it is about. Times in seconds since 1970; `cleared_at` 0 while it stands."""

    alarm_id: str
    kind: str
    subject: str
    cause: str
    raised_at: float
    cleared_at: float = 0.0

    @property
    def stands(self) -> bool:
        return self.cleared_at == 0.0

    def title(self, kinds: Mapping[str, str]) -> str:
        """What it is, in the words that the program has for its kinds."""
        what = kinds.get(self.kind, self.kind)
        return f"{what}: {self.subject}" if self.subject else what


@dataclass(slots=True)
class _Standing:
    alarm: Alarm
    quiet_since: float = 0.0
    """When the cause went away; 0 while it is there."""


class AlarmBoard:
    """The alarms that stand. `on_raised` and `on_cleared` each hear once of an alarm; `tick` must be called now and
    then. `settle` in seconds: how long a cause must be gone before its alarm is cleared."""

    def __init__(
        self,
        on_raised: Callable[[Alarm], None],
        on_cleared: Callable[[Alarm], None],
        *,
        settle: float = 60.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.left_out = 0
        """How often one was not raised because too many stand."""
        self._on_raised = on_raised
        self._on_cleared = on_cleared
        self._settle = settle
        self._clock = clock
        self._standing: dict[tuple[str, str], _Standing] = {}

    @property
    def standing(self) -> list[Alarm]:
        """The oldest first."""
        return [held.alarm for held in self._standing.values()]

    def restore(self, alarms: Iterable[Alarm]) -> None:
        """Take back those that stood when the program ended; nobody is told again."""
        for alarm in alarms:
            self._standing[alarm.kind, alarm.subject] = _Standing(alarm)

    def set(self, kind: str, subject: str, cause: str, raised: bool) -> None:
        """Raise an alarm or let it go."""
        if raised:
            self.raise_(kind, subject, cause)
        else:
            self.clear(kind, subject)

    def raise_(self, kind: str, subject: str, cause: str) -> None:
        """There is cause for alarm. While it stands already, nothing happens."""
        held = self._standing.get((kind, subject))
        if held is not None:
            held.quiet_since = 0.0
            return
        if len(self._standing) >= MAX_STANDING:
            if not self.left_out:
                log.error("%d alarms stand; further ones are not raised until some are cleared", len(self._standing))
            self.left_out += 1
            return
        alarm = Alarm(random_hex(8), kind, subject, cause, self._clock())
        self._standing[kind, subject] = _Standing(alarm)
        self._on_raised(alarm)

    def clear(self, kind: str, subject: str) -> None:
        """The cause is gone; the alarm goes when it stays away."""
        held = self._standing.get((kind, subject))
        if held is not None and not held.quiet_since:
            held.quiet_since = self._clock()

    def clear_others(self, kind: str, subjects: Iterable[str]) -> None:
        """Of that kind there is cause for these at most: others may be gone, with what they were about."""
        kept = set(subjects)
        for other, subject in list(self._standing):
            if other == kind and subject not in kept:
                self.clear(kind, subject)

    def tick(self) -> None:
        """Clear what has been quiet for long enough."""
        now = self._clock()
        for key, held in list(self._standing.items()):
            if held.quiet_since and now - held.quiet_since >= self._settle:
                del self._standing[key]
                self._on_cleared(replace(held.alarm, cleared_at=held.quiet_since))

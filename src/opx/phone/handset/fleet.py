"""Thousands of handsets in one process: one timer wheel for all, a UDP socket and an address for each."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from opx.phone.handset.boot import Outcome
from opx.phone.handset.fetching import Manner, Tally
from opx.phone.handset.flash import Flash
from opx.phone.handset.handset import Handset, Place, Power
from opx.phone.handset.models import Identity
from opx.sip.transport import WheelClock

LOOK = 0.1
"""Seconds between two looks at how many handsets are done."""


@dataclass(slots=True)
class Member:
    """One handset of a fleet: what is printed on it, where it stands, what it has on its flash."""

    identity: Identity
    local: str
    flash: Flash

    def to_json(self) -> dict[str, Any]:
        return {
            "mac": self.identity.mac,
            "model": self.identity.model.name,
            "local": self.local,
            "flash": self.flash.to_json(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Member:
        """ValueError."""
        try:
            identity = Identity.of(str(data["mac"]), str(data["model"]))
            return cls(identity, str(data["local"]), Flash.from_json(data["flash"]))
        except (KeyError, TypeError):
            raise ValueError("a line is no handset") from None


def read_members(path: Path) -> list[Member]:
    """A fleet's file: a handset in each line, as JSON. OSError, ValueError."""
    with path.open(encoding="utf-8") as lines:
        return [Member.from_json(json.loads(line)) for line in lines if line.strip()]


def write_members(path: Path, members: Iterable[Member]) -> None:
    """It holds passwords: for its owner only."""
    new = path.with_suffix(".new")
    new.touch(0o600)
    with new.open("w", encoding="utf-8") as file:
        for member in members:
            file.write(json.dumps(member.to_json(), separators=(",", ":")) + "\n")
    new.replace(path)


def unboxed(count: int, model: str, first_mac: str, first_address: str, flash: Flash) -> list[Member]:
    """Handsets in a row, all with the same on their flash. ValueError."""
    start = int(Identity.of(first_mac, model).mac, 16)
    address = ipaddress.IPv4Address(first_address)
    return [
        Member(Identity.of(f"{start + n:012X}", model), str(address + n), Flash.from_json(flash.to_json()))
        for n in range(count)
    ]


@dataclass(slots=True)
class Report:
    """How a fleet came back. Times in seconds since the power came, for handsets that are registered."""

    handsets: int
    configured: int = 0
    registered: int = 0
    second_try: int = 0
    """Handsets of which a request or a registration had to be repeated."""
    times: list[float] = field(default_factory=list, repr=False)
    tally: Tally = field(default_factory=Tally)
    troubles: dict[str, int] = field(default_factory=dict)
    """What went wrong, in words, and at how many handsets."""

    @property
    def complete(self) -> bool:
        return self.configured == self.registered == self.handsets

    def time(self, share: float) -> float:
        """When that share of those that are registered was; 0 without any."""
        if not self.times:
            return 0.0
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def to_json(self) -> dict[str, Any]:
        return {
            "handsets": self.handsets,
            "configured": self.configured,
            "registered": self.registered,
            "second_try": self.second_try,
            "median": round(self.time(0.5), 3),
            "last": round(self.time(1.0), 3),
            "tally": asdict(self.tally),
            "troubles": self.troubles,
        }


class Fleet:
    """`power_on` all at once, `wait` until they are back, `power_off`."""

    def __init__(self, members: Sequence[Member], manner: Manner, *, spread: float = 0.0, port: int = 5060) -> None:
        self.tally = Tally()
        # Thousands of sockets are not looked at by the beat, which would ask every one of them each time.
        self.clock = WheelClock(gap=0.0)
        self._times: dict[str, float] = {}
        self._troubles: dict[str, str] = {}
        self._started = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self.handsets = [self._handset(member, manner, spread, port) for member in members]

    def power_on(self) -> None:
        self.clock.start()
        self._started = time.monotonic()
        loop = asyncio.get_running_loop()
        for handset in self.handsets:
            task = loop.create_task(self._on(handset), name=handset.identity.mac)
            self._tasks.add(task)
            task.add_done_callback(self._done)

    async def wait(self, limit: float, *, registered: bool = True) -> Report:
        """Until all have booted, and are registered if that is wanted, or `limit` seconds have passed."""
        end = time.monotonic() + limit
        while self._tasks and time.monotonic() < end:
            if not registered and all(handset.power is Power.ON for handset in self.handsets):
                break
            await asyncio.sleep(LOOK)
        return self.report()

    async def power_off(self, *, sign_off: bool = False) -> None:
        for task in list(self._tasks):
            task.cancel()
        for handset in self.handsets:
            await handset.power_off(sign_off=sign_off)
        self.clock.stop()

    def report(self) -> Report:
        report = Report(len(self.handsets), times=list(self._times.values()), tally=self.tally)
        for handset in self.handsets:
            result = handset.last
            report.configured += result is not None and result.outcome is Outcome.READ
            report.registered += handset.registered.is_set()
            tried_again = (result is not None and result.second_tries > 0) or handset.failed_registrations > 0
            report.second_try += tried_again
            if not handset.registered.is_set():
                text = self._troubles.get(handset.identity.mac) or "not registered, and said nothing"
                report.troubles[text] = report.troubles.get(text, 0) + 1
        return report

    async def _on(self, handset: Handset) -> None:
        await handset.power_on()
        await handset.registered.wait()
        self._times.setdefault(handset.identity.mac, time.monotonic() - self._started)

    def _done(self, task: asyncio.Task[None]) -> None:
        """Registered, or never to be."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._troubles[task.get_name()] = f"{type(error).__name__}: {error}"

    def _handset(self, member: Member, manner: Manner, spread: float, port: int) -> Handset:
        def heard(text: str) -> None:
            self._troubles[member.identity.mac] = text

        place = Place(member.local, port, manner, ("UDP",), spread=spread)
        return Handset(member.identity, member.flash, place, self.clock, on_event=heard, tally=self.tally)

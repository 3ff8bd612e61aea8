"""Who was seen and what came of it: noted at once in memory, written down now and then, many at a time.

What is repeated is written once, and of strangers only as much as there is room for: nobody fills the database by
asking.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy.exc import DBAPIError

from opx.kept.bulletin import Bulletin
from opx.suite.alarms import AlarmDesk
from opx.suite.handsets.book import Book
from opx.suite.handsets.records import Sighting, pretty_mac
from opx.suite.handsets.repository import PhoneRepository
from opx.suite.timeline import Entry, Kind, Timeline, phone_subject
from opx.suite.topics import PHONES

AGAIN_SECONDS = 600.0
"""The same text about the same phone is written down once in so long."""
TIDY_SECONDS = 3600.0
MAX_REMEMBERED = 20_000
MAX_ENTRIES = 5000
"""Timeline entries that wait to be written; further ones are left out, and the log says how many."""
MAX_SIGHTINGS = 20_000

log = logging.getLogger(__name__)


class Witness:
    """`start`, then `stop`. `every`: seconds between two writes; `most_new`: phones listed that nobody has approved,
    `keep_new`: seconds without a word after which those are forgotten."""

    def __init__(
        self,
        phones: PhoneRepository,
        timeline: Timeline,
        alarms: AlarmDesk,
        book: Book,
        bulletin: Bulletin,
        *,
        every: float,
        most_new: int,
        keep_new: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._phones = phones
        self._timeline = timeline
        self._alarms = alarms
        self._book = book
        self._bulletin = bulletin
        self._every = every
        self._most_new = most_new
        self._keep_new = keep_new
        self._tidied = 0.0
        self._clock = clock
        self._sightings: dict[str, Sighting] = {}
        self._sources: dict[str, str] = {}
        self._entries: list[tuple[str, Entry]] = []
        self._said: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._left_out = 0
        self._keeper: asyncio.Task[None] | None = None

    def saw(self, sighting: Sighting) -> None:
        """A phone asked for its configuration. What an earlier sighting told beyond this one is kept."""
        before = self._sightings.get(sighting.mac)
        if before is None and len(self._sightings) >= MAX_SIGHTINGS:
            return
        if before is not None and not sighting.delivered:
            sighting = replace(sighting, source=sighting.source or before.source, delivered=before.delivered)
        self._sightings[sighting.mac] = sighting

    def saw_at(self, mac: str, source: str) -> None:
        """Where a phone asked from, which was told after it had asked."""
        self._sources[mac] = source

    def note(self, mac: str, kind: Kind, text: str) -> None:
        """Something for the phone's timeline."""
        now = self._clock()
        key = (mac, text)
        last = self._said.get(key)
        if last is not None and now - last < AGAIN_SECONDS:
            return
        self._said[key] = now
        self._said.move_to_end(key)
        while len(self._said) > MAX_REMEMBERED:
            self._said.popitem(last=False)
        if len(self._entries) >= MAX_ENTRIES:
            self._left_out += 1
            return
        self._entries.append((mac, Entry(phone_subject(mac), now, kind, text)))

    def alarm(self, kind: str, subject: str, cause: str) -> None:
        self._alarms.event(kind, subject, cause)

    def alarm_of(self, kind: str, mac: str, cause: str) -> None:
        self._alarms.event(kind, pretty_mac(mac), cause)

    async def start(self) -> None:
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self.flush()

    async def flush(self) -> None:
        """Write down what has come together. A database that does not answer is asked again next time."""
        sightings, entries = self._sightings, self._entries
        if not sightings and not entries:
            return
        for mac in sightings.keys() & self._sources.keys():
            sightings[mac] = replace(sightings[mac], source=self._sources.pop(mac))
        self._sightings, self._entries = {}, []
        try:
            added = await self._phones.note(list(sightings.values()), self._most_new) if sightings else []
            if added:
                self._book.take_phones(await self._phones.all(added), added)
            left = [mac for mac in sightings if mac not in added and self._book.phone(mac) is None]
            if left:
                text = f"{self._most_new} wait for approval; forget those that are nobody's, or let more be listed"
                self._alarms.event("phones-full", "", text)
            self._book.saw(sightings.values())
            known = [entry for mac, entry in entries if self._book.phone(mac) is not None]
            if known:
                await self._timeline.note(known)
        except DBAPIError:
            log.exception("what was seen of phones could not be written down; it is kept for the next time")
            self._sightings = sightings | self._sightings
            self._entries = (entries + self._entries)[:MAX_ENTRIES]
            return
        if self._left_out:
            log.warning("%d timeline entries of phones were left out; more came than can be kept", self._left_out)
            self._left_out = 0
        if added:
            self._bulletin.publish(PHONES, added)

    async def tidy(self) -> None:
        """Now and then, forget phones that came once and that nobody wanted."""
        now = self._clock()
        if now - self._tidied < TIDY_SECONDS:
            return
        self._tidied = now
        gone = await self._phones.forget_new(now - self._keep_new)
        if gone:
            self._book.take_phones([], gone)
            self._bulletin.publish(PHONES, gone)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.flush()
                await self.tidy()
            except Exception:
                # Phones are served on; the next time may go better.
                log.exception("what was seen of phones could not be written down")

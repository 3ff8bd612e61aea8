"""Logging in with an extension and its one-time code, whichever way they were typed."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from opx.kept.bulletin import Bulletin
from opx.suite.alarms import AlarmDesk
from opx.suite.handsets.book import Book
from opx.suite.handsets.codes import Verifier, matches, verifier_of
from opx.suite.handsets.http_digest import Hashes, Shown
from opx.suite.handsets.limits import Refusals
from opx.suite.handsets.records import PhoneRecord, Sighting
from opx.suite.handsets.repository import PhoneRepository
from opx.suite.handsets.settings import Handsets
from opx.suite.sites.records import SiteError
from opx.suite.timeline import Entry, Kind, Timeline, phone_subject
from opx.suite.topics import PHONES

MAX_NUMBER = 16


@dataclass(frozen=True, slots=True)
class LogIn:
    """What came of it. `phone` None: `refused` says why, for the timeline and not for who asked."""

    phone: PhoneRecord | None = None
    refused: str = ""
    stale: bool = False


def looks_like_number(text: str) -> bool:
    return 0 < len(text) <= MAX_NUMBER and all(char in "0123456789*#" for char in text)


class CodeDesk:
    """Tries are limited per phone here, per code in the database, and per source by whoever asks."""

    def __init__(
        self,
        settings: Handsets,
        book: Book,
        phones: PhoneRepository,
        timeline: Timeline,
        alarms: AlarmDesk,
        bulletin: Bulletin,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._book = book
        self._phones = phones
        self._timeline = timeline
        self._alarms = alarms
        self._bulletin = bulletin
        self._clock = clock
        self._tries = Refusals(settings.limits.code_tries_per_phone, settings.limits.refusal_window)

    async def typed(self, sighting: Sighting, number: str, code: str) -> LogIn:
        """Extension and code as they were typed on a page."""
        given = verifier_of(number, code)

        def check(hashes: Hashes | None) -> Shown:
            return Shown.RIGHT if hashes is not None and matches(hashes, given) else Shown.NOTHING

        return await self.log_in(sighting, number, check)

    async def log_in(self, sighting: Sighting, number: str, check: Callable[[Hashes | None], Shown]) -> LogIn:
        """`check` tells whether what was sent is right for a code."""
        now = self._clock()
        if self._tries.too_many(sighting.mac, now):
            return LogIn(refused="a one-time code was typed; it had too many wrong ones")
        waiting = await self._phones.code_for(number, now, self._settings.code_tries)
        if not waiting:
            # The same work as with a code, for nothing.
            check(None)
        shown = [(record, verifier, check(verifier)) for record, verifier in waiting]
        for record, verifier, what in shown:
            if what is Shown.STALE:
                return LogIn(stale=True)
            if what is Shown.RIGHT:
                return await self._redeem(sighting, number, record.extension_id, verifier, now)
        self._tries.note(sighting.mac, now)
        if waiting:
            await self._phones.note_wrong_code([record.extension_id for record, _ in waiting])
            tries = max(record.tries for record, _ in waiting) + 1
            if tries >= self._settings.limits.alarm_refusals:
                text = f"{tries} wrong ones were typed; after {self._settings.code_tries} it is void"
                self._alarms.event("codes-guessed", number, text)
            return LogIn(refused=f"a wrong one-time code was typed for extension {number}")
        return LogIn(refused=f"a one-time code was typed for extension {number}, which has none")

    async def _redeem(
        self, sighting: Sighting, number: str, extension_id: int, verifier: Verifier, now: float
    ) -> LogIn:
        try:
            phone = await self._phones.redeem(sighting, extension_id, verifier, now, self._settings.delivery_window)
        except SiteError as error:
            self._tries.note(sighting.mac, now)
            return LogIn(refused=f"a one-time code was typed for extension {number}: {error}")
        self._book.put(phone)
        self._bulletin.publish(PHONES, [phone.mac])
        text = f"approved as extension {number} by its one-time code"
        await self._timeline.note([Entry(phone_subject(phone.mac), now, Kind.DONE, text)])
        return LogIn(phone)

"""What follows when a phone has shown its own digest: it is bound to it, and where it asks from is noticed."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine

from sqlalchemy.exc import DBAPIError

from opx.kept.bulletin import Bulletin
from opx.suite.handsets.book import Book
from opx.suite.handsets.origins import Connection, Origins
from opx.suite.handsets.records import PhoneRecord, Side
from opx.suite.handsets.repository import PhoneRepository
from opx.suite.handsets.witness import Witness
from opx.suite.sites.records import SiteError
from opx.suite.timeline import Kind
from opx.suite.topics import PHONES

log = logging.getLogger(__name__)


class Binder:
    """`used` returns at once; what is to be looked up or written goes on beside it. `stop` in the end."""

    def __init__(
        self,
        book: Book,
        phones: PhoneRepository,
        origins: Origins,
        witness: Witness,
        bulletin: Bulletin,
        page_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._book = book
        self._phones = phones
        self._origins = origins
        self._witness = witness
        self._bulletin = bulletin
        self._page_seconds = page_seconds
        self._clock = clock
        self._places: dict[str, tuple[str, float]] = {}
        """By MAC where a phone last showed its digest, and when."""
        self._binding: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def used(self, phone: PhoneRecord, side: Side, connection: Connection, certificate: str) -> None:
        """The phone has shown its own digest."""
        if phone.bound_at is None and phone.mac not in self._binding:
            self._binding.add(phone.mac)
            self._beside(self._bind(phone, side, connection, certificate))
        elif side is Side.LOCAL:
            self._at(phone, side, connection.peer[0])
        elif connection.source is not None and connection.source.done():
            self._at(phone, side, connection.source.result())
        else:
            self._beside(self._look(phone, side, connection))

    def was_at(self, mac: str, source: str, now: float) -> bool:
        """Whether the phone has shown its digest from that source lately."""
        place, at = self._places.get(mac, ("", 0.0))
        return bool(source) and place == source and now - at < self._page_seconds

    async def settle(self) -> None:
        """Until nothing is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _beside(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look(self, phone: PhoneRecord, side: Side, connection: Connection) -> None:
        self._at(phone, side, await self._origins.of(connection))

    async def _bind(self, phone: PhoneRecord, side: Side, connection: Connection, certificate: str) -> None:
        try:
            source = connection.peer[0] if side is Side.LOCAL else await self._origins.of(connection)
            self._book.put(await self._phones.bind(phone.mac, source, self._clock(), certificate))
            self._bulletin.publish(PHONES, [phone.mac])
            self._witness.note(phone.mac, Kind.DONE, "bound: it used its own digest for the first time")
            self._at(phone, side, source)
        except (SiteError, DBAPIError):
            log.exception("phone %s could not be bound; it is tried again when it asks again", phone.mac)
        finally:
            self._binding.discard(phone.mac)

    def _at(self, phone: PhoneRecord, side: Side, source: str) -> None:
        if not source:
            return
        if side is Side.TELEWORKER:
            self._witness.saw_at(phone.mac, source)
        before = self._places[phone.mac][0] if phone.mac in self._places else phone.source
        self._places[phone.mac] = (source, self._clock())
        if not before or before == source:
            return
        text = f"asks from {source} now, and from {before} before"
        self._witness.note(phone.mac, Kind.WARNING, text)
        if side is Side.TELEWORKER:
            self._witness.alarm_of("phone-moved", phone.mac, text)

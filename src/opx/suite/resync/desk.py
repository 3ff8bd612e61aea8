"""Finds out which phones have an outdated configuration, has them told, and notes what came of it."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from opx.kept.bulletin import Bulletin
from opx.suite.connectors.connector import Event
from opx.suite.handsets.book import Book
from opx.suite.handsets.records import PhoneRecord, pretty_mac
from opx.suite.resync.queue import Order, OrderQueue, Waiting
from opx.suite.resync.ways import Told
from opx.suite.timeline import Kind
from opx.suite.topics import PHONE_ORDERS, RESYNC
from opx.suite.xml_objects.parts import Manner
from opx.suite.xml_objects.screens import TextScreen

SETTLE = 2.0
"""Seconds from a change until phones are looked at: changes come in numbers."""
LOOKED_AT_ONCE = 50
"""Phones compared before others have their turn in the process."""
AT_A_TIME = 8
"""Phones told side by side; one that does not answer takes half a minute."""
IDENTIFY_SECONDS = 60
EVENTS: dict[Order, Event] = {
    Order.IDENTIFY: "aastra-xml",
    Order.CHECK: "check-sync",
    Order.RESYNC: "check-sync",
    Order.REBOOT: "reboot",
}
WORDS = {
    Order.IDENTIFY: "to show who it is",
    Order.CHECK: "to look for its configuration",
    Order.RESYNC: "to fetch its configuration",
    Order.REBOOT: "to restart",
}

log = logging.getLogger(__name__)


class Teller(Protocol):
    """`ways.Ways`."""

    async def tell(self, phone: PhoneRecord, extension_ids: Sequence[int], event: Event, body: str = "") -> Told: ...


class ResyncDesk:
    """`version_of` gives the configuration that a phone is to have now, "" when that cannot be said; `busy` says
    whether a phone is in a call; `note` writes to a phone's timeline. `start`, then `stop`."""

    def __init__(
        self,
        book: Book,
        ways: Teller,
        version_of: Callable[[PhoneRecord], str],
        busy: Callable[[str], bool],
        note: Callable[[str, Kind, str], None],
        bulletin: Bulletin,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._book = book
        self._ways = ways
        self._version_of = version_of
        self._busy = busy
        self._note = note
        self._clock = clock
        self.queue = OrderQueue()
        self._registered_as: dict[str, int] = {}
        """What each phone was when it last had its configuration: so it is registered until it fetches another one."""
        self._changed: set[str] | None = None
        """Which phones are to be looked at, None for all of them."""
        self._wake = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        book.on_change.append(self._hear_change)
        book.on_seen.append(self._hear_change)
        bulletin.subscribe(RESYNC, lambda keys: self._ordered([(mac, Order.CHECK) for mac in keys]))
        bulletin.subscribe(PHONE_ORDERS, lambda keys: self._ordered(_orders(keys)))

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._work())]

    async def stop(self) -> None:
        tasks = [*self._tasks, *self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self) -> None:
        """Order what the phones that have changed need."""
        macs, self._changed = self._changed, set()
        phones = list(self._book.phones.values()) if macs is None else [self._book.phones.get(mac) for mac in macs]
        for number, phone in enumerate(phones, 1):
            if phone is not None:
                self._look_at(phone)
            if number % LOOKED_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def tell_due(self) -> None:
        """Tell those whose time has come, and wait for what comes of it."""
        now = self._clock()
        for item in self.queue.due(now):
            if len(self._running) >= AT_A_TIME:
                break
            if item.mac in self._running:
                continue
            phone = self._book.phone(item.mac)
            if phone is None or not phone.approved or (item.order is Order.RESYNC and self._has_all(phone)):
                self.queue.drop(item)
            elif item.order is not Order.IDENTIFY and self._busy(item.mac):
                self.queue.later(item, now)
            else:
                task = asyncio.create_task(self._tell(item, phone))
                self._running[item.mac] = task
                task.add_done_callback(partial(self._told, item.mac))

    async def idle(self) -> None:
        """Until everybody who is being told has answered."""
        while self._running:
            await asyncio.gather(*self._running.values(), return_exceptions=True)
            await asyncio.sleep(0)

    # --- helpers

    async def _tell(self, item: Waiting, phone: PhoneRecord) -> None:
        body = _identification(phone, self._book) if item.order is Order.IDENTIFY else ""
        try:
            told = await self._ways.tell(phone, self._extensions(phone), EVENTS[item.order], body)
        except Exception:
            log.exception("phone %s could not be told", phone.mac)
            told = Told(False, "something went wrong; the log says what")
        words = WORDS[item.order]
        if told.well:
            self._note(phone.mac, Kind.DONE, f"it was told {words}")
            # One that then does not come for its file is told again.
            if item.order is not Order.RESYNC:
                self.queue.drop(item)
            elif not self.queue.failed(item, self._clock()):
                self._note(phone.mac, Kind.WARNING, "it was told to fetch its configuration and did not come for it")
        elif item.order is Order.IDENTIFY:
            self.queue.drop(item)
            self._note(phone.mac, Kind.WARNING, f"it could not be told {words}: {told.text}")
        elif not self.queue.failed(item, self._clock()):
            text = f"it could not be told {words}: {told.text}; it gets what is new when it starts or looks by itself"
            self._note(phone.mac, Kind.WARNING, text)
        elif item.tries == 0:
            self._note(phone.mac, Kind.WARNING, f"it could not be told {words} yet: {told.text}; it is tried again")

    def _look_at(self, phone: PhoneRecord) -> None:
        if not phone.approved or not phone.delivered:
            return
        wanted = self._version_of(phone)
        if not wanted:
            return
        if wanted != phone.delivered:
            self.queue.want(phone.mac, Order.RESYNC, self._clock())
            self._wake.set()
        elif phone.used_extension_id is not None:
            self._registered_as[phone.mac] = phone.used_extension_id

    def _has_all(self, phone: PhoneRecord) -> bool:
        return bool(phone.delivered) and self._version_of(phone) == phone.delivered

    def _extensions(self, phone: PhoneRecord) -> list[int]:
        """What the phone may be registered as, the likeliest first."""
        keys = (self._registered_as.get(phone.mac), phone.used_extension_id, phone.extension_id)
        return [key for key in keys if key is not None]

    def _told(self, mac: str, task: asyncio.Task[None]) -> None:
        self._running.pop(mac, None)
        self._wake.set()

    def _hear_change(self, macs: frozenset[str] | None) -> None:
        if macs is None:
            self._changed = None
        elif self._changed is not None:
            self._changed |= macs

    def _ordered(self, orders: Sequence[tuple[str, Order]]) -> None:
        for mac, order in orders:
            self.queue.want(mac, order, self._clock())
        self._wake.set()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(SETTLE)
            if self._changed is None or self._changed:
                try:
                    await self.look()
                except Exception:
                    log.exception("phones with an outdated configuration could not be looked for")

    async def _work(self) -> None:
        while True:
            await self.tell_due()
            due = self.queue.next_due(self._running) if len(self._running) < AT_A_TIME else None
            self._wake.clear()
            try:
                async with asyncio.timeout(max(due - self._clock(), 0.05) if due is not None else None):
                    await self._wake.wait()
            except TimeoutError:
                continue


def _orders(keys: Sequence[str]) -> list[tuple[str, Order]]:
    found = []
    for key in keys:
        mac, _, order = key.partition(" ")
        if order in list(Order):
            found.append((mac, Order(order)))
    return found


def _identification(phone: PhoneRecord, book: Book) -> str:
    key = phone.used_extension_id
    extension = book.extensions.get(key) if key is not None else None
    number = f"Extension {extension.number}" if extension else "No extension"
    text = f"{number}\n{pretty_mac(phone.mac)}"
    screen = TextScreen("This phone", text, manner=Manner(timeout=IDENTIFY_SECONDS, beep=True))
    return screen.render().decode()

"""Action URIs: what phones tell of themselves, for their timelines, and who is in a call."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence

from opx.suite.handsets.http import XML as XML_TYPE
from opx.suite.handsets.http import Access, HandsetRequest, HandsetResponse
from opx.suite.handsets.records import PhoneRecord
from opx.suite.phone_pages.desk import XML
from opx.suite.timeline import Entry, Kind, phone_subject
from opx.suite.xml_objects.orders import FAST_REBOOT, Execute, acknowledgement

ACTION = f"{XML}action/"
BURST = 20
PER_SECOND = 0.2
"""Entries of one phone: so many at once, and so many in the long run; a call makes three."""
MAX_PHONES = 20_000
MAX_WAITING = 5000
"""Entries that wait to be written."""
WRITE_EVERY = 2.0
LONGEST_CALL = 4 * 3600.0
"""Seconds after which a phone that never said its call's end counts as free."""
MAX_VALUE = 40

EVENTS = (
    "startup", "registered", "registration-event", "incoming", "outgoing", "connected", "disconnected", "poll",
)  # fmt: skip
_BUSY = frozenset({"incoming", "outgoing", "connected"})
_FREE = frozenset({"disconnected", "startup", "registered"})
"""A phone registers for the first time when it starts, and then is in no call."""
_SILENT = frozenset({"poll"})
"""Told of often, and worth nothing on a timeline."""

log = logging.getLogger(__name__)


class CallWatch:
    """Which phones are in a call, as they tell themselves; what is not told is no call."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._since: OrderedDict[str, float] = OrderedDict()

    def told(self, mac: str, event: str) -> None:
        if event in _BUSY:
            self._since.setdefault(mac, self._clock())
            while len(self._since) > MAX_PHONES:
                self._since.popitem(last=False)
        elif event in _FREE:
            self._since.pop(mac, None)

    def busy(self, mac: str) -> bool:
        since = self._since.get(mac)
        return since is not None and self._clock() - since < LONGEST_CALL


class Journal:
    """Entries for timelines, bounded per phone, written now and then, many at a time. `start`, then `stop`."""

    def __init__(
        self, write: Callable[[Sequence[Entry]], Awaitable[None]], clock: Callable[[], float] = time.time
    ) -> None:
        self._write = write
        self._clock = clock
        self._waiting: list[Entry] = []
        self._tokens: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._writer: asyncio.Task[None] | None = None

    def note(self, mac: str, kind: Kind, text: str) -> None:
        """What the suite itself says of a phone; not bounded by what the phone tells."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(Entry(phone_subject(mac), self._clock(), kind, text))

    def told(self, mac: str, kind: Kind, text: str) -> None:
        """What a phone tells; over its bound it is left out."""
        if self._within_rate(mac):
            self.note(mac, kind, text)

    async def start(self) -> None:
        self._writer = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        await self.flush()

    async def flush(self) -> None:
        """Write what waits. A database that is away costs these entries, and nothing else."""
        entries, self._waiting = self._waiting, []
        try:
            await self._write(entries)
        except Exception:
            log.exception("%d entries of phones could not be written", len(entries))

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY)
            await self.flush()

    def _within_rate(self, mac: str) -> bool:
        now = self._clock()
        left, at = self._tokens.pop(mac, (float(BURST), now))
        left = min(float(BURST), left + max(0.0, now - at) * PER_SECOND)
        while len(self._tokens) >= MAX_PHONES:
            self._tokens.popitem(last=False)
        self._tokens[mac] = (max(left - 1, 0.0), now)
        return left >= 1


class Actions:
    """The route that action URIs lead to.

    Nothing happens on the phone, unless it tells that it is not registered, or that it is still there, with a
    configuration that is `outdated`: whoever has lost its registration cannot be told by SIP to fetch the new one.
    """

    access = Access.PHONE

    def __init__(
        self, journal: Journal, calls: CallWatch, outdated: Callable[[PhoneRecord], bool] = lambda phone: False
    ) -> None:
        self._journal = journal
        self._calls = calls
        self._outdated = outdated

    async def answer(self, request: HandsetRequest) -> HandsetResponse | None:
        event = request.path.lower().removeprefix(ACTION)
        phone = request.caller.phone
        if phone is None or event not in EVENTS:
            return None
        self._calls.told(phone.mac, event)
        if event not in _SILENT:
            kind, text = _said(event, phone, request.query)
            self._journal.told(phone.mac, kind, text)
        if _may_be_lost(event, request.query) and not self._calls.busy(phone.mac) and self._outdated(phone):
            self._journal.told(phone.mac, Kind.DONE, "is to start again: it has an outdated configuration")
            return HandsetResponse(Execute((FAST_REBOOT,)).render(), XML_TYPE)
        return HandsetResponse(acknowledgement(), XML_TYPE)


def _may_be_lost(event: str, query: Mapping[str, str]) -> bool:
    return event == "poll" or (event == "registration-event" and query.get("state", "").lower() != "registered")


def _said(event: str, phone: PhoneRecord, query: Mapping[str, str]) -> tuple[Kind, str]:
    """In words. What a phone sends is text like any other's: cut and made plain."""
    told = {name: _plain(value) for name, value in query.items()}
    state, code, number = told.get("state", ""), told.get("code", ""), told.get("number", "")
    if event == "registration-event":
        well = state.lower() == "registered"
        reason = f" ({code})" if code and code != "001" else ""
        return (Kind.DONE if well else Kind.WARNING), f"the phone says: {state.lower() or 'registration'}{reason}"
    if event in ("incoming", "outgoing"):
        return Kind.DONE, f"{event} call {'from' if event == 'incoming' else 'to'} {number or 'an unknown number'}"
    if event == "disconnected":
        duration = told.get("duration", "")
        return Kind.DONE, f"call ended{f' after {duration} s' if duration.isdigit() else ''}"
    words = {"startup": "started", "registered": "the phone says: registered", "connected": "call connected"}
    return Kind.DONE, words[event]


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text[:MAX_VALUE]).strip()

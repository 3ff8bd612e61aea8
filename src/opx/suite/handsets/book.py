"""What is known of phones and of the site, in memory: no request waits for a database.

`Book` is the content, `BookKeeper` takes over what changes: it hears of it on the bulletin.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from sqlalchemy.exc import DBAPIError

from opx.kept.bulletin import Bulletin
from opx.suite.handsets.files import Assigned
from opx.suite.handsets.http_digest import Hashes, hashes_of
from opx.suite.handsets.records import PhoneRecord, Sighting
from opx.suite.handsets.repository import PhoneRepository
from opx.suite.sites.records import ExtensionRecord, Locations, NodeRecord
from opx.suite.sites.repository import ExtensionQuery, SiteRepository
from opx.suite.topics import EXTENSIONS, PHONES, SITES

RETRY_SECONDS = 2.0
"""Until a database that did not answer is read again."""

log = logging.getLogger(__name__)


class Book:
    """`on_change` hears of which MACs the files may differ now, None of all; `on_seen` of phones that have asked."""

    def __init__(self) -> None:
        self.phones: dict[str, PhoneRecord] = {}
        self.extensions: dict[int, ExtensionRecord] = {}
        self.nodes: dict[int, NodeRecord] = {}
        self.locations = Locations()
        self.gateway = ""
        self.on_change: list[Callable[[frozenset[str] | None], None]] = []
        self.on_seen: list[Callable[[frozenset[str]], None]] = []
        self._hashes: dict[str, Hashes] = {}

    def phone(self, mac: str) -> PhoneRecord | None:
        return self.phones.get(mac)

    def hashes(self, phone: PhoneRecord) -> Hashes | None:
        """Of the phone's own digest; None when it has none."""
        if phone.digest is None or not phone.approved:
            return None
        known = self._hashes.get(phone.mac)
        if known is None:
            known = self._hashes[phone.mac] = hashes_of(phone.digest)
        return known

    def assigned(self, phone: PhoneRecord) -> Assigned | None:
        """What the phone is to be now."""
        key = phone.used_extension_id
        extension = self.extensions.get(key) if key is not None else None
        if extension is None:
            return None
        return Assigned(extension, self.nodes.get(extension.node_id) if extension.node_id is not None else None)

    def put(self, phone: PhoneRecord) -> None:
        """What this process has just written, before the bulletin comes round."""
        self.take_phones([phone], [phone.mac])

    def saw(self, sightings: Iterable[Sighting]) -> None:
        """What known phones have told by asking; no file differs by that."""
        macs = set()
        for seen in sightings:
            phone = self.phones.get(seen.mac)
            if phone is not None:
                macs.add(seen.mac)
                self.phones[seen.mac] = replace(
                    phone,
                    model=seen.model,
                    firmware=seen.firmware,
                    user_agent=seen.user_agent,
                    side=seen.side.value,
                    source=seen.source or (phone.source if phone.side == seen.side else ""),
                    last_seen=seen.at,
                    delivered=seen.delivered or phone.delivered,
                    delivered_at=seen.at if seen.delivered else phone.delivered_at,
                )
        for hear in self.on_seen:
            hear(frozenset(macs))

    def take_phones(self, records: Iterable[PhoneRecord], macs: Iterable[str] | None) -> None:
        """Those of `macs`; the ones that are not among `records` are gone. None: all."""
        found = {record.mac: record for record in records}
        if macs is None:
            self.phones, self._hashes = found, {}
            self._changed(None)
            return
        wanted = frozenset(macs)
        for mac in wanted:
            self._hashes.pop(mac, None)
            if mac in found:
                self.phones[mac] = found[mac]
            else:
                self.phones.pop(mac, None)
        self._changed(wanted)

    def take_extensions(self, records: Iterable[ExtensionRecord], keys: Iterable[int] | None) -> None:
        found = {record.id: record for record in records}
        if keys is None:
            self.extensions = found
            self._changed(None)
            return
        wanted = set(keys)
        for key in wanted:
            if key in found:
                self.extensions[key] = found[key]
            else:
                self.extensions.pop(key, None)
        self._changed(frozenset(mac for mac, phone in self.phones.items() if phone.used_extension_id in wanted))

    def take_site(self, nodes: Iterable[NodeRecord], locations: Locations, gateway: str) -> None:
        self.nodes = {node.id: node for node in nodes}
        self.locations, self.gateway = locations, gateway
        self._changed(None)

    def _changed(self, macs: frozenset[str] | None) -> None:
        for hear in self.on_change:
            hear(macs)


class BookKeeper:
    """Fills the book, and keeps it as the database is. `start`, then `stop`."""

    def __init__(self, book: Book, sites: SiteRepository, phones: PhoneRepository, bulletin: Bulletin) -> None:
        self._book = book
        self._sites = sites
        self._phones = phones
        self._due: dict[str, set[str] | None] = {}
        self._wake = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        for topic in (SITES, EXTENSIONS, PHONES):
            bulletin.subscribe(topic, partial(self._heard, topic))

    async def start(self) -> None:
        """All of it is read when it returns."""
        await self.take_over_all()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    async def take_over_all(self) -> None:
        """Read everything anew."""
        self._due = {SITES: None, EXTENSIONS: None, PHONES: None}
        await self.take_over()

    async def take_over(self) -> None:
        """Read what is due."""
        while self._due:
            topic, keys = next(iter(self._due.items()))
            del self._due[topic]
            try:
                await self._read(topic, keys)
            except BaseException:
                self._mark(topic, keys)
                raise

    async def _read(self, topic: str, keys: set[str] | None) -> None:
        if topic == PHONES:
            self._book.take_phones(await self._phones.all(keys), keys)
        elif topic == EXTENSIONS:
            ids = {int(key) for key in keys if key.isdigit()} if keys is not None else None
            query = ExtensionQuery(ids=ids) if ids is not None else None
            found, _ = await self._sites.extensions(query)
            self._book.take_extensions(found, ids)
        else:
            gateway = await self._sites.gateway.read()
            self._book.take_site(await self._sites.nodes(), await self._sites.locations(), gateway.address)

    async def _keep(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.take_over()
            except (DBAPIError, OSError):
                log.exception("what has changed could not be read; it is tried again in %.0f s", RETRY_SECONDS)
                await asyncio.sleep(RETRY_SECONDS)
                self._wake.set()

    def _heard(self, topic: str, keys: tuple[str, ...]) -> None:
        self._mark(topic, set(keys) or None)
        self._wake.set()

    def _mark(self, topic: str, keys: set[str] | None) -> None:
        if topic in self._due and keys is not None:
            waiting = self._due[topic]
            keys = None if waiting is None else waiting | keys
        self._due[topic] = keys

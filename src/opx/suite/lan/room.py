"""Brings firmware, TFTP and the syslog receiver to the handset server."""

import asyncio
import io
import logging
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from opx.kept.bulletin import Bulletin
from opx.suite.firmware.store import FirmwareStore
from opx.suite.handsets.book import Book
from opx.suite.handsets.catalogue import MODELS
from opx.suite.handsets.house import House, Inner
from opx.suite.handsets.http import BINARY, Access, HandsetRequest, HandsetResponse
from opx.suite.handsets.records import Side
from opx.suite.handsets.shelf import Shelf
from opx.suite.syslog.receiver import LineBuffer, SyslogReceiver
from opx.suite.syslog.repository import PhoneLog
from opx.suite.tftp.server import OpenFile, TftpServer
from opx.suite.topics import FIRMWARE

FIRMWARE_AGE = 60
RETRY_SECONDS = 2.0
"""Until a database that did not answer is read again."""
SYSTEM_FILES = ("startup.cfg", "aastra.cfg")

log = logging.getLogger(__name__)


class LanRoom:
    """A `handsets.house.Room`. `tftp` and `syslog` are None where they are off, or could not be bound."""

    def __init__(self) -> None:
        self.tftp: TftpServer | None = None
        self.syslog: SyslogReceiver | None = None

    async def furnish(self, house: House) -> None:
        """Nothing is to be there before the server."""

    async def open(self, house: House, inner: Inner) -> None:
        settings = house.settings
        store = FirmwareStore(house.sites.engine, settings.firmware.folder, settings.firmware.most_bytes)
        self.firmware = ActiveFirmware(store, house.bulletin)
        await self.firmware.start()
        house.stack.push_async_callback(self.firmware.stop)
        house.routes.add_last(FirmwareFiles(self.firmware))
        self._house, self._inner = house, inner

    async def listen(self) -> None:
        """Open the sockets; what cannot be bound is said, and left out."""
        house, inner, lan = self._house, self._inner, self._house.settings.lan
        address = house.settings.address

        def admits(source: str) -> bool:
            return inner.sides.side_of(source) is Side.LOCAL

        if lan.tftp:
            files = LanFiles(inner.shelf, self.firmware)
            self.tftp = TftpServer(files, address, lan.tftp_port, admits, _note_transfer)
            if await _bound(house, self.tftp, "TFTP for phones of the LAN", address, lan.tftp_port):
                house.stack.push_async_callback(self.tftp.stop)
            else:
                self.tftp = None
        if lan.syslog:
            buffer = LineBuffer(admits, Sources(house.book).mac_of)
            self.syslog = SyslogReceiver(buffer, PhoneLog(house.sites.engine).write, address, lan.syslog_port)
            if await _bound(house, self.syslog, "syslog of phones of the LAN", address, lan.syslog_port):
                house.stack.push_async_callback(self.syslog.stop)
            else:
                self.syslog = None


class ActiveFirmware:
    """Which file each model is given, in memory. `start`, then `stop`."""

    def __init__(self, store: FirmwareStore, bulletin: Bulletin) -> None:
        self._store = store
        self._files: dict[str, tuple[Path, str]] = {}
        self._wake = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        bulletin.subscribe(FIRMWARE, lambda keys: self._wake.set())

    def of(self, model: str) -> tuple[Path, str] | None:
        """The file and its digest."""
        return self._files.get(model)

    async def start(self) -> None:
        await self.take_over()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    async def take_over(self) -> None:
        records = await self._store.active()
        self._files = {record.model: (self._store.path(record), record.digest) for record in records}

    async def _keep(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.take_over()
            except (DBAPIError, OSError):
                log.exception("the firmware library could not be read; tried again in %.0f s", RETRY_SECONDS)
                await asyncio.sleep(RETRY_SECONDS)
                self._wake.set()


class FirmwareFiles:
    """`<model>.st` in the root; a `handsets.http.Route`. Nothing in it is secret."""

    access = Access.HANDSET

    def __init__(self, firmware: ActiveFirmware) -> None:
        self._firmware = firmware

    async def answer(self, request: HandsetRequest) -> HandsetResponse | None:
        found = self._firmware.of(_model(request.path))
        if found is None:
            return None
        return HandsetResponse(content_type=BINARY, etag=found[1], max_age=FIRMWARE_AGE, file=found[0])


class LanFiles:
    """What TFTP serves: firmware, and the files that hold nothing of one phone; a `tftp.server.Files`."""

    def __init__(self, shelf: Shelf, firmware: ActiveFirmware) -> None:
        self._shelf = shelf
        self._firmware = firmware

    async def open(self, name: str, source: str) -> OpenFile | None:
        wanted = name.rpartition("/")[2].lower()
        firmware = self._firmware.of(_model(wanted))
        if firmware is not None:
            return await asyncio.to_thread(_opened, firmware[0])
        body = self._body(wanted)
        return OpenFile(io.BytesIO(body), len(body)) if body is not None else None

    def _body(self, wanted: str) -> bytes | None:
        model, _, ending = wanted.rpartition(".")
        if wanted in SYSTEM_FILES:
            return self._shelf.system(Side.LOCAL).body
        if ending == "cfg" and model in MODELS:
            return self._shelf.of_model(model, Side.LOCAL).body
        return None


class Sources:
    """Which phone of the LAN is at an address."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._macs: dict[str, str] | None = None
        book.on_change.append(lambda macs: self._forget())
        book.on_seen.append(lambda macs: self._forget())

    def mac_of(self, source: str) -> str:
        """ "" when it is not known, or two phones have been there."""
        if self._macs is None:
            self._macs = {}
            for phone in self._book.phones.values():
                if phone.source and phone.side == Side.LOCAL:
                    self._macs[phone.source] = "" if phone.source in self._macs else phone.mac
        return self._macs.get(source, "")

    def _forget(self) -> None:
        self._macs = None


def _model(name: str) -> str:
    """Of `6930.st`; "" of any other name."""
    model, dot, ending = name.lower().rpartition(".")
    return model if dot and ending == "st" else ""


def _opened(path: Path) -> OpenFile | None:
    try:
        stream = path.open("rb")
    except OSError as error:
        log.warning("%s cannot be served: %s", path.name, error.strerror)
        return None
    return OpenFile(stream, path.stat().st_size)


def _note_transfer(source: str, name: str, failure: str) -> None:
    if failure:
        log.info("TFTP: %s did not get %s: %s", source, name, failure)
    else:
        log.info("TFTP: %s got %s", source, name)


async def _bound(house: House, server: TftpServer | SyslogReceiver, what: str, address: str, port: int) -> bool:
    try:
        await server.start()
    except OSError as error:
        house.notices.append(f"no {what}: UDP port {port} cannot be bound ({error.strerror})")
        log.warning("no %s: %s:%d cannot be bound: %s", what, address, port, error)
        return False
    house.notices.append(f"{what}: {address}, UDP port {port}")
    return True

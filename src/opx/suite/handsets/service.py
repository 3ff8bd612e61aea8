"""Wires the process that phones fetch from, starts and stops it."""

import asyncio
import logging
import resource
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from opx.config import SettingsFile
from opx.kept.bulletin import Member
from opx.suite.alarms import AlarmDesk, AlarmRepository
from opx.suite.certificates import server_certificate
from opx.suite.gateway_link.link import GatewayLink
from opx.suite.handsets.app import HandsetApp
from opx.suite.handsets.authority import Authority
from opx.suite.handsets.binding import Binder
from opx.suite.handsets.book import Book, BookKeeper
from opx.suite.handsets.code_desk import CodeDesk
from opx.suite.handsets.common import add_common, authority_reader
from opx.suite.handsets.files import LOG_IN_PAGE, WAITING_PAGE
from opx.suite.handsets.house import House, Inner
from opx.suite.handsets.http_digest import HttpDigest
from opx.suite.handsets.log_in import LogInPage
from opx.suite.handsets.origins import Asked, Origins
from opx.suite.handsets.reception import Reception
from opx.suite.handsets.repository import PhoneRepository
from opx.suite.handsets.rooms import rooms
from opx.suite.handsets.server import Admission, HandsetServer
from opx.suite.handsets.shelf import Shelf
from opx.suite.handsets.sides import Sides
from opx.suite.handsets.waiting import WaitingPage
from opx.suite.handsets.witness import Witness
from opx.suite.opening import open_sites
from opx.suite.settings import SuiteSettings
from opx.suite.timeline import Timeline
from opx.web.authority import CertificateError
from opx.web.certificates import certificate_files

CLIENT_AUTHORITY = "handsets-ca.pem"
"""In the certificates' folder: whom handsets' own certificates are of, where the settings ask for them."""
SPARE_FILES = 256
"""Descriptors beside those of connections."""
ALARMS = ("phone-guessed", "phone-moved", "phones-unknown", "phones-full", "codes-guessed")
"""Kinds that this process raises for what happens."""
ORIGIN_OFF = "origin-off"
SETTLE_SECONDS = 60.0
"""For which true sources must be told again until that alarm is cleared."""

log = logging.getLogger(__name__)


class HandsetService:
    """The handset configuration server in this process. `start`, then `stop`; `open` is all but the sockets."""

    def __init__(self, file: SettingsFile, clock: Callable[[], float] = time.time) -> None:
        self.settings = file.settings(SuiteSettings)
        self.clock = clock
        self.book = Book()
        self._origins_said = ""
        self.rooms = rooms()
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """SecretsError, DatabaseTooNew, ConfigError or OSError, each saying what is wrong."""
        async with AsyncExitStack() as stack:
            await self._open(stack)
            await self._listen(stack)
            self._running = stack.pop_all()

    async def open(self) -> None:
        """All of `start` but the network: `app` can be called."""
        async with AsyncExitStack() as stack:
            await self._open(stack)
            self._running = stack.pop_all()

    async def stop(self) -> None:
        await self._running.aclose()

    async def announcement(self) -> list[str]:
        settings, handsets = self.settings, self.settings.handsets
        lines = [f"handsets: https://{settings.address}:{handsets.https_port}/"]
        if handsets.http:
            lines.append(f"handsets of the LAN, without passwords: http://{settings.address}:{handsets.http_port}/")
        return [*lines, *self.house.notices]

    async def _open(self, stack: AsyncExitStack) -> None:
        settings, handsets = self.settings, self.settings.handsets
        sites = await open_sites(settings)
        stack.push_async_callback(sites.engine.dispose)
        bulletin = Member(settings.bulletin)
        stack.push_async_callback(bulletin.stop)
        self.house = House(
            settings,
            sites,
            PhoneRepository(sites.engine, sites.sealer),
            Timeline(sites.engine),
            bulletin,
            GatewayLink(sites, bulletin, settings.address),
            self.book,
            stack,
        )
        stack.push_async_callback(self.house.link.close)
        # Changes are heard of from here on, so that none is missed between reading and serving.
        self.keeper = BookKeeper(self.book, sites, self.house.phones, bulletin)
        self.origins = Origins(self._look_up, handsets.origin_seconds, self._say_origins)
        stack.push_async_callback(self.origins.stop)
        alarms = AlarmRepository(sites.engine)
        self.alarms = AlarmDesk(alarms, bulletin, ALARMS, handsets.limits.alarm_seconds)
        self.origin_alarms = AlarmDesk(alarms, bulletin, [ORIGIN_OFF], SETTLE_SECONDS)
        await bulletin.start()
        for room in self.rooms:
            await room.furnish(self.house)
        inner = self._wire()
        for room in self.rooms:
            await room.open(self.house, inner)
        await self.keeper.start()
        stack.push_async_callback(self.keeper.stop)
        await self.alarms.start()
        stack.push_async_callback(self.alarms.stop)
        await self.origin_alarms.start()
        stack.push_async_callback(self.origin_alarms.stop)
        await self.witness.start()
        stack.push_async_callback(self.witness.stop)
        stack.push_async_callback(self.binder.stop)

    def _wire(self) -> Inner:
        house, book = self.house, self.book
        settings, handsets = self.settings, self.settings.handsets
        self.witness = Witness(
            house.phones,
            house.timeline,
            self.alarms,
            book,
            house.bulletin,
            every=handsets.seen_every,
            most_new=handsets.limits.new_phones,
            keep_new=handsets.limits.new_phone_days * 86_400.0,
            clock=self.clock,
        )
        self._sides = Sides(settings.address, handsets.lan)
        book.on_change.append(self._site_changed)
        shelf = Shelf(
            book,
            handsets.provision,
            house.profiles,
            settings.address,
            handsets.https_port,
            authority=settings.certificates.own is None,
        )
        page_seconds = handsets.pages_by_source_seconds
        clock = self.clock
        self.binder = Binder(book, house.phones, self.origins, self.witness, house.bulletin, page_seconds, clock)
        codes = CodeDesk(handsets, book, house.phones, house.timeline, self.alarms, house.bulletin, clock)
        digest = HttpDigest(handsets.digest_algorithms, handsets.nonce_seconds)
        authority = Authority(handsets, digest, book, self.origins, codes, self.binder, self.witness, clock)
        add_common(house.routes, shelf, authority_reader(self._authority_file))
        house.routes.add(WAITING_PAGE, WaitingPage(book, authority, clock))
        if handsets.provision.log_in == "xml":
            house.routes.add(LOG_IN_PAGE, LogInPage(codes, authority, shelf, clock))
        self.reception = Reception(
            self._sides, authority, shelf, house.routes, self.witness, handsets.http_secrets, clock
        )
        self.app = HandsetApp(self.reception)
        return Inner(shelf, self._sides, codes, authority, clock)

    async def _listen(self, stack: AsyncExitStack) -> None:
        settings, handsets = self.settings, self.settings.handsets
        limits = handsets.limits
        _raise_file_limit(limits.connections + SPARE_FILES)
        certificate = await server_certificate(settings, self.house.sites, prepare=self._ask_for_certificates)
        self.admission = Admission(limits, lambda: self.book.gateway)
        wanted: list[tuple[int, ssl.SSLContext | None]] = [(handsets.https_port, certificate.open())]
        if handsets.http:
            wanted.append((handsets.http_port, None))
        for port, tls in wanted:
            server = HandsetServer(self.app, settings.address, port, self.admission, limits, tls)
            await server.start()
            stack.push_async_callback(server.stop)
        for room in self.rooms:
            await room.listen()
        watching = asyncio.create_task(certificate.watch())
        stack.callback(watching.cancel)

    def _authority_file(self) -> Path | None:
        """None with a certificate of the owner's own, whose authority phones know or are told of by a profile."""
        certificates = self.settings.certificates
        return None if certificates.own is not None else certificate_files(certificates.folder).authority

    def _ask_for_certificates(self, context: ssl.SSLContext) -> None:
        """A phone without one is served all the same; one of another authority's does not get through the handshake."""
        if not self.settings.handsets.client_authority:
            return
        path = self.settings.certificates.folder / CLIENT_AUTHORITY
        try:
            context.load_verify_locations(path)
        except (OSError, ssl.SSLError) as error:
            raise CertificateError(
                f"{path} cannot be read ({error}); expected the authority of the handsets' certificates in PEM, "
                "or client_authority = false"
            ) from None
        context.verify_mode = ssl.CERT_OPTIONAL

    async def _look_up(self, asked: Sequence[Asked]) -> Sequence[str | None]:
        found = await self.house.link.ask(lambda client: client.origins(asked))
        return [origin.address if origin is not None else None for origin in found]

    def _say_origins(self, trouble: str) -> None:
        """It stands as an alarm for as long as it is so, for nothing else shows it. Once is no alarm."""
        if trouble and trouble == self._origins_said:
            self.origin_alarms.board.raise_(ORIGIN_OFF, "", trouble[:500])
        elif not trouble:
            self.origin_alarms.board.clear(ORIGIN_OFF, "")
        self._origins_said = trouble

    def _site_changed(self, macs: frozenset[str] | None) -> None:
        if macs is None:
            self._sides.gateway = self.book.gateway
            self.origins.retry()


def _raise_file_limit(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < wanted:
        log.warning("the machine allows %d open files; %d phones at a time need %d", most, wanted - SPARE_FILES, wanted)

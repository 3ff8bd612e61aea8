"""One client of the gateway for a process, opened from the site settings and opened anew when these change."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from opx.gateway_client.client import GatewayClient
from opx.gateway_client.errors import CertificateChanged, GatewayError
from opx.gateway_client.models import Server
from opx.gateway_client.wire import Pin, Secrets
from opx.kept.bulletin import Bulletin
from opx.suite.gateway_link.troubles import GATEWAY_PAGE, LinkError, Reason, certificate_changed, check_server, in_words
from opx.suite.sites.records import GatewayRecord, SiteError
from opx.suite.sites.repository import SiteRepository
from opx.suite.topics import SITES

FAILED_FOR = 2.0
"""Seconds that a gateway which could not be reached is not tried again: many phones may ask at once."""

T = TypeVar("T")
Key = tuple[str, str, Secrets]


@dataclass(slots=True, eq=False)
class _Open:
    """A client, what it was made of, and how many requests it is at."""

    client: GatewayClient
    key: Key
    users: int = 0
    retired: bool = False

    async def release(self) -> None:
        self.users -= 1
        await self.end()

    async def end(self) -> None:
        if self.retired and not self.users:
            await self.client.close()


class GatewayLink:
    """`ask` whenever something is to be asked; `close` in the end. `clock` is the time of day."""

    def __init__(
        self,
        sites: SiteRepository,
        bulletin: Bulletin,
        local_address: str = "",
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sites = sites
        self._bulletin = bulletin
        self._local_address = local_address
        self._clock = clock
        self._monotonic = monotonic
        self._open: _Open | None = None
        self._current = False
        self._failure: tuple[float, LinkError] | None = None
        self._opening = asyncio.Lock()
        self.server: Server | None = None
        """What the gateway last said of itself."""
        bulletin.subscribe(SITES, lambda keys: self._changed())

    async def ask(self, work: Callable[[GatewayClient], Awaitable[T]]) -> T:
        """What `work` gives. LinkError for what is in the way of everything, another GatewayError for this alone."""
        open_ = await self._ready()
        try:
            return await work(open_.client)
        except GatewayError as error:
            raise await self._said(error, open_.key[1]) from None
        finally:
            await open_.release()

    async def look(self) -> Server:
        """What the gateway says of itself, now. LinkError."""
        server = await self.ask(lambda client: client.server())
        check_server(server)
        self.server = server
        return server

    async def close(self) -> None:
        async with self._opening:
            await self._retire()

    # --- helpers

    def _changed(self) -> None:
        self._current = False
        self._failure = None

    async def _ready(self) -> _Open:
        """An open client, taken for one use."""
        async with self._opening:
            if not self._current or self._open is None:
                await self._renew()
            assert self._open is not None
            self._open.users += 1
            return self._open

    async def _renew(self) -> None:
        if self._failure is not None and self._monotonic() < self._failure[0]:
            raise self._failure[1]
        # A change that comes while the settings are read is read next time.
        self._current = True
        try:
            key = await self._key()
            if self._open is None or self._open.key != key:
                await self._retire()
                await self._connect(key)
        except BaseException as error:
            self._current = False
            if isinstance(error, LinkError):
                self._failure = (self._monotonic() + FAILED_FOR, error)
            raise

    async def _key(self) -> Key:
        gateway = await self._sites.gateway.read()
        check_ready(gateway)
        access = await self._sites.gateway.access()
        if access is None or not access.token:
            text = f"there is no access token; press Request Access Token on {GATEWAY_PAGE}"
            raise LinkError(Reason.NO_TOKEN, text)
        secrets = Secrets(access.consumer_id, access.consumer_secret, access.token, access.token_secret)
        return gateway.url, gateway.fingerprint, secrets

    async def _connect(self, key: Key) -> None:
        url, fingerprint, secrets = key
        client = GatewayClient(url, secrets, Pin(fingerprint), local_address=self._local_address)
        try:
            server = await client.server()
            check_server(server)
        except GatewayError as error:
            await client.close()
            raise await self._said(error, fingerprint) from None
        except BaseException:
            await client.close()
            raise
        self._open, self.server = _Open(client, key), server

    async def _retire(self) -> None:
        if self._open is not None:
            self._open.retired = True
            await self._open.end()
            self._open = None

    async def _said(self, error: GatewayError, pinned: str) -> GatewayError:
        if isinstance(error, CertificateChanged):
            await note_offer(self._sites, self._bulletin, pinned, error.fingerprint)
            self._current = False
        return in_words(error, self._clock())


def check_ready(gateway: GatewayRecord) -> None:
    """LinkError when the site settings do not let anything be asked of the gateway."""
    if not gateway.rest_api:
        text = f"Enable Rest API is not checked on {GATEWAY_PAGE}: the gateway's SIP users are kept by hand"
        raise LinkError(Reason.OFF, text)
    if not gateway.address:
        raise LinkError(Reason.NO_ADDRESS, f"the gateway's inside address is not set on {GATEWAY_PAGE}")
    if gateway.offered_fingerprint:
        raise LinkError(Reason.CERTIFICATE_CHANGED, certificate_changed())
    if not gateway.fingerprint:
        text = f"the gateway's certificate is not trusted yet; look at its fingerprint on {GATEWAY_PAGE} and trust it"
        raise LinkError(Reason.NOT_PINNED, text)


async def note_offer(sites: SiteRepository, bulletin: Bulletin, pinned: str, met: str) -> None:
    """Another certificate than the `pinned` one was `met`: that stops everything until the administrator has decided,
    unless they have meanwhile."""
    gateway = await sites.gateway.read()
    if gateway.fingerprint == pinned and gateway.offered_fingerprint != met:
        # Another process may write down the same at the same moment.
        with contextlib.suppress(SiteError):
            await sites.gateway.offer(met)
        bulletin.publish(SITES)

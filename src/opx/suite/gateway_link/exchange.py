"""Trusting the gateway's certificate, and getting a token with an administrator's help (guide stage 4, step 2)."""

import time
from collections.abc import Callable

from opx.gateway_client.access import PendingAccess, request_access, retrieve_access
from opx.gateway_client.errors import CertificateChanged, GatewayError, NotAuthorised
from opx.gateway_client.wire import Pin
from opx.kept.bulletin import Bulletin
from opx.pinning import fetch_fingerprint
from opx.suite.gateway_link.link import check_ready, note_offer
from opx.suite.gateway_link.troubles import WEB_SERVICES_PAGE, LinkError, Reason, in_words
from opx.suite.sites.records import GatewayAccess, GatewayRecord
from opx.suite.sites.repository import SiteRepository
from opx.suite.topics import SITES


class TokenExchange:
    """What the Request Access Token form does. Whatever it changes is published; every method raises LinkError, or
    another GatewayError when the gateway refuses this one step."""

    def __init__(
        self,
        sites: SiteRepository,
        bulletin: Bulletin,
        local_address: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sites = sites
        self._bulletin = bulletin
        self._local_address = local_address
        self._clock = clock

    async def fingerprint(self) -> str:
        """SHA-256 in hex of the certificate that the gateway shows now, for the administrator to compare."""
        gateway = await self._sites.gateway.read()
        if not gateway.address:
            raise LinkError(Reason.NO_ADDRESS, "the gateway's inside address is not set")
        try:
            return await fetch_fingerprint(gateway.address, gateway.port, self._local_address)
        except OSError as error:
            where = f"{gateway.address}, port {gateway.port}"
            raise LinkError(Reason.UNREACHABLE, f"the gateway did not answer at {where}: {_why(error)}") from None

    async def trust(self, fingerprint: str) -> None:
        """The administrator has compared it."""
        await self._sites.gateway.pin(fingerprint)
        self._bulletin.publish(SITES)

    async def request(self) -> None:
        """Save & Test API Credentials: the request appears on the gateway under Temporary tokens."""
        gateway, access = await self._ready()
        try:
            pending = await request_access(
                gateway.url,
                access.consumer_id,
                access.consumer_secret,
                Pin(gateway.fingerprint),
                local_address=self._local_address,
            )
        except GatewayError as error:
            raise await self._said(error, gateway) from None
        await self._sites.gateway.save_pending(pending.token, pending.secret, float(pending.expires_at))
        self._bulletin.publish(SITES)

    async def retrieve(self, verifier: str) -> None:
        """Retrieve Final Access Token. NotApproved and VerifierWrong leave the request for another try."""
        gateway, access = await self._ready()
        if not access.pending_token:
            raise LinkError(Reason.NO_TOKEN, "no token was requested; press Save & Test API Credentials first")
        pending = PendingAccess(access.pending_token, access.pending_secret, int(gateway.pending_until or 0))
        try:
            token = await retrieve_access(
                gateway.url,
                access.consumer_id,
                access.consumer_secret,
                pending,
                verifier,
                Pin(gateway.fingerprint),
                local_address=self._local_address,
            )
        except GatewayError as error:
            raise await self._said(error, gateway) from None
        await self._sites.gateway.save_token(token.token, token.secret, float(token.expires_at))
        self._bulletin.publish(SITES)

    async def _ready(self) -> tuple[GatewayRecord, GatewayAccess]:
        gateway = await self._sites.gateway.read()
        check_ready(gateway)
        access = await self._sites.gateway.access()
        if access is None:
            raise LinkError(Reason.NOT_ACCEPTED, f"expected Consumer ID and Shared Secret of {WEB_SERVICES_PAGE}")
        return gateway, access

    async def _said(self, error: GatewayError, gateway: GatewayRecord) -> GatewayError:
        if isinstance(error, CertificateChanged):
            await note_offer(self._sites, self._bulletin, gateway.fingerprint, error.fingerprint)
        if isinstance(error, NotAuthorised):
            text = (
                "the gateway does not accept Consumer ID or Shared Secret, and does not say which; compare both with "
                f"{WEB_SERVICES_PAGE}"
            )
            return LinkError(Reason.NOT_ACCEPTED, text)
        return in_words(error, self._clock())


def _why(error: OSError) -> str:
    return "not in time" if isinstance(error, TimeoutError) else error.strerror or str(error)

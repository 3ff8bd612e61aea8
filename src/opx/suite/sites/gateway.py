"""The row about the gateway: what was set, the token exchange as it stands, and the certificate that is trusted."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from opx.store.secrets import Sealer
from opx.suite.sites.models import Gateway
from opx.suite.sites.records import Conflict, GatewayAccess, GatewayRecord, GatewaySpec, SiteError

Writing = Callable[[], AbstractAsyncContextManager[AsyncSession]]


class GatewayRows:
    """See the module. Every method that writes raises SiteError, Conflict among them."""

    def __init__(self, writing: Writing, reading: async_sessionmaker[AsyncSession], sealer: Sealer) -> None:
        self._writing = writing
        self._reading = reading
        self._sealer = sealer

    async def read(self) -> GatewayRecord:
        async with self._reading() as session:
            row = await session.get(Gateway, 1)
            return _record(row) if row is not None else GatewayRecord()

    async def access(self) -> GatewayAccess | None:
        """None before the consumer was named."""
        async with self._reading() as session:
            row = await session.get(Gateway, 1)
            if row is None or not row.consumer_id:
                return None
            return GatewayAccess(
                row.consumer_id,
                self._open(row.consumer_secret_sealed, "consumer"),
                row.token,
                self._open(row.token_secret_sealed, "token"),
                row.pending_token,
                self._open(row.pending_secret_sealed, "pending"),
            )

    async def save(self, spec: GatewaySpec, version: int | None = None) -> GatewayRecord:
        """What is known of a gateway at another address (certificate, tokens) is forgotten."""
        spec.check()
        async with self._writing() as session:
            stored = await session.get(Gateway, 1)
            if version is not None and version != (stored.version if stored is not None else 0):
                raise Conflict("the gateway's settings were changed by somebody else meanwhile")
            row = await _row(session)
            if (row.address, row.port) != (spec.address, spec.port):
                row.fingerprint = row.offered_fingerprint = ""
                _forget_token(row)
                _forget_pending(row)
            row.address, row.port, row.rest_api = spec.address, spec.port, spec.rest_api
            await session.flush()
            return _record(row)

    async def save_consumer(self, name: str, consumer_id: str, secret: str | None) -> None:
        """The Request Access Token form. `secret` None leaves the stored one."""
        if not consumer_id.strip():
            raise SiteError("expected the ConsumerID of the gateway's Web services page", "consumer_id")
        async with self._writing() as session:
            row = await _row(session)
            if secret is None and row.consumer_secret_sealed is None:
                raise SiteError("expected the shared secret of the consumer", "shared_secret")
            row.consumer_name, row.consumer_id = name, consumer_id
            if secret is not None:
                row.consumer_secret_sealed = self._sealer.seal(secret, "gateway:consumer")

    async def save_pending(self, token: str, secret: str, until: float) -> None:
        """A temporary token that waits for its verifier."""
        async with self._writing() as session:
            row = await _row(session)
            row.pending_token, row.pending_until = token, until
            row.pending_secret_sealed = self._sealer.seal(secret, "gateway:pending")

    async def save_token(self, token: str, secret: str, until: float) -> None:
        """The final token; the temporary one is used up."""
        async with self._writing() as session:
            row = await _row(session)
            row.token, row.token_until = token, until
            row.token_secret_sealed = self._sealer.seal(secret, "gateway:token")
            _forget_pending(row)

    async def token_lasts(self, until: float) -> None:
        """The token was renewed."""
        async with self._writing() as session:
            (await _row(session)).token_until = until

    async def forget_token(self) -> None:
        async with self._writing() as session:
            _forget_token(await _row(session))

    async def forget_pending(self) -> None:
        async with self._writing() as session:
            _forget_pending(await _row(session))

    async def pin(self, fingerprint: str) -> None:
        """Trust this certificate from now on."""
        async with self._writing() as session:
            row = await _row(session)
            row.fingerprint, row.offered_fingerprint = fingerprint, ""

    async def offer(self, fingerprint: str) -> None:
        """Another certificate than the pinned one was met; "" withdraws that."""
        async with self._writing() as session:
            row = await _row(session)
            row.offered_fingerprint = "" if fingerprint == row.fingerprint else fingerprint

    def _open(self, sealed: bytes | None, what: str) -> str:
        return self._sealer.open(sealed, f"gateway:{what}") if sealed is not None else ""


async def _row(session: AsyncSession) -> Gateway:
    row = await session.get(Gateway, 1)
    if row is None:
        row = Gateway(id=1)
        session.add(row)
        await session.flush()
    return row


def _forget_token(row: Gateway) -> None:
    row.token, row.token_secret_sealed, row.token_until = "", None, None


def _forget_pending(row: Gateway) -> None:
    row.pending_token, row.pending_secret_sealed, row.pending_until = "", None, None


def _record(row: Gateway) -> GatewayRecord:
    return GatewayRecord(
        row.address,
        row.port,
        row.rest_api,
        row.consumer_name,
        row.consumer_id,
        row.consumer_secret_sealed is not None,
        bool(row.pending_token),
        row.pending_until,
        bool(row.token),
        row.token_until,
        row.fingerprint,
        row.offered_fingerprint,
        row.version,
    )

"""Decides whose request it is and whether it may pass.

The signature comes first. Who cannot give a right one is a stranger and learns nothing, neither which part was wrong
nor whether there is such a consumer. Who can is an owner and is told what else is in the way.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from opx.gateway.webservices.attempts import Attempts
from opx.gateway.webservices.exchange import Once, Signer, TokenExchange, TokenKind, Verdict
from opx.gateway.webservices.oauth import SignedRequest
from opx.gateway.webservices.problems import Refused, Stranger
from opx.gateway.webservices.records import (
    ConsumerRecord,
    FinalRecord,
    NewToken,
    Permission,
    Refusal,
    TemporaryRecord,
)
from opx.gateway.webservices.repository import WebServicesRepository

OUT_OF_BAND = "oob"
"""The only callback: the administrator carries the verifier over (RFC 5849 section 2.1)."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """A consumer with a valid final token."""

    consumer: ConsumerRecord
    token: FinalRecord
    source: str

    def needs(self, resource: str, permission: Permission) -> None:
        """Refused."""
        if not self.consumer.may(resource, permission):
            text = f"{self.consumer.name} has no {permission} permission for {resource}"
            raise Refused(403, "permission_missing", text)


class Authority:
    """`on_refusal` hears of everybody who is turned away."""

    def __init__(
        self,
        repository: WebServicesRepository,
        on_refusal: Callable[[Refusal], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        settings = repository.settings
        self._on_refusal = on_refusal
        self._repository = repository
        self._settings = settings
        self._clock = repository.clock
        self._exchange = TokenExchange(repository)
        self._attempts = Attempts(settings.failures_per_source, settings.failures_window, monotonic)

    def wait(self, source: str) -> float:
        """Seconds until requests of an address are looked at."""
        return self._attempts.wait(source)

    def note(self, source: str, consumer: str, reason: str, *, stranger: bool = True) -> None:
        """Write a refusal down; a stranger's counts against the address."""
        self._on_refusal(Refusal(self._clock(), source, consumer[:64], reason))
        log.warning("web services: %s refused: %s", source, reason)
        if stranger:
            self._attempts.refused(source)

    async def caller(self, signed: SignedRequest, source: str) -> Caller:
        """Who asks for a resource. Stranger, Refused."""
        signer = await self._exchange.signer(signed.client_key, signed.token, TokenKind.FINAL)
        consumer = await self._owner(signed, signer)
        token = signer.final
        if token is None:
            raise Stranger("no final token")
        if token.revoked:
            raise Refused(401, "token_revoked", "this token was revoked; ask for a new one")
        if token.expires_at <= self._clock():
            raise Refused(401, "token_expired", "this token has expired; an administrator may renew it")
        await self._exchange.note_use(token, source)
        return Caller(consumer, token, source)

    async def ask(self, signed: SignedRequest, source: str) -> NewToken:
        """A temporary token (RFC 5849 section 2.1). Stranger, Refused."""
        signer = await self._exchange.signer(signed.client_key, signed.token, TokenKind.NONE)
        consumer = await self._owner(signed, signer)
        if signed.callback != OUT_OF_BAND:
            text = f"the verifier is carried over by the administrator; expected oauth_callback={OUT_OF_BAND}"
            raise Refused(400, "callback_not_possible", text, field="oauth_callback")
        return await self._exchange.ask(consumer, source)

    async def trade(self, signed: SignedRequest, source: str) -> NewToken:
        """The final token (RFC 5849 section 2.3). Stranger, Refused."""
        signer = await self._exchange.signer(signed.client_key, signed.token, TokenKind.TEMPORARY)
        await self._owner(signed, signer)
        temporary = signer.temporary
        if temporary is None:
            raise Stranger("no temporary token")
        self._tradable(temporary)
        verdict, token = await self._exchange.trade(temporary, signed.verifier, source)
        if token is not None:
            return token
        if verdict in (Verdict.WRONG, Verdict.VOID):
            self._attempts.refused(source)
        raise _TRADE_REFUSED[verdict]()

    async def _owner(self, signed: SignedRequest, signer: Signer) -> ConsumerRecord:
        """The consumer whose request this is; it is taken once. Everything is computed before anything is judged."""
        matches = signed.signed_with(signer.client_secret, signer.token_secret)
        consumer = signer.consumer
        if not matches or not signer.genuine or consumer is None:
            raise Stranger(_WHY_STRANGE[consumer is not None, signer.genuine])
        now = self._clock()
        if not signed.body_is_as_signed:
            raise Refused(401, "body_changed", "the body is not the one that oauth_body_hash was made of")
        if abs(now - signed.timestamp) > self._settings.clock_skew:
            text = f"the request's time is {signed.timestamp - now:+.0f} s from the gateway's; set the clock"
            raise Refused(401, "clock_skew", text, field="oauth_timestamp", server_time=int(now))
        taken = await self._exchange.take_once(signed.digest, consumer, signed.timestamp)
        if taken is Once.REPEATED:
            raise Refused(401, "nonce_used", "this request came before; each needs a nonce of its own")
        if taken is Once.TOO_MANY:
            raise Refused(429, "too_many_requests", "too many requests; wait a little", self._settings.clock_skew)
        if not consumer.active:
            raise Refused(403, "consumer_inactive", f"consumer {consumer.name} is not active")
        return consumer

    def _tradable(self, temporary: TemporaryRecord) -> None:
        if temporary.used:
            raise Refused(401, "token_used", "this temporary token has been used; ask for a new one")
        if temporary.expires_at <= self._clock():
            raise Refused(401, "token_expired", "this temporary token has expired; ask for a new one")
        if temporary.verifier is None:
            raise Refused(401, "not_approved", "no administrator has approved this temporary token yet")


_WHY_STRANGE = {
    (False, False): "no consumer has this ConsumerID",
    (True, False): "the consumer has no such token",
    (True, True): "the signature is wrong: the shared secret, or the token's",
}
"""By whether the consumer is known, and the token, too; for the administrator."""
_TRADE_REFUSED: dict[Verdict, Callable[[], Refused]] = {
    Verdict.WRONG: lambda: Refused(401, "verifier_wrong", "the verifier is wrong", field="oauth_verifier"),
    Verdict.VOID: lambda: Refused(
        401, "token_void", "the verifier was wrong too often; ask for a new temporary token", field="oauth_verifier"
    ),
    Verdict.GONE: lambda: Refused(401, "token_used", "this temporary token has been used; ask for a new one"),
    Verdict.TOO_MANY: lambda: Refused(
        403, "too_many_tokens", "this consumer has too many final tokens; an administrator has to revoke one"
    ),
}

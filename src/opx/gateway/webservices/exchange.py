"""The consumers' side of the tables: looking up who signed, taking a request once, and trading tokens."""

import hmac
from dataclasses import dataclass, field
from enum import Enum, auto

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from opx.gateway.webservices.models import Consumer, FinalToken, Nonce, TemporaryToken
from opx.gateway.webservices.records import ConsumerRecord, FinalRecord, NewToken, TemporaryRecord
from opx.gateway.webservices.repository import (
    DAY,
    WebServicesRepository,
    consumer_record,
    final_record,
    made_up_secret,
    secret_context,
)

LAST_USE_STEP = 60.0
"""Seconds after which a token's last use is written down again."""
_DUMMY = "webservices.dummy"


class TokenKind(Enum):
    """What kind of token a request has to be signed with."""

    NONE = auto()
    TEMPORARY = auto()
    FINAL = auto()


class Once(Enum):
    """What became of a request that is to be taken once."""

    TAKEN = auto()
    REPEATED = auto()
    TOO_MANY = auto()


class Verdict(Enum):
    """What became of a verifier."""

    RIGHT = auto()
    WRONG = auto()
    VOID = auto()
    """Wrong, and for the last time: the temporary token is void."""
    GONE = auto()
    """Another request was faster."""
    TOO_MANY = auto()
    """It is right, but the consumer has all the final tokens that it may have."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose secrets a signature has to match. Where client or token are unknown, made-up secrets stand in their place,
    so that a stranger cannot tell by the time it takes; `genuine` says whether all is known."""

    consumer: ConsumerRecord | None
    temporary: TemporaryRecord | None
    final: FinalRecord | None
    genuine: bool
    client_secret: str = field(repr=False)
    token_secret: str = field(repr=False)


class TokenExchange:
    def __init__(self, repository: WebServicesRepository) -> None:
        self._repository = repository
        self._sealer = repository.sealer
        self._settings = repository.settings
        self._clock = repository.clock
        self._dummy = self._sealer.seal(made_up_secret(), _DUMMY)

    async def signer(self, client_key: str, token: str, kind: TokenKind) -> Signer:
        """The same queries and the same unsealing whether client and token are known or not."""
        table = FinalToken if kind is TokenKind.FINAL else TemporaryToken
        async with self._repository.reading() as session:
            consumer = await session.scalar(select(Consumer).where(Consumer.consumer_id == client_key))
            found: FinalToken | TemporaryToken | None = await session.scalar(select(table).where(table.token == token))
        row = found if found is not None and consumer is not None and found.consumer == consumer.id else None
        wanted = kind is not TokenKind.NONE
        secret = consumer.secret if consumer is not None else self._dummy
        client_secret = self._sealer.open(secret, secret_context(client_key) if consumer is not None else _DUMMY)
        token_secret = self._sealer.open(
            row.secret if row is not None else self._dummy, _token_context(token) if row is not None else _DUMMY
        )
        return Signer(
            consumer_record(consumer) if consumer is not None else None,
            self._repository.temporary_record(row, consumer) if isinstance(row, TemporaryToken) and consumer else None,
            final_record(row, consumer) if isinstance(row, FinalToken) and consumer else None,
            consumer is not None and (row is not None) == wanted and bool(token) == wanted,
            client_secret,
            token_secret if wanted else "",
        )

    async def take_once(self, digest: bytes, consumer: ConsumerRecord, at: float) -> Once:
        """Note a request; that it has not been seen before is settled by the database, for all processes on it."""
        engine, now = self._repository.engine, self._clock()
        try:
            async with engine.begin() as connection:
                await connection.execute(delete(Nonce).where(Nonce.at < now - 2 * self._settings.clock_skew))
                held = await connection.scalar(
                    select(func.count()).select_from(Nonce).where(Nonce.consumer == consumer.id)
                )
                if (held or 0) >= self._settings.requests_remembered:
                    return Once.TOO_MANY
                await connection.execute(insert(Nonce).values(digest=digest, consumer=consumer.id, at=at))
        except IntegrityError:
            return Once.REPEATED
        return Once.TAKEN

    async def note_use(self, token: FinalRecord, source: str) -> None:
        """Write down where and when a token was last used, once in a while."""
        now = self._clock()
        recent = token.last_used_at is not None and now - token.last_used_at < LAST_USE_STEP
        if recent and token.last_source == source:
            return
        async with self._repository.writing() as session:
            changed = {"last_used_at": now, "last_source": source[:64]}
            await session.execute(update(FinalToken).where(FinalToken.id == token.id).values(changed))

    async def ask(self, consumer: ConsumerRecord, source: str) -> NewToken:
        """A temporary token for a consumer, to be approved by an administrator. What has ended is cleared away."""
        now = self._clock()
        new = NewToken(made_up_secret(), made_up_secret(), now + self._settings.temporary_lifetime)
        async with self._repository.writing() as session:
            await self._clear(session, now)
            waiting = await session.scalars(
                select(TemporaryToken.id)
                .where(TemporaryToken.consumer == consumer.id)
                .order_by(TemporaryToken.id.desc())
                .offset(self._settings.temporary_tokens - 1)
            )
            await session.execute(delete(TemporaryToken).where(TemporaryToken.id.in_(list(waiting))))
            session.add(
                TemporaryToken(
                    consumer=consumer.id,
                    token=new.token,
                    secret=self._sealer.seal(new.secret, _token_context(new.token)),
                    source=source[:64],
                    created_at=now,
                    expires_at=new.expires_at,
                    wrong_verifiers=0,
                )
            )
        return new

    async def trade(self, temporary: TemporaryRecord, verifier: str, source: str) -> tuple[Verdict, NewToken | None]:
        """The final token for an approved temporary one, which is used up with that."""
        now = self._clock()
        right = hmac.compare_digest(verifier.encode(), (temporary.verifier or made_up_secret()).encode())
        async with self._repository.writing() as session:
            unused = (TemporaryToken.id == temporary.id, TemporaryToken.used_at.is_(None))
            if not right:
                return await self._wrong(session, temporary, now), None
            holding = (
                select(func.count())
                .select_from(FinalToken)
                .where(
                    FinalToken.consumer == temporary.consumer.id,
                    FinalToken.revoked_at.is_(None),
                    FinalToken.expires_at > now,
                )
            )
            if (await session.scalar(holding) or 0) >= self._settings.final_tokens:
                return Verdict.TOO_MANY, None
            used = await session.execute(
                update(TemporaryToken).where(*unused).values(used_at=now).returning(TemporaryToken.id)
            )
            if used.scalar() is None:
                return Verdict.GONE, None
            new = NewToken(made_up_secret(), made_up_secret(), now + self._settings.token_days * DAY)
            session.add(
                FinalToken(
                    consumer=temporary.consumer.id,
                    token=new.token,
                    secret=self._sealer.seal(new.secret, _token_context(new.token)),
                    created_at=now,
                    expires_at=new.expires_at,
                    last_source=source[:64],
                )
            )
        return Verdict.RIGHT, new

    async def _wrong(self, session: AsyncSession, temporary: TemporaryRecord, now: float) -> Verdict:
        counted = await session.execute(
            update(TemporaryToken)
            .where(TemporaryToken.id == temporary.id)
            .values(wrong_verifiers=TemporaryToken.wrong_verifiers + 1)
            .returning(TemporaryToken.wrong_verifiers)
        )
        if (counted.scalar() or 0) < self._settings.verifier_tries:
            return Verdict.WRONG
        await session.execute(update(TemporaryToken).where(TemporaryToken.id == temporary.id).values(used_at=now))
        return Verdict.VOID

    async def _clear(self, session: AsyncSession, now: float) -> None:
        ended = now - self._settings.keep_ended * DAY
        await session.execute(delete(TemporaryToken).where(TemporaryToken.expires_at < now))
        await session.execute(
            delete(FinalToken).where(or_(FinalToken.expires_at < ended, FinalToken.revoked_at < ended))
        )


def _token_context(token: str) -> str:
    return f"ws_token.secret:{token}"

"""Keeps consumers and tokens, on the gateway's database, which must be up to date."""

import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm.attributes import flag_modified
from sqlalchemy.orm.exc import StaleDataError

from opx.gateway.models import Setting
from opx.gateway.webservices.models import Consumer, FinalToken, Grant, TemporaryToken
from opx.gateway.webservices.records import (
    RESOURCES,
    ConsumerRecord,
    ConsumerSpec,
    FinalRecord,
    Outdated,
    Permission,
    TemporaryRecord,
    Unknown,
    WebServicesError,
)
from opx.gateway.webservices.settings import WebServicesSettings
from opx.store.engine import for_reading
from opx.store.secrets import Sealer

SECRET_BYTES = 32
VERIFIER_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without what looks like something else: a verifier may have to be read out."""
VERIFIER_LENGTH = 16
"""Of 5 bits each."""
DAY = 86_400.0
_SWITCH = "web_services"
_STARTED = "started"


class WebServicesRepository:
    """What administrators see and do; `exchange.TokenExchange` is the consumers' side of the same tables."""

    def __init__(
        self, engine: AsyncEngine, sealer: Sealer, settings: WebServicesSettings, clock: Callable[[], float] = time.time
    ) -> None:
        self.engine = engine
        self.sealer = sealer
        self.settings = settings
        self.clock = clock
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)
        self._reading = async_sessionmaker(for_reading(engine), expire_on_commit=False)

    # --- the switch

    async def started(self) -> bool:
        async with self._reading() as session:
            row = await session.get(Setting, _SWITCH)
            return row is not None and row.value == _STARTED

    async def set_started(self, started: bool) -> None:
        async with self.writing() as session:
            await session.merge(Setting(key=_SWITCH, value=_STARTED if started else "stopped"))

    # --- consumers

    async def consumers(self) -> list[ConsumerRecord]:
        async with self._reading() as session:
            return [consumer_record(row) for row in await session.scalars(select(Consumer).order_by(Consumer.name))]

    async def consumer(self, key: int) -> ConsumerRecord:
        """Unknown."""
        async with self._reading() as session:
            return consumer_record(await _consumer(session, key))

    async def add_consumer(self, spec: ConsumerSpec) -> tuple[ConsumerRecord, str]:
        """With the shared secret, which is not shown again. WebServicesError."""
        spec.check()
        secret = made_up_secret()
        async with self.writing() as session:
            await _not_taken(session, spec.consumer_id, None)
            row = Consumer(grants=[], created_at=self.clock(), secret=self._sealed(secret, spec.consumer_id))
            _put(row, spec)
            session.add(row)
            await session.flush()
            return consumer_record(row), secret

    async def change_consumer(self, key: int, spec: ConsumerSpec, version: int) -> ConsumerRecord:
        """Unknown, Outdated when `version` is not the one it has now, WebServicesError."""
        spec.check()
        async with self.writing() as session:
            row = await _consumer(session, key, version)
            await _not_taken(session, spec.consumer_id, row)
            if row.consumer_id != spec.consumer_id:
                secret = self.sealer.open(row.secret, secret_context(row.consumer_id))
                row.secret = self._sealed(secret, spec.consumer_id)
            _put(row, spec)
            await session.flush()
            return consumer_record(row)

    async def new_secret(self, key: int) -> tuple[ConsumerRecord, str]:
        """Another shared secret in the place of the one before; what is signed with that is refused from now on.

        Unknown.
        """
        secret = made_up_secret()
        async with self.writing() as session:
            row = await _consumer(session, key)
            row.secret = self._sealed(secret, row.consumer_id)
            await session.flush()
            return consumer_record(row), secret

    async def remove_consumer(self, key: int) -> ConsumerRecord:
        """With all its tokens. Unknown."""
        async with self.writing() as session:
            row = await _consumer(session, key)
            record = consumer_record(row)
            await session.delete(row)
            return record

    # --- tokens

    async def temporary_tokens(self) -> list[TemporaryRecord]:
        """Those that can still become final ones, the newest first."""
        query = select(TemporaryToken, Consumer).join(Consumer, Consumer.id == TemporaryToken.consumer)
        query = query.where(TemporaryToken.expires_at > self.clock(), TemporaryToken.used_at.is_(None))
        async with self._reading() as session:
            rows = await session.execute(query.order_by(TemporaryToken.id.desc()))
            return [self.temporary_record(token, consumer) for token, consumer in rows]

    async def approve(self, key: int) -> TemporaryRecord:
        """Give a temporary token its verifier; once more gives the same. Unknown when it is gone, used or expired."""
        async with self.writing() as session:
            row = await session.get(TemporaryToken, key)
            if row is None or row.used_at is not None or row.expires_at <= self.clock():
                raise Unknown("this temporary token is gone; the consumer has to ask for a new one")
            if row.verifier is None:
                verifier = "".join(secrets.choice(VERIFIER_ALPHABET) for _ in range(VERIFIER_LENGTH))
                row.verifier = self.sealer.seal(verifier, verifier_context(row.token))
            await session.flush()
            return self.temporary_record(row, await session.get_one(Consumer, row.consumer))

    async def deny(self, key: int) -> TemporaryRecord:
        """Remove a temporary token. Unknown."""
        async with self.writing() as session:
            row = await session.get(TemporaryToken, key)
            if row is None:
                raise Unknown("this temporary token is gone")
            record = self.temporary_record(row, await session.get_one(Consumer, row.consumer))
            await session.delete(row)
            return record

    async def final_tokens(self) -> list[FinalRecord]:
        """The newest first; expired and revoked ones stay to be seen for `settings.keep_ended` days."""
        query = select(FinalToken, Consumer).join(Consumer, Consumer.id == FinalToken.consumer)
        async with self._reading() as session:
            rows = await session.execute(query.order_by(FinalToken.id.desc()))
            return [final_record(token, consumer) for token, consumer in rows]

    async def renew(self, key: int) -> FinalRecord:
        """Let a token hold for the whole time again, from now on. Unknown; WebServicesError when it was revoked."""
        async with self.writing() as session:
            row, consumer = await _final(session, key)
            if row.revoked_at is not None:
                raise WebServicesError("this token was revoked; expected the consumer to ask for a new one")
            row.expires_at = self.clock() + self.settings.token_days * DAY
            return final_record(row, consumer)

    async def revoke(self, key: int) -> FinalRecord:
        """Nothing is let in with it any more. Unknown."""
        async with self.writing() as session:
            row, consumer = await _final(session, key)
            if row.revoked_at is None:
                row.revoked_at = self.clock()
            return final_record(row, consumer)

    # --- helpers

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        try:
            async with self._sessions.begin() as session:
                yield session
        except (StaleDataError, IntegrityError):
            raise Outdated("somebody else changed this at the same moment; try again") from None

    def reading(self) -> AsyncSession:
        return self._reading()

    def temporary_record(self, row: TemporaryToken, consumer: Consumer) -> TemporaryRecord:
        verifier = self.sealer.open(row.verifier, verifier_context(row.token)) if row.verifier is not None else None
        return TemporaryRecord(
            row.id,
            consumer_record(consumer),
            row.token,
            row.source,
            row.created_at,
            row.expires_at,
            verifier,
            row.used_at is not None,
        )

    def _sealed(self, secret: str, consumer_id: str) -> bytes:
        return self.sealer.seal(secret, secret_context(consumer_id))


def made_up_secret() -> str:
    """256 bits; OAuth has to encode none of its characters."""
    return secrets.token_urlsafe(SECRET_BYTES)


def secret_context(consumer_id: str) -> str:
    return f"ws_consumer.secret:{consumer_id}"


def verifier_context(token: str) -> str:
    return f"ws_temporary_token.verifier:{token}"


def consumer_record(row: Consumer) -> ConsumerRecord:
    granted = {grant.resource: Permission(grant.permission) for grant in row.grants}
    permissions = {resource: granted.get(resource, Permission.NONE) for resource in RESOURCES}
    return ConsumerRecord(row.id, row.active, row.name, row.consumer_id, permissions, row.created_at, row.version)


def final_record(row: FinalToken, consumer: Consumer) -> FinalRecord:
    return FinalRecord(
        row.id,
        consumer_record(consumer),
        row.token,
        row.created_at,
        row.expires_at,
        row.last_used_at,
        row.last_source,
        row.revoked_at is not None,
    )


def _put(row: Consumer, spec: ConsumerSpec) -> None:
    row.active, row.name, row.consumer_id = spec.active, spec.name, spec.consumer_id
    wanted = spec.grants
    known = {grant.resource: grant for grant in row.grants}
    if {resource: Permission(grant.permission) for resource, grant in known.items()} != wanted:
        row.grants = [known.get(resource, Grant(resource=resource)) for resource in wanted]
        for grant in row.grants:
            grant.permission = wanted[grant.resource].value
        # They are rows of another table, and yet the consumer is what has changed: its version has to say so.
        flag_modified(row, "name")


async def _consumer(session: AsyncSession, key: int, version: int | None = None) -> Consumer:
    row = await session.get(Consumer, key)
    if row is None:
        raise Unknown("this consumer is gone")
    if version is not None and row.version != version:
        raise Outdated(f"consumer {row.name} was changed meanwhile; look at it again")
    return row


async def _not_taken(session: AsyncSession, consumer_id: str, by: Consumer | None) -> None:
    row = await session.scalar(select(Consumer).where(Consumer.consumer_id == consumer_id))
    if row is not None and row is not by:
        raise WebServicesError(f"consumer {row.name} has the ConsumerID {consumer_id} already", "consumer_id")


async def _final(session: AsyncSession, key: int) -> tuple[FinalToken, Consumer]:
    row = await session.get(FinalToken, key)
    if row is None:
        raise Unknown("this token is gone")
    return row, await session.get_one(Consumer, row.consumer)

"""Consumers, their tokens, and the nonces of their requests. Secrets are sealed: HMAC needs them in clear.

Times are seconds since 1970.
"""

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from opx.gateway.models import Base


class Consumer(Base):
    """A program that may ask for tokens. `version` is raised by every write."""

    __tablename__ = "ws_consumer"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    active: Mapped[bool]
    name: Mapped[str] = mapped_column(String(128))
    consumer_id: Mapped[str] = mapped_column(String(64), unique=True)
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[float]
    version: Mapped[int] = mapped_column(server_default="1")
    grants: Mapped[list["Grant"]] = relationship(
        order_by="Grant.resource", cascade="all, delete-orphan", passive_deletes=True, lazy="selectin"
    )

    __mapper_args__ = {"version_id_col": version}


class Grant(Base):
    """What a consumer may do with one resource; no row: nothing."""

    __tablename__ = "ws_grant"
    __table_args__ = (CheckConstraint("permission IN ('read', 'read-write')", name="permission"),)

    consumer: Mapped[int] = mapped_column(ForeignKey("ws_consumer.id", ondelete="CASCADE"), primary_key=True)
    resource: Mapped[str] = mapped_column(String(64), primary_key=True)
    permission: Mapped[str] = mapped_column(String(16))


class TemporaryToken(Base):
    """A request for access. `verifier` is sealed, and there once the request is approved; `used_at` once it has become
    a final token, or was guessed at too often."""

    __tablename__ = "ws_temporary_token"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    consumer: Mapped[int] = mapped_column(ForeignKey("ws_consumer.id", ondelete="CASCADE"), index=True)
    token: Mapped[str] = mapped_column(String(64), unique=True)
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    source: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[float]
    expires_at: Mapped[float]
    verifier: Mapped[bytes | None] = mapped_column(LargeBinary)
    wrong_verifiers: Mapped[int]
    used_at: Mapped[float | None]


class FinalToken(Base):
    """An access token. `revoked_at` empty: it holds until `expires_at`."""

    __tablename__ = "ws_final_token"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    consumer: Mapped[int] = mapped_column(ForeignKey("ws_consumer.id", ondelete="CASCADE"), index=True)
    token: Mapped[str] = mapped_column(String(64), unique=True)
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[float]
    expires_at: Mapped[float]
    last_used_at: Mapped[float | None]
    last_source: Mapped[str] = mapped_column(String(64))
    revoked_at: Mapped[float | None]


class Nonce(Base):
    """A request that was taken: the SHA-256 of what may occur once, and the request's own time."""

    __tablename__ = "ws_nonce"
    __table_args__ = (Index("ix_ws_nonce_consumer_at", "consumer", "at"), Index("ix_ws_nonce_at", "at"))

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    consumer: Mapped[int] = mapped_column(ForeignKey("ws_consumer.id", ondelete="CASCADE"))
    at: Mapped[float]

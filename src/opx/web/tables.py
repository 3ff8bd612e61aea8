"""The tables of a console's people, in whichever database its program has. No column holds a secret in clear."""

from sqlalchemy import Column, Double, ForeignKey, Index, Integer, MetaData, String, Table

MAX_USER_NAME = 64
MAX_SOURCE = 64
MAX_ACTION = 64
MAX_TARGET = 255
MAX_DETAIL = 2000


class ConsoleTables:
    """`user`, `session`, `link` and `audit` in a program's metadata; times in seconds since 1970."""

    def __init__(self, metadata: MetaData) -> None:
        self.user = Table(
            "console_user",
            metadata,
            Column("id", Integer, primary_key=True),
            Column("name", String(MAX_USER_NAME), nullable=False, unique=True),
            Column("role", String(16), nullable=False),
            # Empty: no password yet, or none any more; only a link lets in.
            Column("password_hash", String(255), nullable=False),
            Column("created_at", Double, nullable=False),
            Column("signed_in_at", Double),
            Column("version", Integer, nullable=False),
        )
        owner = ForeignKey("console_user.id", ondelete="CASCADE")
        self.session = Table(
            "console_session",
            metadata,
            Column("id_hash", String(64), primary_key=True),
            Column("user_id", Integer, owner, nullable=False),
            Column("source", String(MAX_SOURCE), nullable=False),
            Column("created_at", Double, nullable=False),
            Column("seen_at", Double, nullable=False),
            Index("ix_console_session_user_id", "user_id"),
        )
        # Without a user: the first administrator's, who is yet to choose a name.
        self.link = Table(
            "console_link",
            metadata,
            Column("token_hash", String(64), primary_key=True),
            Column("user_id", Integer, ForeignKey("console_user.id", ondelete="CASCADE")),
            Column("expires_at", Double, nullable=False),
        )
        self.audit = Table(
            "console_audit",
            metadata,
            Column("id", Integer, primary_key=True),
            Column("at", Double, nullable=False),
            Column("user", String(MAX_USER_NAME), nullable=False),
            Column("source", String(MAX_SOURCE), nullable=False),
            Column("action", String(MAX_ACTION), nullable=False),
            Column("target", String(MAX_TARGET), nullable=False),
            Column("detail", String(MAX_DETAIL), nullable=False),
            Index("ix_console_audit_at", "at"),
        )

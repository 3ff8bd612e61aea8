"""Consumers of the web services, their tokens, and the nonces of their requests"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ws_consumer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("consumer_id", sa.String(length=64), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ws_consumer")),
        sa.UniqueConstraint("consumer_id", name=op.f("uq_ws_consumer_consumer_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "ws_grant",
        sa.Column("consumer", sa.Integer(), nullable=False),
        sa.Column("resource", sa.String(length=64), nullable=False),
        sa.Column("permission", sa.String(length=16), nullable=False),
        sa.CheckConstraint("permission IN ('read', 'read-write')", name=op.f("ck_ws_grant_permission")),
        sa.ForeignKeyConstraint(
            ["consumer"], ["ws_consumer.id"], name=op.f("fk_ws_grant_consumer"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("consumer", "resource", name=op.f("pk_ws_grant")),
    )
    op.create_table(
        "ws_temporary_token",
        *token_columns("ws_temporary_token"),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("verifier", sa.LargeBinary(), nullable=True),
        sa.Column("wrong_verifiers", sa.Integer(), nullable=False),
        sa.Column("used_at", sa.Double(), nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "ws_final_token",
        *token_columns("ws_final_token"),
        sa.Column("last_used_at", sa.Double(), nullable=True),
        sa.Column("last_source", sa.String(length=64), nullable=False),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "ws_nonce",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("consumer", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["consumer"], ["ws_consumer.id"], name=op.f("fk_ws_nonce_consumer"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_ws_nonce")),
    )
    for table in ("ws_temporary_token", "ws_final_token"):
        op.create_index(op.f(f"ix_{table}_consumer"), table, ["consumer"])
    op.create_index("ix_ws_nonce_consumer_at", "ws_nonce", ["consumer", "at"])
    op.create_index("ix_ws_nonce_at", "ws_nonce", ["at"])


def token_columns(table: str) -> tuple[sa.schema.SchemaItem, ...]:
    """What both kinds of tokens have."""
    return (
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("consumer", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["consumer"], ["ws_consumer.id"], name=op.f(f"fk_{table}_consumer"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint("token", name=op.f(f"uq_{table}_token")),
    )


def downgrade() -> None:
    for table in ("ws_nonce", "ws_final_token", "ws_temporary_token", "ws_grant", "ws_consumer"):
        op.drop_table(table)

"""Profiles and firmware"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "firmware",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(length=16), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("added_at", sa.Double(), nullable=False),
        sa.Column("added_by", sa.String(length=64), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_firmware")),
        sa.UniqueConstraint("model", "version", name=op.f("uq_firmware_model")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "profile",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("compress", sa.Boolean(), nullable=False),
        sa.Column("hot_desking", sa.Boolean(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_profile")),
        sa.UniqueConstraint("kind", "name", name=op.f("uq_profile_kind")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "profile_key",
        sa.Column("profile_id", sa.Integer(), nullable=False),
        sa.Column("location", sa.String(length=8), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("value", sa.String(length=255), nullable=False),
        sa.Column("label", sa.String(length=32), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("states", sa.String(length=64), nullable=False),
        sa.Column("free", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["profile_id"], ["profile.id"], name=op.f("fk_profile_key_profile_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("profile_id", "location", "number", name=op.f("pk_profile_key")),
    )
    op.create_table(
        "profile_parameter",
        sa.Column("profile_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=512), nullable=False),
        sa.ForeignKeyConstraint(
            ["profile_id"], ["profile.id"], name=op.f("fk_profile_parameter_profile_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("profile_id", "name", name=op.f("pk_profile_parameter")),
    )
    op.create_table(
        "profile_use",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("target", sa.String(length=16), nullable=False),
        sa.Column("profile_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["profile_id"], ["profile.id"], name=op.f("fk_profile_use_profile_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("kind", "scope", "target", name=op.f("pk_profile_use")),
    )
    with op.batch_alter_table("profile_use", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_profile_use_profile_id"), ["profile_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("profile_use", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_profile_use_profile_id"))

    op.drop_table("profile_use")
    op.drop_table("profile_parameter")
    op.drop_table("profile_key")
    op.drop_table("profile")
    op.drop_table("firmware")

"""Users of the office"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "site_user",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("folded", sa.String(length=128), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("full_name", sa.String(length=64), nullable=False),
        sa.Column("business_unit", sa.String(length=64), nullable=False),
        sa.Column("client_profile", sa.String(length=64), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_site_user")),
        sa.UniqueConstraint("folded", name=op.f("uq_site_user_folded")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "site_user_extension",
        sa.Column("extension_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["extension_id"], ["sip_extension.id"], name=op.f("fk_site_user_extension_extension_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["site_user.id"], name=op.f("fk_site_user_extension_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("extension_id", name=op.f("pk_site_user_extension")),
    )
    with op.batch_alter_table("site_user_extension", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_site_user_extension_user_id"), ["user_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("site_user_extension", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_site_user_extension_user_id"))

    op.drop_table("site_user_extension")
    op.drop_table("site_user")

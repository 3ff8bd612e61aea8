"""What phones log"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "phone_log_line",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("mac", sa.String(length=12), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("text", sa.String(length=512), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_phone_log_line")),
    )
    with op.batch_alter_table("phone_log_line", schema=None) as batch_op:
        batch_op.create_index("ix_phone_log_mac_at", ["mac", "at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("phone_log_line", schema=None) as batch_op:
        batch_op.drop_index("ix_phone_log_mac_at")

    op.drop_table("phone_log_line")

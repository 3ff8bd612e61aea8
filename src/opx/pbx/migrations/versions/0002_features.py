"""What every extension has switched on"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "features",
        sa.Column("number", sa.String(length=16), nullable=False),
        sa.Column("dnd", sa.Boolean(), nullable=False),
        sa.Column("forward_all", sa.String(length=16), nullable=False),
        sa.Column("forward_busy", sa.String(length=16), nullable=False),
        sa.Column("forward_no_answer", sa.String(length=16), nullable=False),
        sa.Column("new_messages", sa.Integer(), nullable=False),
        sa.Column("old_messages", sa.Integer(), nullable=False),
        sa.Column("pickup_group", sa.String(length=16), nullable=False),
        sa.Column("pin", sa.String(length=128), nullable=False),
        sa.Column("phone", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(["number"], ["extension.number"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("number"),
    )


def downgrade() -> None:
    op.drop_table("features")

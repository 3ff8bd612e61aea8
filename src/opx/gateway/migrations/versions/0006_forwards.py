"""Port forwarding rules"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "forward",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("protocol", sa.String(length=3), nullable=False),
        sa.Column("ports", sa.String(length=1024), nullable=False),
        sa.Column("host", sa.String(length=15), nullable=False),
        sa.Column("host_port", sa.Integer(), nullable=True),
        sa.Column("snat", sa.Boolean(), nullable=False),
        sa.Column("sources", sa.String(length=2048), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("forced", sa.Boolean(), nullable=False),
        sa.CheckConstraint("protocol IN ('TCP', 'UDP')", name=op.f("ck_forward_protocol")),
        sa.CheckConstraint("host_port BETWEEN 1 AND 65535", name=op.f("ck_forward_host_port")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forward")),
    )


def downgrade() -> None:
    op.drop_table("forward")

"""Call records, the messages of calls, and alarms"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "call_record",
        sa.Column("call_id", sa.String(length=64), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("device", sa.String(length=128), nullable=False),
        sa.Column("icp", sa.String(length=64), nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("caller", sa.String(length=128), nullable=False),
        sa.Column("callee", sa.String(length=128), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("rang_at", sa.Double(), nullable=False),
        sa.Column("answered_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("ended_by", sa.String(length=16), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=255), nullable=False),
        sa.Column("phone", sa.String(length=80), nullable=False),
        sa.Column("user_agent", sa.String(length=255), nullable=False),
        sa.Column("node", sa.String(length=80), nullable=False),
        sa.Column("codec", sa.String(length=64), nullable=False),
        sa.Column("media", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_call_record")),
    )
    op.create_index("ix_call_record_started_at", "call_record", ["started_at"])
    op.create_index("ix_call_record_device_started", "call_record", ["device_id", "started_at"])
    op.create_table(
        "call_ladder",
        sa.Column("call_id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("failed", sa.Boolean(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_call_ladder")),
    )
    op.create_index("ix_call_ladder_at", "call_ladder", ["at"])
    op.create_table(
        "alarm",
        sa.Column("alarm_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("cause", sa.String(length=500), nullable=False),
        sa.Column("raised_at", sa.Double(), nullable=False),
        sa.Column("cleared_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("alarm_id", name=op.f("pk_alarm")),
    )
    op.create_index("ix_alarm_raised_at", "alarm", ["raised_at"])


def downgrade() -> None:
    for table in ("alarm", "call_ladder", "call_record"):
        op.drop_table(table)

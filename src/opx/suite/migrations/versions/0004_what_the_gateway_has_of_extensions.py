"""What the gateway has of extensions"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "provision",
        sa.Column("extension_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("error", sa.String(length=512), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try", sa.Double(), nullable=True),
        sa.Column("changed_at", sa.Double(), nullable=False),
        sa.Column("gateway", sa.String(length=64), nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=True),
        sa.Column("owned", sa.Boolean(), nullable=False),
        sa.Column("creating", sa.Boolean(), nullable=False),
        sa.Column("set_username", sa.String(length=128), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("device_revision", sa.Integer(), nullable=False),
        sa.Column("device_version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("extension_id", name=op.f("pk_provision")),
    )
    with op.batch_alter_table("provision", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_provision_state"), ["state"], unique=False)

    op.create_table(
        "provisioning_run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("trouble", sa.String(length=512), nullable=False),
        sa.Column("since", sa.Double(), nullable=True),
        sa.Column("next_try", sa.Double(), nullable=True),
        sa.Column("looked_at", sa.Double(), nullable=True),
        sa.Column("token_note", sa.String(length=512), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_provisioning_run_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provisioning_run")),
    )


def downgrade() -> None:
    op.drop_table("provisioning_run")
    with op.batch_alter_table("provision", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_provision_state"))

    op.drop_table("provision")

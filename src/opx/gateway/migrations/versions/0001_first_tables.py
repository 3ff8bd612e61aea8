"""ICPs, devices, bindings, timelines and settings"""

import sqlalchemy as sa
from alembic import op

from opx.store.engine import BIG_ID

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "icp",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("transport", sa.String(length=8), nullable=False),
        sa.CheckConstraint("transport IN ('UDP', 'TCP')", name=op.f("ck_icp_transport")),
        sa.CheckConstraint("port BETWEEN 1 AND 65535", name=op.f("ck_icp_port")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_icp")),
        sa.UniqueConstraint("name", name=op.f("uq_icp_name")),
    )
    op.create_table(
        "setting",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=1024), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_setting")),
    )
    op.create_table(
        "device",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("icp_id", sa.Integer(), nullable=False),
        sa.Column("set_username", sa.String(length=128), nullable=False),
        sa.Column("set_ha1", sa.LargeBinary(), nullable=False),
        sa.Column("icp_username", sa.String(length=128), nullable=False),
        sa.Column("icp_password", sa.LargeBinary(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["icp_id"], ["icp.id"], name=op.f("fk_device_icp_id"), ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device")),
        sa.UniqueConstraint("set_username", name=op.f("uq_device_set_username")),
    )
    with op.batch_alter_table("device", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_device_icp_id"), ["icp_id"], unique=False)

    op.create_table(
        "binding",
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("contact", sa.String(length=512), nullable=False),
        sa.Column("instance", sa.String(length=255), nullable=False),
        sa.Column("transport", sa.String(length=8), nullable=False),
        sa.Column("remote_host", sa.String(length=64), nullable=False),
        sa.Column("remote_port", sa.Integer(), nullable=False),
        sa.Column("call_id", sa.String(length=255), nullable=False),
        sa.Column("cseq", sa.Integer(), nullable=False),
        sa.Column("user_agent", sa.String(length=255), nullable=False),
        sa.Column("registered_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name=op.f("fk_binding_device_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("device_id", "contact", name=op.f("pk_binding")),
    )
    op.create_table(
        "icp_binding",
        sa.Column("device_id", sa.Integer(), nullable=False),
        sa.Column("call_id", sa.String(length=255), nullable=False),
        sa.Column("cseq", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["device.id"], name=op.f("fk_icp_binding_device_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_icp_binding")),
    )
    op.create_table(
        "timeline_entry",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("device_id", sa.Integer(), nullable=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("text", sa.String(length=512), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["device.id"], name=op.f("fk_timeline_entry_device_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_timeline_entry")),
    )
    with op.batch_alter_table("timeline_entry", schema=None) as batch_op:
        batch_op.create_index("ix_timeline_device_at", ["device_id", "at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("timeline_entry", schema=None) as batch_op:
        batch_op.drop_index("ix_timeline_device_at")

    op.drop_table("timeline_entry")
    op.drop_table("icp_binding")
    op.drop_table("binding")
    with op.batch_alter_table("device", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_device_icp_id"))

    op.drop_table("device")
    op.drop_table("setting")
    op.drop_table("icp")

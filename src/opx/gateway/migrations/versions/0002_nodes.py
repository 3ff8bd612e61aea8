"""Further nodes of an ICP, and ICPs whose port SRV records say"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def checks() -> tuple[sa.CheckConstraint, ...]:
    """The ICP table's, which SQLite's copy of it would lose."""
    return (
        sa.CheckConstraint("transport IN ('UDP', 'TCP')", name=op.f("ck_icp_transport")),
        sa.CheckConstraint("port BETWEEN 1 AND 65535", name=op.f("ck_icp_port")),
    )


def upgrade() -> None:
    with op.batch_alter_table("icp", table_args=checks()) as batch_op:
        batch_op.alter_column("port", existing_type=sa.Integer(), nullable=True)
    op.create_table(
        "icp_node",
        sa.Column("icp_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("port", sa.Integer(), nullable=True),
        sa.Column("transport", sa.String(length=8), nullable=False),
        sa.CheckConstraint("transport IN ('UDP', 'TCP')", name=op.f("ck_icp_node_transport")),
        sa.CheckConstraint("port BETWEEN 1 AND 65535", name=op.f("ck_icp_node_port")),
        sa.ForeignKeyConstraint(["icp_id"], ["icp.id"], name=op.f("fk_icp_node_icp_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("icp_id", "position", name=op.f("pk_icp_node")),
    )


def downgrade() -> None:
    op.drop_table("icp_node")
    op.execute("UPDATE icp SET port = 5060 WHERE port IS NULL")
    with op.batch_alter_table("icp", table_args=checks()) as batch_op:
        batch_op.alter_column("port", existing_type=sa.Integer(), nullable=False)

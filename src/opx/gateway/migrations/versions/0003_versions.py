"""Versions of ICPs and devices, and ids that are never used again"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def checks(table: str) -> tuple[sa.CheckConstraint, ...]:
    """A table's checks, which SQLite's copy of it would lose."""
    if table != "icp":
        return ()
    return (
        sa.CheckConstraint("transport IN ('UDP', 'TCP')", name=op.f("ck_icp_transport")),
        sa.CheckConstraint("port BETWEEN 1 AND 65535", name=op.f("ck_icp_port")),
    )


def upgrade() -> None:
    copied = op.get_bind().dialect.name == "sqlite"
    for table in ("icp", "device"):
        # SQLite gives the highest id of a table anew when its row was deleted, unless the table says otherwise.
        with op.batch_alter_table(
            table,
            recreate="always" if copied else "never",
            table_args=checks(table),
            table_kwargs={"sqlite_autoincrement": True},
        ) as batch_op:
            batch_op.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.create_index(op.f("ix_device_icp_username"), "device", ["icp_username"])


def downgrade() -> None:
    op.drop_index(op.f("ix_device_icp_username"), "device")
    for table in ("device", "icp"):
        with op.batch_alter_table(table, table_args=checks(table)) as batch_op:
            batch_op.drop_column("version")

"""Phones, their one-time codes, and alarms"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
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
    with op.batch_alter_table("alarm", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_alarm_raised_at"), ["raised_at"], unique=False)

    op.create_table(
        "one_time_code",
        sa.Column("extension_id", sa.Integer(), nullable=False),
        sa.Column("verifier_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("redeemed_by", sa.String(length=12), nullable=False),
        sa.ForeignKeyConstraint(
            ["extension_id"], ["sip_extension.id"], name=op.f("fk_one_time_code_extension_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("extension_id", name=op.f("pk_one_time_code")),
    )
    op.create_table(
        "phone",
        sa.Column("mac", sa.String(length=12), nullable=False),
        sa.Column("model", sa.String(length=16), nullable=False),
        sa.Column("firmware", sa.String(length=32), nullable=False),
        sa.Column("user_agent", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("side", sa.String(length=16), nullable=False),
        sa.Column("extension_id", sa.Integer(), nullable=True),
        sa.Column("hot_desk_id", sa.Integer(), nullable=True),
        sa.Column("digest_user", sa.String(length=40), nullable=False),
        sa.Column("digest_password_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("admin_password_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("user_password_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("bound_at", sa.Double(), nullable=True),
        sa.Column("bound_source", sa.String(length=64), nullable=False),
        sa.Column("window_until", sa.Double(), nullable=True),
        sa.Column("window_source", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("first_seen", sa.Double(), nullable=True),
        sa.Column("last_seen", sa.Double(), nullable=True),
        sa.Column("delivered", sa.String(length=32), nullable=False),
        sa.Column("delivered_at", sa.Double(), nullable=True),
        sa.Column("configuration_profile_id", sa.Integer(), nullable=True),
        sa.Column("keymap_profile_id", sa.Integer(), nullable=True),
        sa.Column("certificate_subject", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["extension_id"], ["sip_extension.id"], name=op.f("fk_phone_extension_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["hot_desk_id"], ["sip_extension.id"], name=op.f("fk_phone_hot_desk_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("mac", name=op.f("pk_phone")),
        sa.UniqueConstraint("extension_id", name=op.f("uq_phone_extension_id")),
        sa.UniqueConstraint("hot_desk_id", name=op.f("uq_phone_hot_desk_id")),
    )
    with op.batch_alter_table("phone", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_phone_state"), ["state"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("phone", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_phone_state"))

    op.drop_table("phone")
    op.drop_table("one_time_code")
    with op.batch_alter_table("alarm", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_alarm_raised_at"))

    op.drop_table("alarm")

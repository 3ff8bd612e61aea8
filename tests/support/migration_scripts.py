"""Small migrations to try bringing databases up to date with."""

from pathlib import Path

ENV = """\
from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
"""
FIRST = """\
import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    op.create_table("parent", sa.Column("id", sa.Integer(), primary_key=True))
    op.create_table(
        "child",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("parent_id", sa.Integer(), sa.ForeignKey("parent.id", ondelete="CASCADE")),
    )
    op.execute("INSERT INTO parent VALUES (1)")
    op.execute("INSERT INTO child VALUES (1, 1)")
"""
COPYING = """\
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    copied = op.get_bind().dialect.name == "sqlite"
    with op.batch_alter_table("parent", recreate="always" if copied else "never") as batch:
        batch.add_column(sa.Column("name", sa.String(8)))
"""
FAILING = """\
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.create_table("half", sa.Column("id", sa.Integer()))
    op.execute("INSERT INTO nowhere VALUES (1)")
"""
ORPHANING = """\
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.execute("DELETE FROM parent")
"""


def scripts_of(folder: Path, *versions: str) -> Path:
    (folder / "versions").mkdir(parents=True, exist_ok=True)
    (folder / "env.py").write_text(ENV)
    for number, text in enumerate(versions, 1):
        (folder / "versions" / f"{number:04}.py").write_text(text)
    return folder

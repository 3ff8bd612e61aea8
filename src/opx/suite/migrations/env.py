"""Alembic's entry: runs on the connection that the program has open already."""

from alembic import context

from opx.suite.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
)
context.run_migrations()

"""Alembic's entry: runs on the connection that the program has open already."""

from alembic import context

from opx.pbx.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
context.run_migrations()

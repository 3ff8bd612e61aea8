"""Alembic's entry: runs on the connection that the program has open already."""

from alembic import context

from opx.gateway.console.models import CONSOLE
from opx.gateway.models import Base

# Rooms that keep tables of their own name them here, so that all are part of the metadata.
ROOMS = (CONSOLE,)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
context.run_migrations()

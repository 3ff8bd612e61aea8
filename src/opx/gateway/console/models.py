"""The console's people in the gateway's database."""

from opx.gateway.models import Base
from opx.web.tables import ConsoleTables

CONSOLE = ConsoleTables(Base.metadata)

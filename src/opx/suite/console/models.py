"""The console's people in the suite's database."""

from opx.suite.models import Base
from opx.web.tables import ConsoleTables

CONSOLE = ConsoleTables(Base.metadata)

"""All tables of the gateway's database: every room that keeps some of its own is named here, and nowhere else."""

from opx.gateway.console.models import CONSOLE
from opx.gateway.faults import models as faults
from opx.gateway.forwarding import models as forwarding
from opx.gateway.models import Base
from opx.gateway.webservices import models as web_services

ROOMS = (CONSOLE, faults, forwarding, web_services)
METADATA = Base.metadata

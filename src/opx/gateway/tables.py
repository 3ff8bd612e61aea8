"""All tables of the gateway's database: every room that keeps some of its own is named here, and nowhere else."""

from opx.gateway.console.models import CONSOLE
from opx.gateway.forwarding import models as forwarding
from opx.gateway.models import Base
from opx.gateway.webservices import models as web_services

ROOMS = (CONSOLE, forwarding, web_services)
METADATA = Base.metadata

"""All tables of the suite's database: every room that keeps some of its own is named here, and nowhere else."""

from opx.suite.console.models import CONSOLE
from opx.suite.firmware import models as firmware
from opx.suite.handsets import models as handsets
from opx.suite.models import Base
from opx.suite.profiles import models as profiles
from opx.suite.provisioning import models as provisioning
from opx.suite.sites import models as sites
from opx.suite.syslog import models as syslog
from opx.suite.users import models as users

ROOMS = (CONSOLE, sites, handsets, syslog, provisioning, users, profiles, firmware)
METADATA = Base.metadata

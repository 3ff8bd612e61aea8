"""What the console's pages work with."""

from dataclasses import dataclass

from opx.kept.bulletin import Bulletin
from opx.suite.settings import SuiteSettings
from opx.suite.sites.repository import SiteRepository
from opx.suite.timeline import Timeline
from opx.web.console import Console


@dataclass(frozen=True)
class Desk:
    """`bulletin` is where a page says what it has changed: see `opx.suite.topics`."""

    console: Console
    sites: SiteRepository
    timeline: Timeline
    bulletin: Bulletin
    settings: SuiteSettings

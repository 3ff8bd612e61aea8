"""What a room that serves phones something of its own works with; see `rooms`."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from opx.kept.bulletin import Bulletin
from opx.suite.gateway_link.link import GatewayLink
from opx.suite.handsets.book import Book
from opx.suite.handsets.http import Routes
from opx.suite.handsets.profiles import NoProfiles, ProfileSource
from opx.suite.handsets.repository import PhoneRepository
from opx.suite.settings import SuiteSettings
from opx.suite.sites.repository import SiteRepository
from opx.suite.timeline import Timeline


@dataclass
class House:
    """`book` is what is known, in memory; a room that has written something calls `book.put` and publishes it.

    A room adds its routes to `routes`, takes the place of `profiles`, and pushes onto `stack` what is to be stopped.
    """

    settings: SuiteSettings
    sites: SiteRepository
    phones: PhoneRepository
    timeline: Timeline
    bulletin: Bulletin
    link: GatewayLink
    book: Book
    stack: AsyncExitStack
    routes: Routes = field(default_factory=Routes)
    profiles: ProfileSource = field(default_factory=NoProfiles)
    """Asked for every approved phone's file."""

"""What a room that serves phones something of its own works with; see `rooms`."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Protocol

from opx.kept.bulletin import Bulletin
from opx.suite.gateway_link.link import GatewayLink
from opx.suite.handsets.authority import Authority
from opx.suite.handsets.book import Book
from opx.suite.handsets.code_desk import CodeDesk
from opx.suite.handsets.http import Routes
from opx.suite.handsets.profiles import NoProfiles, ProfileSource
from opx.suite.handsets.repository import PhoneRepository
from opx.suite.handsets.shelf import Shelf
from opx.suite.handsets.sides import Sides
from opx.suite.settings import SuiteSettings
from opx.suite.sites.repository import SiteRepository
from opx.suite.timeline import Timeline


@dataclass
class House:
    """`book` is what is known, in memory; a room that has written something calls `book.put` and publishes it.

    A `Room` adds its routes to `routes`, takes the place of `profiles`, and pushes onto `stack` what is to be stopped.
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
    notices: list[str] = field(default_factory=list)
    """What the owner is told at the start."""


@dataclass(frozen=True)
class Inner:
    """What the server itself is made of, for rooms that ask more of it than a route."""

    shelf: Shelf
    sides: Sides
    codes: CodeDesk
    authority: Authority
    clock: Callable[[], float]


class Room(Protocol):
    """Something of its own that phones are served. All are called before the first request, in this order; a room
    may read the database in them, and later answers from memory."""

    async def furnish(self, house: House) -> None:
        """Before the server is put together: the place for `House.profiles`."""
        ...

    async def open(self, house: House, inner: Inner) -> None: ...

    async def listen(self) -> None:
        """Open sockets of its own. What is missing without them is said in `House.notices`."""
        ...

"""What phones are served beyond their configuration: each room that has something is named here."""

from collections.abc import Sequence

from opx.suite.handsets.house import Room
from opx.suite.lan.room import LanRoom
from opx.suite.phone_pages.room import PagesRoom


def rooms() -> Sequence[Room]:
    """In the order in which they are furnished and opened."""
    return (PagesRoom(), LanRoom())

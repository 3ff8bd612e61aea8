"""All rooms of the console, and the order of the menu."""

from pathlib import Path

from opx.suite.console.alarms import alarms_room
from opx.suite.console.border_gateway import border_gateway_room
from opx.suite.console.dashboard import dashboard_room
from opx.suite.console.desk import Desk
from opx.suite.console.firmware import firmware_room
from opx.suite.console.locations import locations_room
from opx.suite.console.pbxs import pbxs_room
from opx.suite.console.phones import phones_room
from opx.suite.console.profiles import profiles_room
from opx.suite.console.provisioning import provisioning_room
from opx.suite.console.site_users import site_users_room
from opx.suite.console.stages import stages_room
from opx.web.pages import Room
from opx.web.people import people_room
from opx.web.sign_in import sign_in_room

TEMPLATES = Path(__file__).parent / "templates"


def rooms(desk: Desk) -> list[Room]:
    return [
        dashboard_room(desk),
        stages_room(desk),
        phones_room(desk),
        border_gateway_room(desk),
        provisioning_room(desk),
        pbxs_room(desk),
        profiles_room(desk),
        firmware_room(desk),
        locations_room(desk),
        site_users_room(desk),
        alarms_room(desk),
        sign_in_room(desk.console),
        people_room(desk.console),
    ]

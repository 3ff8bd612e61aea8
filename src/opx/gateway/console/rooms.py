"""All rooms of the console, and the order of the menu: Dashboard, then what the guide names, then the rest."""

from pathlib import Path

from opx.gateway.console.alarms import alarms_room
from opx.gateway.console.calls import calls_room
from opx.gateway.console.dashboard import dashboard_room
from opx.gateway.console.desk import Desk
from opx.gateway.console.icps import icps_room
from opx.gateway.console.port_forwarding import port_forwarding_room
from opx.gateway.console.settings import settings_room
from opx.gateway.console.sip_devices import sip_devices_room
from opx.gateway.console.web_services import web_services_room
from opx.web.pages import Room
from opx.web.people import people_room
from opx.web.sign_in import sign_in_room

TEMPLATES = Path(__file__).parent / "templates"


def rooms(desk: Desk) -> list[Room]:
    return [
        dashboard_room(desk),
        settings_room(desk),
        icps_room(desk),
        sip_devices_room(desk),
        port_forwarding_room(desk),
        web_services_room(desk),
        calls_room(desk),
        alarms_room(desk),
        sign_in_room(desk.console),
        people_room(desk.console),
    ]

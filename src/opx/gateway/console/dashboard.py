"""The first page: how the gateway is, at a glance."""

from fastapi import APIRouter, Request, Response

from opx.gateway.console.desk import Desk
from opx.web.pages import MenuEntry, Room


def dashboard_room(desk: Desk) -> Room:
    router = APIRouter()

    @router.get("/")
    async def dashboard(request: Request) -> Response:
        return desk.console.shell.page(request, "dashboard.html")

    return Room(router, (MenuEntry(("Dashboard",), "/", 0),))

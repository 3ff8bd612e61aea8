"""The first page: what of the site is set up, and what needs somebody's attention."""

from fastapi import APIRouter, Request, Response

from opx.suite.console.desk import Desk
from opx.suite.sites.repository import ExtensionQuery
from opx.web.pages import MenuEntry, Room


def dashboard_room(desk: Desk) -> Room:
    router = APIRouter()

    @router.get("/")
    async def dashboard(request: Request) -> Response:
        _, extensions = await desk.sites.extensions(ExtensionQuery(present=True), limit=0)
        _, teleworkers = await desk.sites.extensions(ExtensionQuery(teleworker=True), limit=0)
        counts = {"extensions": extensions, "teleworkers": teleworkers}
        return desk.console.shell.page(request, "dashboard.html", **counts)

    return Room(router, (MenuEntry(("Dashboard",), "/", 0),))

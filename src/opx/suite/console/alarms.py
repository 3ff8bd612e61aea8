"""Diagnosis > Alarms: what stands, and what stood."""

from fastapi import APIRouter, Request, Response

from opx.suite.alarms import KINDS, AlarmRepository
from opx.suite.console.desk import Desk
from opx.web.listing import Listing, ListQuery
from opx.web.pages import MenuEntry, Room

PAGE = "/alarms"


def alarms_room(desk: Desk) -> Room:
    router = APIRouter()
    alarms = AlarmRepository(desk.sites.engine)

    @router.get(PAGE)
    async def alarms_page(request: Request) -> Response:
        query = ListQuery.read(PAGE, request.query_params, ("raised_at",), descending=True)
        rows, total = await alarms.alarms(offset=query.offset, limit=query.size)
        return desk.console.shell.page(request, "alarms.html", listing=Listing(query, rows, total), kinds=KINDS)

    return Room(router, (MenuEntry(("Diagnosis", "Alarms"), PAGE, 60),))

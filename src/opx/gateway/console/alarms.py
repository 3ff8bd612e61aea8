"""Diagnosis > Alarms: what stands, what stood, how the gateway is, and what happened to it as a whole."""

from fastapi import APIRouter, Request, Response

from opx.gateway.console.desk import Desk
from opx.gateway.console.live import status_of
from opx.gateway.control.protocol import Control, ControlError
from opx.gateway.faults.kinds import KINDS
from opx.gateway.faults.repository import FaultsRepository
from opx.web.listing import Listing, ListQuery
from opx.web.pages import MenuEntry, Room

EVENTS = 50
"""Entries of the gateway's own timeline that the page shows."""
DELIVERIES = ("deliveries", "deliveries_waiting", "deliveries_dropped")


def alarms_room(desk: Desk) -> Room:
    router = APIRouter()
    faults = FaultsRepository(desk.engine)

    @router.get("/alarms")
    async def alarms_page(request: Request) -> Response:
        query = ListQuery.read("/alarms", request.query_params, ("raised_at",), descending=True)
        rows, total = await faults.alarms(offset=query.offset, limit=query.size)
        return desk.console.shell.page(
            request,
            "alarms.html",
            listing=Listing(query, rows, total),
            kinds=KINDS,
            health=await status_of(desk.control),
            deliveries=await _deliveries(desk.control),
            events=await desk.repository.timeline(None, EVENTS),
            ways=_ways(desk),
        )

    @router.post("/alarms/test")
    async def try_out(request: Request) -> Response:
        shell = desk.console.shell
        try:
            ways = await desk.control.test_alarm()
        except ControlError as error:
            shell.tell(request, f"The gateway did not send a trial alarm: {error}", kind="bad")
            return shell.go("/alarms")
        await desk.console.note(request, "sent a trial alarm", ", ".join(ways))
        if not ways:
            shell.tell(request, "Nothing is configured that an alarm could be sent by.", kind="warn")
        for way, problem in ways.items():
            if problem:
                shell.tell(request, f"The trial alarm did not arrive by {way}: {problem}.", kind="bad")
            else:
                shell.tell(request, f"The trial alarm was delivered by {way}.")
        return shell.go("/alarms")

    return Room(router, (MenuEntry(("Diagnosis", "Alarms"), "/alarms", 810),))


def _ways(desk: Desk) -> list[str]:
    """Who is told, in words."""
    alarms, hook = desk.settings.alarms, desk.settings.webhook
    told = [f"e-mail to {', '.join(alarms.email_to)}"] if alarms.email_to else []
    return [*told, "webhook"] if hook.url and "alarm" in hook.events else told


async def _deliveries(control: Control) -> dict[str, dict[str, int]]:
    """By way: how many were delivered, wait, and were given up."""
    try:
        counters = (await control.counters()).items
    except ControlError:
        return {}
    found: dict[str, dict[str, int]] = {}
    for counter in counters:
        if counter.name in DELIVERIES:
            found.setdefault(counter.labels["way"], {})[counter.name] = int(counter.value)
    return found

"""Phone Systems > Provisioning: how far the gateway agrees with the suite, and what is in the way."""

import time

from fastapi import APIRouter, Request, Response

from opx.suite.console.desk import Desk
from opx.suite.console.pbx_menu import PHONE_SYSTEMS
from opx.suite.provisioning.concerns import PAGE
from opx.suite.provisioning.records import ProvisionState, Run, amiss
from opx.suite.timeline import GATEWAY
from opx.suite.topics import PROVISION_NOW
from opx.web.forms import Form
from opx.web.listing import Listing, ListQuery
from opx.web.pages import MenuEntry, Room

EVENTS = 50
"""Entries of the gateway's timeline that the page shows."""
LISTED = amiss(True)
"""What the table can hold; the others are as they should be, and on the pages of their PBXs."""
STATES = [state.value for state in LISTED]
KINDS = {
    ProvisionState.PENDING: "warn",
    ProvisionState.PROVISIONED: "good",
    ProvisionState.FAILED: "bad",
    ProvisionState.REMOVING: "warn",
    ProvisionState.LEFT: "warn",
    ProvisionState.BY_HAND: "",
}


def provisioning_room(desk: Desk) -> Room:
    router = APIRouter()
    kept = desk.provisioning

    @router.get(PAGE)
    async def provisioning_page(request: Request) -> Response:
        query = ListQuery.read(PAGE, request.query_params, ("number",), {"state": STATES})
        chosen = query.filter("state")
        run, gateway = await kept.run(), await desk.sites.gateway.read()
        states = [state for state in amiss(gateway.rest_api) if chosen in ("", state.value)]
        rows, total = await kept.listed(states, query.size, query.offset, query.search)
        return desk.console.shell.page(
            request,
            "provisioning.html",
            run=run,
            left=_left(run),
            rate=run.rate(time.time()),
            counts=await kept.counts(),
            kinds=KINDS,
            gateway=gateway,
            listing=Listing(query, rows, total),
            choices={"state": [("", "Any state"), *((state.value, state.label) for state in LISTED)]},
            events=await desk.timeline.entries(GATEWAY, EVENTS),
        )

    @router.post(f"{PAGE}/now")
    async def try_again(request: Request) -> Response:
        """All that waits for its next try, or one extension."""
        form: Form = request.state.form
        key = form.number("extension")
        keys = [key] if key else []
        target = f"extension id {key}" if key else "all"
        await desk.saved(request, PROVISION_NOW, "provisioning tried again", target, keys=keys)
        desk.console.shell.tell(request, "The gateway is asked now.")
        return desk.console.shell.go(PAGE)

    return Room(router, (MenuEntry((*PHONE_SYSTEMS, "Provisioning"), PAGE, 13),))


def _left(run: Run) -> float:
    """Seconds that the work at hand will take still; 0 when there is nothing to tell from."""
    rate = run.rate(time.time())
    return (run.total - run.done) / rate if run.working and rate else 0.0

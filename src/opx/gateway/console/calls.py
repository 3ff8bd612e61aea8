"""Diagnosis > Calls: call records, and of one call its media, the ladder of its messages and a capture file."""

import re
import time
from collections.abc import AsyncIterator
from typing import Literal

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from markupsafe import Markup

from opx.gateway.console.desk import Desk
from opx.gateway.console.live import phone_model
from opx.gateway.control.protocol import CallDetails, ControlError, LiveCall, NotFound
from opx.gateway.faults import pcap, spreadsheet
from opx.gateway.faults.ladder import Ladder, ladder
from opx.gateway.faults.messages import CallTrace, from_wire
from opx.gateway.faults.picture import svg
from opx.gateway.faults.records import CallRecord
from opx.gateway.faults.repository import CallQuery, FaultsRepository
from opx.web.listing import Listing, ListQuery
from opx.web.pages import MenuEntry, Room

SORTS = ("started_at", "device", "caller", "callee", "outcome")
FILTERS = {
    "outcome": ("answered", "refused", "cancelled", "failed"),
    "direction": ("outgoing", "incoming"),
    "period": ("hour", "day", "week"),
}
CHOICES = {
    "outcome": [("", "Any outcome"), *((value, value) for value in FILTERS["outcome"])],
    "direction": [("", "Both directions"), ("outgoing", "from the phone"), ("incoming", "to the phone")],
    "period": [("", "Any time"), ("hour", "the last hour"), ("day", "the last 24 hours"), ("week", "the last 7 days")],
}
PERIODS = {"hour": 3600.0, "day": 86_400.0, "week": 7 * 86_400.0}
MAX_CSV = 1_000_000
"""Records of one download."""
MAX_LIVE = 100
"""Calls going on that the page shows."""
Kind = Literal["pcap", "svg"]
_ID = re.compile(r"[0-9a-f]{1,64}\Z")


def calls_room(desk: Desk) -> Room:
    router = APIRouter()
    faults = FaultsRepository(desk.engine)

    @router.get("/calls")
    async def list_calls(request: Request) -> Response:
        query = _query(request)
        wanted = _wanted(query)
        rows, total = await faults.calls(
            wanted, offset=query.offset, limit=query.size, sort=query.sort, descending=query.descending
        )
        live = await _going_on(desk)
        csv_link = query.link(page=1).replace("/calls", "/calls.csv", 1)
        return desk.console.shell.page(
            request,
            "calls.html",
            listing=Listing(query, rows, total),
            choices=CHOICES,
            live=live,
            csv_link=csv_link,
        )

    @router.get("/calls.csv")
    async def download(request: Request) -> Response:
        wanted = _wanted(_query(request))
        await desk.console.note(request, "downloaded call records", detail=request.url.query[:200])

        async def lines() -> AsyncIterator[str]:
            for line in spreadsheet.lines(()):
                yield line
            async for record in faults.each_call(wanted, MAX_CSV):
                yield spreadsheet.line(record)

        return StreamingResponse(lines(), media_type=spreadsheet.MEDIA_TYPE, headers=_attachment("calls.csv"))

    @router.get("/calls/{call_id}")
    async def call_page(request: Request, call_id: str) -> Response:
        record, details, trace = await known(call_id)
        drawn = ladder(trace.messages) if trace is not None else Ladder((), ())
        return desk.console.shell.page(
            request,
            "call.html",
            call_id=call_id,
            record=record,
            live=details.call if details is not None else None,
            media=record.media if record is not None else details.media if details is not None else None,
            trace=trace,
            steps=drawn.steps,
            picture=Markup(svg(drawn, links="#m")) if drawn.steps else "",
            model=phone_model,
        )

    @router.get("/calls/{call_id}/messages.{kind}")
    async def file(request: Request, call_id: str, kind: Kind) -> Response:
        _, _, trace = await known(call_id)
        if trace is None:
            raise HTTPException(404)
        await desk.console.note(request, f"downloaded a call's {kind} file", call_id)
        headers = _attachment(f"call-{call_id}.{kind}")
        if kind == "svg":
            picture = svg(ladder(trace.messages), standalone=True)
            return Response(picture, media_type="image/svg+xml", headers=headers)
        return Response(pcap.encode(trace.messages), media_type=pcap.MEDIA_TYPE, headers=headers)

    @router.post("/calls/{call_id}/hang-up")
    async def hang_up(request: Request, call_id: str) -> Response:
        name = request.state.visitor.user.name
        try:
            await desk.control.hang_up(call_id, f"hung up by {name} in the console")
        except NotFound:
            desk.console.shell.tell(request, "That call is over already.", kind="warn")
        except ControlError as error:
            desk.console.shell.tell(request, f"The gateway did not hang up: {error}", kind="bad")
        else:
            await desk.console.note(request, "hung up a call", call_id)
            desk.console.shell.tell(request, "The call is hung up.")
        return desk.console.shell.go(f"/calls/{call_id}")

    async def known(call_id: str) -> tuple[CallRecord | None, CallDetails | None, CallTrace | None]:
        """What is stored and what the running gateway knows; 404 when neither knows anything."""
        if not _ID.match(call_id):
            raise HTTPException(404)
        record = await faults.call(call_id)
        details, trace = await _from_gateway(desk, call_id, going_on=record is None)
        if trace is None:
            try:
                trace = await faults.ladder(call_id)
            except ValueError:
                trace = None
        if record is None and details is None and trace is None:
            raise HTTPException(404)
        return record, details, trace

    menu = (MenuEntry(("Diagnosis", "Calls"), "/calls", 800),)
    return Room(router, menu)


async def _going_on(desk: Desk) -> tuple[LiveCall, ...] | None:
    """None when the gateway does not say."""
    try:
        return (await desk.control.calls(limit=MAX_LIVE)).items
    except ControlError:
        return None


async def _from_gateway(desk: Desk, call_id: str, *, going_on: bool) -> tuple[CallDetails | None, CallTrace | None]:
    details: CallDetails | None = None
    try:
        if going_on:
            details = await desk.control.call(call_id)
    except ControlError:
        details = None
    try:
        return details, from_wire(await desk.control.ladder(call_id))
    except ControlError:
        return details, None


def _query(request: Request) -> ListQuery:
    return ListQuery.read("/calls", request.query_params, SORTS, FILTERS, descending=True)


def _wanted(query: ListQuery) -> CallQuery:
    period = PERIODS.get(query.filter("period"))
    return CallQuery(
        search=query.search,
        outcome=query.filter("outcome"),
        direction=query.filter("direction"),
        since=time.time() - period if period is not None else None,
    )


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}

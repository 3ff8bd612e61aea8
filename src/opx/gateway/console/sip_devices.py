"""MiVoice Border Gateway > Teleworking > SIP: the devices as a list, and each with its state and its timeline."""

import time

from fastapi import APIRouter, HTTPException, Request, Response

from opx.gateway.console.desk import Desk
from opx.gateway.console.device_rows import KINDS, SORTS, STATES, DeviceRows
from opx.gateway.console.live import live_devices, phone_model
from opx.gateway.console.sip_device_forms import Forms, target
from opx.gateway.control.protocol import ControlError
from opx.gateway.repository import Conflict, DeviceRecord, Missing
from opx.web.forms import Form
from opx.web.listing import ListQuery
from opx.web.pages import MenuEntry, Room

STATE_NAMES = (
    ("", "Any state"),
    ("in-service", "In service"),
    ("out-of-service", "Out of service"),
    ("disabled", "Disabled"),
)
KIND_NAMES = (
    ("", "Everything"),
    ("registration", "Registrations"),
    ("refusal", "Refusals"),
    ("call", "Calls"),
    ("icp", "ICP"),
    ("subscription", "Subscriptions"),
    ("message", "Messages"),
)
NOTIFICATIONS = {"check-sync": "to check its configuration", "reboot": "to restart"}


def sip_devices_room(desk: Desk) -> Room:
    router = APIRouter()
    repository, rows = desk.repository, DeviceRows(desk.engine)

    @router.get("/sip-devices")
    async def list_devices(request: Request) -> Response:
        icps = await repository.icps()
        filters = {"icp": [str(icp.id) for icp in icps], "state": STATES}
        query = ListQuery.read("/sip-devices", request.query_params, SORTS, filters)
        listing = await rows.page(query, time.time())
        live = await live_devices(desk.control, [row.id for row in listing.rows])
        choices = {
            "state": STATE_NAMES,
            "icp": (("", "Any ICP"), *((str(icp.id), icp.name) for icp in icps)),
        }
        return desk.console.shell.page(
            request,
            "sip_devices.html",
            listing=listing,
            live=live,
            choices=choices,
            model=phone_model,
            any_icp=bool(icps),
        )

    @router.get("/sip-devices/{device_id:int}")
    async def device_page(request: Request, device_id: int) -> Response:
        device = await known(device_id)
        query = ListQuery.read(
            f"/sip-devices/{device_id}", request.query_params, ("at",), {"kind": KINDS}, descending=True
        )
        listing = await rows.timeline(device_id, query)
        live = await live_devices(desk.control, [device_id])
        stored = [row for row in await repository.bindings() if row.device_id == device_id] if not live.answered else []
        return desk.console.shell.page(
            request,
            "sip_device.html",
            device=device,
            icp=await repository.icp(device.icp_id),
            listing=listing,
            kinds=KIND_NAMES,
            answered=live.answered,
            registrations=live.registrations.get(device_id, []),
            calls=live.calls.get(device_id, []),
            stored=stored,
            model=phone_model,
        )

    @router.post("/sip-devices/{device_id:int}/enable")
    async def enable(request: Request, device_id: int) -> Response:
        return await switch(request, device_id, True)

    @router.post("/sip-devices/{device_id:int}/disable")
    async def disable(request: Request, device_id: int) -> Response:
        return await switch(request, device_id, False)

    async def switch(request: Request, device_id: int, enabled: bool) -> Response:
        device = await known(device_id)
        if device.enabled != enabled:
            await repository.set_enabled(device.set_username, enabled)
            await desk.saved(request, "enabled a device" if enabled else "disabled a device", target(device))
        said = "is enabled." if enabled else "is disabled: it is kept out, and its calls have ended."
        desk.console.shell.tell(request, f"Device {device.set_username} {said}")
        return desk.console.shell.go(f"/sip-devices/{device_id}")

    @router.post("/sip-devices/{device_id:int}/notify")
    async def notify(request: Request, device_id: int) -> Response:
        device = await known(device_id)
        event = request.state.form.value("event")
        if event not in NOTIFICATIONS:
            raise HTTPException(422, "There is no such notification.")
        try:
            status = await desk.control.notify(device_id, "check-sync" if event == "check-sync" else "reboot")
        except ControlError as error:
            desk.console.shell.tell(request, f"The phone was not told: {error}", kind="bad")
        else:
            taken = 200 <= status < 300
            said = f"The phone was told {NOTIFICATIONS[event]}." if taken else f"The phone answered {status}."
            desk.console.shell.tell(request, said, kind="good" if taken else "warn")
            await desk.console.note(request, "notified a phone", target(device), f"{event}: {status}")
        return desk.console.shell.go(f"/sip-devices/{device_id}")

    @router.post("/sip-devices/{device_id:int}/hang-up")
    async def hang_up(request: Request, device_id: int) -> Response:
        device = await known(device_id)
        name = request.state.visitor.user.name
        try:
            await desk.control.hang_up(request.state.form.value("call"), f"ended by {name} in the console")
        except ControlError as error:
            desk.console.shell.tell(request, f"The call was not ended: {error}", kind="bad")
        else:
            await desk.console.note(request, "ended a call", target(device))
            desk.console.shell.tell(request, "The call is ended.")
        return desk.console.shell.go(f"/sip-devices/{device_id}")

    @router.get("/sip-devices/{device_id:int}/delete")
    async def delete_page(request: Request, device_id: int) -> Response:
        return deletion(request, await known(device_id))

    @router.post("/sip-devices/{device_id:int}/delete")
    async def delete(request: Request, device_id: int) -> Response:
        device = await known(device_id)
        form: Form = request.state.form
        try:
            await repository.delete_device(device_id, form.number("version") or 0)
        except Conflict:
            return deletion(request, device, 409, "It was changed by somebody else meanwhile; look at it first.")
        await desk.saved(request, "deleted a device", target(device))
        desk.console.shell.tell(request, f"Device {device.set_username} is deleted.")
        return desk.console.shell.go("/sip-devices")

    def deletion(request: Request, device: DeviceRecord, status: int = 200, problem: str = "") -> Response:
        return desk.console.shell.page(request, "sip_device_delete.html", status, device=device, problem=problem)

    async def known(device_id: int) -> DeviceRecord:
        try:
            return await repository.device(device_id)
        except Missing:
            raise HTTPException(404) from None

    Forms(desk, known).add_to(router)
    return Room(router, (MenuEntry(("MiVoice Border Gateway", "Teleworking", "SIP"), "/sip-devices", 130),))

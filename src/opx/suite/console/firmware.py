"""Configuration > Firmware: files for handsets, and which one each model gets."""

from fastapi import APIRouter, HTTPException, Request, Response

from opx.suite.console.desk import Desk
from opx.suite.firmware.store import FirmwareRecord, FirmwareStore
from opx.suite.sites.records import Missing, SiteError
from opx.suite.topics import FIRMWARE
from opx.web.forms import Form
from opx.web.pages import MenuEntry, Room

FORM_BYTES = 100_000
"""What a form with a file has beside the file."""
LABELS = {"file": "File", "model": "Model", "version": "Version"}


def firmware_room(desk: Desk) -> Room:
    router = APIRouter()
    settings = desk.settings.firmware
    store = FirmwareStore(desk.sites.engine, settings.folder, settings.most_bytes)

    @router.get("/firmware")
    async def list_firmware(request: Request) -> Response:
        return await show(request, Form())

    @router.post("/firmware/add")
    async def add(request: Request) -> Response:
        form: Form = request.state.form
        file = form.files.get("file")
        if file is None:
            form.refuse("file", "choose a file, such as 6930.st")
            return await show(request, form, 422)
        who = request.state.visitor.user.name
        try:
            record = await store.add(file.read, file.filename or "", form.value("model"), form.value("version"), who)
        except SiteError as error:
            form.refuse(error.field, str(error))
            return await show(request, form, 422)
        except OSError as error:
            form.refuse("file", f"it could not be written: {error.strerror}")
            return await show(request, form, 507)
        await saved(request, "added a firmware", record, f"{record.size} bytes, SHA-256 {record.digest}")
        state = "phones get it when they start or look for it" if record.active else "activate it when it is wanted"
        desk.console.shell.tell(request, f"{record.version} for {record.model} is in the library: {state}.")
        return desk.console.shell.go("/firmware")

    @router.post("/firmware/{firmware_id:int}/activate")
    async def activate(request: Request, firmware_id: int) -> Response:
        record = await known(firmware_id)
        await store.activate(firmware_id)
        await saved(request, "activated a firmware", record)
        text = f"Phones {record.model} get {record.version} when they start or look for it."
        desk.console.shell.tell(request, text)
        return desk.console.shell.go("/firmware")

    @router.post("/firmware/{firmware_id:int}/deactivate")
    async def deactivate(request: Request, firmware_id: int) -> Response:
        record = await known(firmware_id)
        await store.activate(firmware_id, False)
        await saved(request, "deactivated a firmware", record)
        desk.console.shell.tell(request, f"Phones {record.model} are given no firmware: they keep what they have.")
        return desk.console.shell.go("/firmware")

    @router.post("/firmware/{firmware_id:int}/delete")
    async def delete(request: Request, firmware_id: int) -> Response:
        record = await known(firmware_id)
        try:
            await store.delete(firmware_id)
        except SiteError as error:
            desk.console.shell.tell(request, f"{record.version} for {record.model} stays: {error}.", kind="bad")
            return desk.console.shell.go("/firmware")
        await saved(request, "deleted a firmware", record)
        desk.console.shell.tell(request, f"{record.version} for {record.model} is deleted.")
        return desk.console.shell.go("/firmware")

    async def show(request: Request, form: Form, status: int = 200) -> Response:
        records = await store.all()
        return desk.console.shell.page(
            request, "firmware.html", status, records=records, form=form, labels=LABELS, most=settings.most_bytes
        )

    async def known(firmware_id: int) -> FirmwareRecord:
        try:
            return await store.firmware(firmware_id)
        except Missing:
            raise HTTPException(404) from None

    async def saved(request: Request, action: str, record: FirmwareRecord, detail: str = "") -> None:
        await desk.console.note(request, action, f"{record.model} {record.version}", detail)
        desk.bulletin.publish(FIRMWARE)

    uploads = {"/firmware/add": settings.most_bytes + FORM_BYTES}
    return Room(router, (MenuEntry(("Configuration", "Firmware"), "/firmware", 44),), uploads=uploads)

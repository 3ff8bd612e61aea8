"""Configuration > Phones: every handset that has asked for its configuration or is expected to (guide stage 6)."""

import time

from fastapi import APIRouter, Request, Response

from opx.suite.console.desk import Desk
from opx.suite.console.phone_desk import PhoneDesk
from opx.suite.console.phone_entry import IMPORT_UPLOADS, add_entry_pages
from opx.suite.console.phone_page import add_phone_pages
from opx.suite.console.phone_rows import SIDES, SORTS, STATES
from opx.suite.handsets.records import State, normal_mac, pretty_mac
from opx.suite.sites.records import SiteError
from opx.web.forms import Form
from opx.web.listing import ListQuery
from opx.web.pages import MenuEntry, Room

STATE_NAMES = (
    ("", "Any state"),
    ("waiting", "Waiting for approval"),
    ("expected", "Expected"),
    ("approved", "Approved"),
    ("revoked", "Revoked"),
)
SIDE_NAMES = (("", "Local and teleworker"), ("local", "Local"), ("teleworker", "Teleworker"))
MAX_BULK = 100
"""Phones of one page's form."""


def phones_room(desk: Desk) -> Room:
    router = APIRouter()
    phones = PhoneDesk(desk)

    @router.get("/phones")
    async def list_phones(request: Request) -> Response:
        query = ListQuery.read("/phones", request.query_params, SORTS, {"state": STATES, "side": SIDES})
        listing = await phones.rows.page(query, time.time())
        registrations = await phones.registrations.of([(row.side, row.extension_id) for row in listing.rows])
        return desk.console.shell.page(
            request,
            "phones.html",
            listing=listing,
            registrations=registrations,
            counts=await phones.rows.counts(),
            choices={"state": STATE_NAMES, "side": SIDE_NAMES},
            pretty=pretty_mac,
        )

    @router.post("/phones/bulk")
    async def bulk(request: Request) -> Response:
        form: Form = request.state.form
        macs = await chosen(form)
        if not macs:
            desk.console.shell.tell(request, "No phone was ticked.", kind="warn")
            return desk.console.shell.go("/phones")
        if form.value("do") == "approve":
            return await approve_many(request, macs)
        return await assignment_page(request, macs, Form())

    @router.post("/phones/assign")
    async def assign_many(request: Request) -> Response:
        form: Form = request.state.form
        macs = await chosen(form)
        done = []
        for mac in macs:
            try:
                record = await phones.repository.phone(mac)
                extension_id = await phones.extension_of(form.value(f"number-{mac}"))
                if extension_id != record.extension_id:
                    await phones.assign(request, record, extension_id)
                    done.append(mac)
            except SiteError as error:
                form.refuse(f"number-{mac}", str(error))
        if done:
            desk.console.shell.tell(request, f"{_phones(len(done))} assigned.")
        if form.errors:
            return await assignment_page(request, macs, form, 422)
        if form.flag("approve"):
            return await approve_many(request, macs)
        return desk.console.shell.go("/phones")

    async def approve_many(request: Request, macs: list[str]) -> Response:
        refused = []
        for mac in macs:
            try:
                record = await phones.repository.phone(mac)
                if record.state is not State.APPROVED:
                    await phones.approve(request, record)
            except SiteError as error:
                refused.append(f"{pretty_mac(mac)}: {error}")
        if refused:
            desk.console.shell.tell(request, "; ".join(refused), kind="bad")
        if len(refused) < len(macs):
            desk.console.shell.tell(request, f"{_phones(len(macs) - len(refused))} approved.")
        return desk.console.shell.go("/phones")

    async def assignment_page(request: Request, macs: list[str], form: Form, status: int = 200) -> Response:
        rows = []
        for record in await phones.repository.all(macs):
            number = form.value(f"number-{record.mac}") if form.errors else await phones.number_of(record.extension_id)
            rows.append((record, number))
        return desk.console.shell.page(
            request,
            "phones_assign.html",
            status,
            rows=sorted(rows, key=lambda row: macs.index(row[0].mac)),
            form=form,
            free=await phones.free_extensions(),
            pretty=pretty_mac,
        )

    async def chosen(form: Form) -> list[str]:
        """The ticked phones that there are, in the order of the page."""
        macs = []
        for text in form.values("mac")[:MAX_BULK]:
            try:
                macs.append(normal_mac(text))
            except SiteError:
                continue
        known = {record.mac for record in await phones.repository.all(macs)}
        return [mac for mac in dict.fromkeys(macs) if mac in known]

    # Before the pages of one phone, whose address would match these, too.
    add_entry_pages(router, phones)
    add_phone_pages(router, phones)
    menu = (MenuEntry(("Configuration", "Phones"), "/phones", 40),)
    return Room(router, menu, uploads=IMPORT_UPLOADS)


def _phones(number: int) -> str:
    return "1 phone is" if number == 1 else f"{number} phones are"

"""One phone: what is known of it, what happened to it, and what can be done with it."""

import time

from fastapi import APIRouter, Request, Response

from opx.suite.console.phone_desk import PhoneDesk, target
from opx.suite.handsets.records import PhoneRecord, pretty_mac
from opx.suite.sites.records import Conflict, SiteError
from opx.suite.syslog.message import SEVERITIES
from opx.suite.syslog.repository import PhoneLog
from opx.suite.timeline import Entry, Kind, phone_subject
from opx.suite.topics import EXTENSIONS, PHONES
from opx.web.forms import Form

TIMELINE = 100
LOG_LINES = 100


def add_phone_pages(router: APIRouter, phones: PhoneDesk) -> None:
    desk = phones.desk
    console = desk.console
    log = PhoneLog(desk.sites.engine)

    @router.get("/phones/{mac}")
    async def phone_page(request: Request, mac: str) -> Response:
        return await show(request, await phones.known(mac))

    @router.post("/phones/{mac}/approve")
    async def approve(request: Request, mac: str) -> Response:
        phone = await phones.known(mac)
        try:
            await phones.approve(request, phone, _version(request))
        except SiteError as error:
            return await show(request, phone, str(error))
        console.shell.tell(request, f"{_name(phone)} is approved: {_after_approval(phone)}")
        return console.shell.go(f"/phones/{phone.mac}")

    @router.post("/phones/{mac}/assign")
    async def assign(request: Request, mac: str) -> Response:
        phone, form = await phones.known(mac), request.state.form
        try:
            extension_id = await phones.extension_of(form.value("number"))
            await phones.assign(request, phone, extension_id, _version(request))
        except SiteError as error:
            form.refuse("number", str(error))
            return await show(request, phone, form=form)
        number = form.value("number")
        console.shell.tell(request, f"{_name(phone)} has {f'extension {number}' if number else 'no extension'} now.")
        return console.shell.go(f"/phones/{phone.mac}")

    @router.post("/phones/{mac}/revoke")
    async def revoke(request: Request, mac: str) -> Response:
        phone = await phones.known(mac)
        try:
            await phones.repository.revoke(phone.mac, _version(request))
        except SiteError as error:
            return await show(request, phone, str(error))
        who = request.state.visitor.user.name
        await phones.done(request, phone.mac, "revoked a phone", f"revoked by {who}: it gets nothing secret any more")
        text = "is revoked. What it has already it keeps: change the extension's credentials if it was lost."
        console.shell.tell(request, f"{_name(phone)} {text}", kind="warn")
        return console.shell.go(f"/phones/{phone.mac}")

    @router.post("/phones/{mac}/code")
    async def code(request: Request, mac: str) -> Response:
        phone = await phones.known(mac)
        extension = await phones.extension(phone.extension_id)
        if extension is None:
            return await show(request, phone, "Assign an extension first: a one-time code belongs to an extension.")
        lasting = desk.settings.handsets.code_seconds
        try:
            made = await phones.repository.make_code(extension.id, time.time(), lasting)
        except SiteError as error:
            return await show(request, phone, str(error))
        await desk.console.note(request, "made a one-time code", f"extension {extension.number}")
        desk.bulletin.publish(EXTENSIONS, [str(extension.id)])
        text = (
            f"One-time code of extension {extension.number}, to be typed at the phone's Log In key within "
            f"{lasting / 3600:g} h. It is shown this once."
        )
        console.shell.tell(request, text, secret=made)
        return console.shell.go(f"/phones/{phone.mac}")

    @router.post("/phones/{mac}/password")
    async def reveal(request: Request, mac: str) -> Response:
        phone = await phones.known(mac)
        if not phone.admin_password:
            return await show(request, phone, "It has none of its own before it is approved.")
        await desk.console.note(request, "revealed a phone's administrator password", target(phone.mac))
        who = request.state.visitor.user.name
        entry = Entry.now(phone_subject(phone.mac), Kind.WARNING, f"its administrator password was revealed to {who}")
        await desk.timeline.note([entry])
        console.shell.tell(request, "The handset's administrator password:", kind="warn", secret=phone.admin_password)
        return console.shell.go(f"/phones/{phone.mac}")

    @router.get("/phones/{mac}/remove")
    async def remove_page(request: Request, mac: str) -> Response:
        return console.shell.page(
            request, "phone_remove.html", phone=await phones.known(mac), pretty=pretty_mac, problem=""
        )

    @router.post("/phones/{mac}/remove")
    async def remove(request: Request, mac: str) -> Response:
        phone = await phones.known(mac)
        try:
            await phones.repository.forget(phone.mac, _version(request))
        except Conflict as error:
            return console.shell.page(
                request, "phone_remove.html", 409, phone=phone, pretty=pretty_mac, problem=str(error)
            )
        await log.forget(phone.mac)
        await desk.console.note(request, "removed a phone", target(phone.mac))
        desk.bulletin.publish(PHONES, [phone.mac])
        console.shell.tell(request, f"{_name(phone)} is removed. When it asks again, it is a new one.")
        return console.shell.go("/phones")

    async def show(request: Request, phone: PhoneRecord, problem: str = "", form: Form | None = None) -> Response:
        if form is None:
            form = Form({"number": await phones.number_of(phone.extension_id)})
            if problem:
                form.refuse("", problem)
        entries = await desk.timeline.entries(phone_subject(phone.mac), TIMELINE)
        own, guest = await phones.extension(phone.extension_id), await phones.extension(phone.hot_desk_id)
        return console.shell.page(
            request,
            "phone.html",
            422 if form.errors else 200,
            phone=phone,
            own=own,
            guest=guest,
            entries=entries,
            log=await log.lines(phone.mac, phone.source if phone.side == "local" else "", LOG_LINES),
            severities=SEVERITIES,
            free=await phones.free_extensions(),
            form=form,
            name=_name(phone),
        )


def _version(request: Request) -> int | None:
    form: Form = request.state.form
    return form.number("version")


def _name(phone: PhoneRecord) -> str:
    return f"Phone {pretty_mac(phone.mac)}"


def _after_approval(phone: PhoneRecord) -> str:
    if phone.last_seen is None:
        return "it gets its configuration when it asks for the first time, and within the delivery window."
    return "it gets its configuration when it asks next; restart it if that is not soon."

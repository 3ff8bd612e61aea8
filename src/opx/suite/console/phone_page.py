"""One phone: what is known of it, what happened to it, and what can be done with it."""

import time

from fastapi import APIRouter, HTTPException, Request, Response

from opx.suite.alarms import KINDS, AlarmRepository
from opx.suite.console.phone_desk import PhoneDesk, target
from opx.suite.console.phone_state import current_file
from opx.suite.handsets.records import PhoneRecord, pretty_mac
from opx.suite.profiles.records import ProfileKind
from opx.suite.profiles.repository import ProfileRepository
from opx.suite.sites.records import Conflict, SiteError
from opx.suite.syslog.message import SEVERITIES
from opx.suite.syslog.repository import PhoneLog
from opx.suite.timeline import Entry, Kind, phone_subject
from opx.suite.topics import EXTENSIONS, PHONE_ORDERS, PHONES, RESYNC
from opx.web.forms import Form

TIMELINE = 100
LOG_LINES = 100
ORDERS = {"resync": "to look for its configuration", "reboot": "to restart", "identify": "to show who it is"}


def add_phone_pages(router: APIRouter, phones: PhoneDesk) -> None:
    desk = phones.desk
    console = desk.console
    log = PhoneLog(desk.sites.engine)
    profiles = ProfileRepository(desk.sites.engine)
    alarms = AlarmRepository(desk.sites.engine)

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

    @router.post("/phones/{mac}/profiles")
    async def give_profiles(request: Request, mac: str) -> Response:
        phone, form = await phones.known(mac), request.state.form
        keymap, configuration = form.number("keymap"), form.number("configuration")
        known = {profile.id: profile for profile in await profiles.profiles()}
        kinds = {ProfileKind.KEYMAP: keymap, ProfileKind.CONFIGURATION: configuration}
        if any(key is not None and (key not in known or known[key].kind is not kind) for kind, key in kinds.items()):
            return await show(request, phone, "This profile is gone; choose another one.")
        try:
            await phones.repository.give_profiles(phone.mac, configuration, keymap, _version(request))
        except SiteError as error:
            return await show(request, phone, str(error))
        names = ", ".join(known[key].name for key in (keymap, configuration) if key is not None) or "none of its own"
        who = request.state.visitor.user.name
        await phones.done(request, phone.mac, "gave profiles to a phone", f"profiles given by {who}: {names}", names)
        console.shell.tell(request, f"{_name(phone)} has these profiles now: {names}.")
        return console.shell.go(f"/phones/{phone.mac}")

    @router.post("/phones/{mac}/tell")
    async def tell(request: Request, mac: str) -> Response:
        phone, order = await phones.known(mac), request.state.form.value("order")
        if order not in ORDERS:
            raise HTTPException(422, "There is no such order.")
        if order == "resync":
            desk.bulletin.publish(RESYNC, [phone.mac])
        else:
            desk.bulletin.publish(PHONE_ORDERS, [f"{phone.mac} {order}"])
        await desk.console.note(request, f"told a phone {ORDERS[order]}", target(phone.mac))
        text = f"{_name(phone)} is being told {ORDERS[order]}. Its timeline says what comes of it."
        console.shell.tell(request, text)
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
        current = await current_file(desk, phone)
        registrations = await phones.registrations.of([(phone.side, phone.used_extension_id)])
        given = await profiles.profiles()
        standing = await alarms.standing_of([kind for kind in KINDS if kind.startswith("phone-")])
        entries = await desk.timeline.entries(phone_subject(phone.mac), TIMELINE)
        own, guest = await phones.extension(phone.extension_id), await phones.extension(phone.hot_desk_id)
        return console.shell.page(
            request,
            "phone.html",
            422 if form.errors else 200,
            phone=phone,
            own=own,
            guest=guest,
            current=current,
            alarms=[(KINDS[item.kind], item) for item in standing if item.subject == pretty_mac(phone.mac)],
            registration=registrations.get(phone.used_extension_id or 0),
            profiles={kind.value: [item for item in given if item.kind is kind] for kind in ProfileKind},
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

"""Administration > Web services (guide, stage 4): Start and Stop, consumers, temporary and final tokens."""

import asyncio
import time
from collections.abc import Awaitable, Mapping

from fastapi import APIRouter, HTTPException, Request, Response

from opx.gateway.certificates import certificates_in_use
from opx.gateway.console.desk import Desk
from opx.gateway.webservices.records import (
    GUIDE_PERMISSIONS,
    RESOURCES,
    Actor,
    ConsumerRecord,
    ConsumerSpec,
    FinalRecord,
    Outdated,
    Permission,
    Unknown,
    WebServicesError,
)
from opx.pinning import readable
from opx.web.authority import CertificateError
from opx.web.conflicts import Clash, clash
from opx.web.forms import Form
from opx.web.pages import MenuEntry, Room

LABELS = {"active": "Active", "name": "Name", "consumer_id": "ConsumerID", "permissions": "Permissions"} | {
    f"permission-{number}": name for number, name in enumerate(RESOURCES)
}
PERMISSIONS = (
    (Permission.NONE.value, "None"),
    (Permission.READ.value, "Read"),
    (Permission.READ_WRITE.value, "Read/Write"),
)
PAGE = "/web-services"
REFUSALS_SHOWN = 20
NEAR = 30 * 86400.0
"""Seconds before a final token expires from which that is a warning."""


def web_services_room(desk: Desk) -> Room:
    router = APIRouter()
    services = desk.web_services

    @router.get(PAGE)
    async def web_services_page(request: Request) -> Response:
        return desk.console.shell.page(
            request,
            "web_services.html",
            started=await services.started(),
            consumers=await services.consumers(),
            temporary=[token for token in await services.temporary_tokens() if not token.used],
            final=await services.final_tokens(),
            token_state=token_state,
            refused=services.refusals[:REFUSALS_SHOWN],
            fingerprint=await asyncio.to_thread(_fingerprint, desk),
        )

    @router.post(f"{PAGE}/start")
    async def start(request: Request) -> Response:
        return await done(request, services.start(_actor(request)), "Web services are started.")

    @router.post(f"{PAGE}/stop")
    async def stop(request: Request) -> Response:
        return await done(request, services.stop(_actor(request)), "Web services are stopped: nobody is answered.")

    # --- tokens

    @router.post(f"{PAGE}/temporary/{{key:int}}/approve")
    async def approve(request: Request, key: int) -> Response:
        text = "The request is approved. Enter its Verifier where the token was requested."
        return await done(request, services.approve(_actor(request), key), text)

    @router.post(f"{PAGE}/temporary/{{key:int}}/deny")
    async def deny(request: Request, key: int) -> Response:
        return await done(request, services.deny(_actor(request), key), "The request is removed.")

    @router.post(f"{PAGE}/final/{{key:int}}/renew")
    async def renew(request: Request, key: int) -> Response:
        return await done(request, services.renew(_actor(request), key), "The token is renewed.")

    @router.get(f"{PAGE}/final/{{key:int}}/revoke")
    async def revoke_page(request: Request, key: int) -> Response:
        token = next((token for token in await services.final_tokens() if token.id == key), None)
        if token is None:
            raise HTTPException(404)
        return desk.console.shell.page(request, "token_revoke.html", token=token)

    @router.post(f"{PAGE}/final/{{key:int}}/revoke")
    async def revoke(request: Request, key: int) -> Response:
        return await done(request, services.revoke(_actor(request), key), "The token is revoked: it holds no more.")

    # --- consumers

    @router.get(f"{PAGE}/consumers/add")
    async def add_page(request: Request) -> Response:
        return form_page(request, Form({"active": "yes", **_choices(GUIDE_PERMISSIONS)}), None)

    @router.post(f"{PAGE}/consumers/add")
    async def add(request: Request) -> Response:
        form: Form = request.state.form
        spec = _spec(form)
        if not form.errors:
            try:
                record, secret = await services.add_consumer(_actor(request), spec)
            except WebServicesError as error:
                form.refuse(error.field, str(error))
            else:
                show_secret(request, record, secret)
                return desk.console.shell.go(PAGE)
        return form_page(request, form, None, 422)

    @router.get(f"{PAGE}/consumers/{{key:int}}")
    async def edit_page(request: Request, key: int) -> Response:
        record = await known(key)
        return form_page(request, _form_of(record), record)

    @router.post(f"{PAGE}/consumers/{{key:int}}")
    async def edit(request: Request, key: int) -> Response:
        form: Form = request.state.form
        record = await known(key)
        spec = _spec(form)
        if form.errors:
            return form_page(request, form, record, 422)
        try:
            after = await services.change_consumer(_actor(request), key, spec, form.number("version") or 0)
        except Outdated:
            stored = await known(key)
            entry = await desk.console.audit.last(stored.consumer_id)
            found = clash(LABELS, _texts(stored), _texts_of(spec), entry)
            form = Form({**{name: form.value(name) for name in LABELS}, "version": str(stored.version)})
            return form_page(request, form, stored, 409, found)
        except WebServicesError as error:
            form.refuse(error.field, str(error))
            return form_page(request, form, record, 422)
        desk.console.shell.tell(request, f"Consumer {after.name} is saved.")
        return desk.console.shell.go(PAGE)

    @router.post(f"{PAGE}/consumers/{{key:int}}/secret")
    async def new_secret(request: Request, key: int) -> Response:
        await known(key)
        show_secret(request, *await services.new_secret(_actor(request), key))
        return desk.console.shell.go(PAGE)

    @router.get(f"{PAGE}/consumers/{{key:int}}/remove")
    async def remove_page(request: Request, key: int) -> Response:
        return desk.console.shell.page(request, "consumer_remove.html", consumer=await known(key))

    @router.post(f"{PAGE}/consumers/{{key:int}}/remove")
    async def remove(request: Request, key: int) -> Response:
        return await done(request, services.remove_consumer(_actor(request), key), "The consumer is removed.")

    # --- helpers

    def show_secret(request: Request, record: ConsumerRecord, secret: str) -> None:
        text = f"The shared secret of {record.name} ({record.consumer_id}), shown this once. Make a note of it:"
        desk.console.shell.tell(request, text, secret=secret)

    async def done(request: Request, work: Awaitable[object], text: str) -> Response:
        try:
            await work
        except WebServicesError as error:
            desk.console.shell.tell(request, str(error), kind="bad")
        else:
            desk.console.shell.tell(request, text)
        return desk.console.shell.go(PAGE)

    def form_page(
        request: Request, form: Form, record: ConsumerRecord | None, status: int = 200, found: Clash | None = None
    ) -> Response:
        return desk.console.shell.page(
            request,
            "consumer_form.html",
            status,
            form=form,
            consumer=record,
            labels=LABELS,
            resources=list(enumerate(RESOURCES.items())),
            permissions=PERMISSIONS,
            clash=found,
        )

    async def known(key: int) -> ConsumerRecord:
        try:
            return await services.consumer(key)
        except Unknown:
            raise HTTPException(404) from None

    return Room(router, (MenuEntry(("Administration", "Web services"), PAGE, 300),))


def _fingerprint(desk: Desk) -> str:
    """Of the certificate that consumers meet, for people to compare; "" when there is none yet."""
    try:
        return readable(certificates_in_use(desk.settings)[0].fingerprint)
    except CertificateError:
        return ""


def token_state(token: FinalRecord) -> tuple[str, str]:
    """Kind and text of a final token's state."""
    now = time.time()
    if token.revoked:
        return "", "revoked"
    if token.expires_at <= now:
        return "bad", "expired"
    return ("warn", "expires soon") if token.expires_at - now < NEAR else ("good", "holds")


def _actor(request: Request) -> Actor:
    return Actor(request.state.visitor.user.name, request.state.source)


def _spec(form: Form) -> ConsumerSpec:
    """What was typed; mistakes are noted."""
    permissions = {}
    for number, name in enumerate(RESOURCES):
        value = form.value(f"permission-{number}")
        if value not in {permission.value for permission in Permission}:
            form.refuse(f"permission-{number}", "expected one of those shown")
            continue
        permissions[name] = Permission(value)
    return ConsumerSpec(form.value("name"), form.value("consumer_id"), permissions, form.flag("active"))


def _choices(permissions: Mapping[str, Permission]) -> dict[str, str]:
    return {
        f"permission-{number}": permissions.get(name, Permission.NONE).value for number, name in enumerate(RESOURCES)
    }


def _form_of(record: ConsumerRecord) -> Form:
    texts = _texts(record)
    return Form({**texts, "active": "yes" if record.active else "", "version": str(record.version)})


def _texts(record: ConsumerRecord) -> dict[str, str]:
    return _texts_of(ConsumerSpec(record.name, record.consumer_id, record.permissions, record.active))


def _texts_of(spec: ConsumerSpec) -> dict[str, str]:
    return {
        "active": "yes" if spec.active else "no",
        "name": spec.name,
        "consumer_id": spec.consumer_id,
        "permissions": "",
        **_choices(spec.permissions),
    }

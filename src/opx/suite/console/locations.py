"""Client Locations > Local and Remote: how clients reach the suite, which its certificate names (guide, stage 1)."""

import asyncio

from fastapi import APIRouter, Request, Response

from opx.suite.certificates import certificates_in_use, names_of
from opx.suite.console.desk import Desk
from opx.suite.console.pbx_menu import SITE_SETTINGS
from opx.suite.sites.records import Locations, SiteError
from opx.suite.topics import SITES
from opx.web.audit import differences
from opx.web.authority import CertificateError
from opx.web.certificates import CertificateInfo
from opx.web.forms import Form
from opx.web.pages import MenuEntry, Room

PLACES = {"local": "Local", "remote": "Remote"}
LABELS = {"local": "IP Address/Full Hostname", "remote": "NAT IP Address/Full Hostname"}


def locations_room(desk: Desk) -> Room:
    router = APIRouter()
    sites = desk.sites

    async def page(request: Request, place: str, form: Form, status: int = 200) -> Response:
        locations = await sites.locations()
        certificate, problem = await asyncio.to_thread(_certificate, desk)
        wanted = names_of(desk.settings, locations)
        own = desk.settings.certificates.own is not None
        return desk.console.shell.page(
            request,
            "location.html",
            status,
            form=form,
            place=place,
            title=PLACES[place],
            labels={place: LABELS[place]},
            locations=locations,
            certificate=certificate,
            problem=problem,
            missing=[name for name in wanted if certificate is not None and name not in certificate.names],
            own=own,
        )

    async def save(request: Request, place: str) -> Response:
        form: Form = request.state.form
        before = await sites.locations()
        host = form.value(place)
        after = Locations(host, before.remote) if place == "local" else Locations(before.local, host)
        try:
            changed = await sites.save_locations(after)
        except SiteError as error:
            form.refuse(error.field, str(error))
            return await page(request, place, form, 422)
        if changed:
            detail = differences(_values(before), _values(after))
            await desk.saved(request, SITES, "changed a client location", PLACES[place], detail)
        text = "The location is saved. The suite's servers take a certificate with this name over within ten seconds."
        own = "The location is saved. The suite's own certificate is yours to replace when it lacks this name."
        desk.console.shell.tell(request, own if desk.settings.certificates.own is not None else text)
        return desk.console.shell.go(f"/locations/{place}")

    @router.get("/locations/local")
    async def local_page(request: Request) -> Response:
        return await page(request, "local", Form({"local": (await sites.locations()).local}))

    @router.post("/locations/local")
    async def save_local(request: Request) -> Response:
        return await save(request, "local")

    @router.get("/locations/remote")
    async def remote_page(request: Request) -> Response:
        return await page(request, "remote", Form({"remote": (await sites.locations()).remote}))

    @router.post("/locations/remote")
    async def save_remote(request: Request) -> Response:
        return await save(request, "remote")

    menu = [
        MenuEntry((*SITE_SETTINGS, "Client Locations", label), f"/locations/{place}", 20 + number)
        for number, (place, label) in enumerate(PLACES.items())
    ]
    return Room(router, menu)


def _certificate(desk: Desk) -> tuple[CertificateInfo | None, str]:
    try:
        return certificates_in_use(desk.settings)[0], ""
    except CertificateError as error:
        return None, str(error)


def _values(locations: Locations) -> dict[str, str]:
    return {"local": locations.local, "remote": locations.remote}

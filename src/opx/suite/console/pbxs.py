"""Phone Systems > [PBX]: each with its connector, nodes and SIP extensions (guide, stages 1 and 5)."""

from fastapi import APIRouter, HTTPException, Request, Response

from opx.suite.connectors.connector import ConnectorError
from opx.suite.connectors.opening import CSV_FILE, OPX_NODE
from opx.suite.connectors.opx_node import place_of
from opx.suite.console.certificates import add_certificate
from opx.suite.console.desk import Desk
from opx.suite.console.extension_forms import ExtensionForms
from opx.suite.console.extension_list import ExtensionList
from opx.suite.console.extensions import Extensions
from opx.suite.console.nodes import Nodes
from opx.suite.console.pbx_menu import PHONE_SYSTEMS
from opx.suite.console.reading import MAX_UPLOAD, Reading
from opx.suite.sites.records import Conflict, Missing, PbxRecord, PbxSpec, SiteError
from opx.suite.topics import SITES
from opx.web.audit import differences
from opx.web.conflicts import Clash, clash
from opx.web.forms import Form
from opx.web.pages import MenuEntry, Room

LABELS = {
    "name": "Name",
    "connector": "How its extensions are read",
    "url": "Address or file",
    "token": "Token of the management API",
    "ct_gateway": "CT Gateway version",
}
SHOWN = {name: label for name, label in LABELS.items() if name != "token"}
"""What may be compared and written down."""
CONNECTORS = {
    OPX_NODE: "By the management API of an OPX node",
    CSV_FILE: "From a CSV file, for any other SIP PBX",
    "": "Not at all: typed by hand",
}


def pbxs_room(desk: Desk) -> Room:
    router = APIRouter()
    sites = desk.sites

    @router.get("/pbxs")
    async def list_pbxs(request: Request) -> Response:
        nodes: dict[int, int] = {}
        for node in await sites.nodes():
            nodes[node.pbx_id] = nodes.get(node.pbx_id, 0) + 1
        return desk.console.shell.page(
            request,
            "pbxs.html",
            pbxs=await sites.pbxs(),
            nodes=nodes,
            counts=await sites.extension_counts(),
            connectors=CONNECTORS,
        )

    @router.get("/pbxs/add")
    async def add_page(request: Request) -> Response:
        return form_page(request, Form({"connector": OPX_NODE}), None)

    @router.post("/pbxs/add")
    async def add(request: Request) -> Response:
        form: Form = request.state.form
        try:
            pbx = await sites.save_pbx(_spec(form, None))
        except SiteError as error:
            form.refuse(error.field, str(error))
            return form_page(request, form, None, 422)
        await saved(request, "added a PBX", pbx, f"connector {pbx.connector or 'none'}")
        desk.console.shell.tell(request, f"PBX {pbx.name} is added. Its nodes come next.")
        return desk.console.shell.go(f"/pbxs/{pbx.id}")

    @router.get("/pbxs/{pbx_id:int}/edit")
    async def edit_page(request: Request, pbx_id: int) -> Response:
        pbx = await known(pbx_id)
        return form_page(request, Form({**_values(pbx), "version": str(pbx.version)}), pbx)

    @router.post("/pbxs/{pbx_id:int}/edit")
    async def edit(request: Request, pbx_id: int) -> Response:
        form: Form = request.state.form
        before = await known(pbx_id)
        try:
            after = await sites.save_pbx(_spec(form, before), pbx_id, form.number("version") or 0)
        except Conflict:
            stored = await known(pbx_id)
            typed = {name: form.value(name) for name in SHOWN}
            found = clash(SHOWN, _values(stored), typed, await desk.console.audit.last(_target(stored)))
            return form_page(request, Form({**typed, "version": str(stored.version)}), stored, 409, found)
        except SiteError as error:
            form.refuse(error.field, str(error))
            return form_page(request, form, before, 422)
        detail = differences(_values(before), _values(after))
        if form.exact("token"):
            detail = "; ".join(filter(None, (detail, "token written")))
        if detail:
            await saved(request, "changed a PBX", after, detail)
        desk.console.shell.tell(request, f"PBX {after.name} is saved.")
        return desk.console.shell.go(f"/pbxs/{pbx_id}")

    @router.get("/pbxs/{pbx_id:int}/delete")
    async def delete_page(request: Request, pbx_id: int) -> Response:
        return desk.console.shell.page(request, "pbx_delete.html", pbx=await known(pbx_id), problem="")

    @router.post("/pbxs/{pbx_id:int}/delete")
    async def delete(request: Request, pbx_id: int) -> Response:
        pbx = await known(pbx_id)
        try:
            await sites.delete_pbx(pbx_id, request.state.form.number("version") or 0)
        except SiteError as error:
            text = f"It is not deleted: {error}."
            return desk.console.shell.page(request, "pbx_delete.html", 409, pbx=pbx, problem=text)
        await saved(request, "deleted a PBX", pbx)
        desk.console.shell.tell(request, f"PBX {pbx.name} is deleted.")
        return desk.console.shell.go("/pbxs")

    def form_page(
        request: Request, form: Form, pbx: PbxRecord | None, status: int = 200, found: Clash | None = None
    ) -> Response:
        return desk.console.shell.page(
            request,
            "pbx_form.html",
            status,
            form=form,
            pbx=pbx,
            labels=LABELS,
            connectors=list(CONNECTORS.items()),
            clash=found,
        )

    async def saved(request: Request, action: str, pbx: PbxRecord, detail: str = "") -> None:
        await desk.saved(request, SITES, action, _target(pbx), detail)
        await desk.menu.refresh()

    async def known(pbx_id: int) -> PbxRecord:
        try:
            return await sites.pbx(pbx_id)
        except Missing:
            raise HTTPException(404) from None

    add_certificate(desk, router, known)
    Nodes(desk, known).add_to(router)
    Reading(desk, known).add_to(router)
    ExtensionList(desk, known, CONNECTORS).add_to(router)
    ExtensionForms(desk, known).add_to(router)
    Extensions(desk).add_to(router)
    return Room(
        router,
        (MenuEntry((*PHONE_SYSTEMS, "All PBXs"), "/pbxs", 12),),
        more=desk.menu.entries,
        uploads={r"/pbxs/\d+/csv": MAX_UPLOAD},
    )


def _target(pbx: PbxRecord) -> str:
    return f"PBX {pbx.name}"


def _values(pbx: PbxRecord) -> dict[str, str]:
    return {"name": pbx.name, "connector": pbx.connector, "url": pbx.url, "ct_gateway": pbx.ct_gateway}


def _spec(form: Form, before: PbxRecord | None) -> PbxSpec:
    """What was typed. SiteError. A certificate that was trusted at another address is not any more."""
    connector, url = form.value("connector"), form.value("url")
    if connector not in CONNECTORS:
        raise SiteError("expected one of those shown", "connector")
    if connector == OPX_NODE:
        try:
            place_of(url)
        except ConnectorError as error:
            raise SiteError(str(error), "url") from None
    fingerprint = before.fingerprint if before is not None and before.url == url else ""
    return PbxSpec(
        form.value("name"),
        connector,
        url if connector else "",
        fingerprint if connector == OPX_NODE else "",
        form.exact("token").strip() or None,
        form.value("ct_gateway"),
    )

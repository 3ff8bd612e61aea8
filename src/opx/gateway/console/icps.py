"""MiVoice Border Gateway > Service configuration > ICPs (guide, stage 3)."""

from fastapi import APIRouter, HTTPException, Request, Response

from opx.gateway.console.desk import Desk
from opx.gateway.console.device_rows import DeviceRows
from opx.gateway.console.live import status_of
from opx.gateway.repository import Conflict, IcpRecord, IcpSpec, InUse, Missing, NodeAddress, RepositoryError
from opx.web.audit import differences
from opx.web.conflicts import Clash, clash
from opx.web.forms import Form
from opx.web.listing import ListQuery, list_of
from opx.web.pages import MenuEntry, Room

LABELS = {
    "name": "Name",
    "host": "Hostname or IP Address",
    "port": "Port",
    "transport": "Transport",
    "type": "Type",
    "nodes": "Further nodes",
}
SORTS = ("name", "type", "host", "devices")
MAX_USERS_SHOWN = 10
"""Devices named on the page that says why an ICP cannot be deleted."""


def icps_room(desk: Desk) -> Room:
    router = APIRouter()
    repository, rows = desk.repository, DeviceRows(desk.engine)

    @router.get("/icps")
    async def list_icps(request: Request) -> Response:
        query = ListQuery.read("/icps", request.query_params, SORTS)
        used = await rows.by_icp()
        listing = list_of(
            await repository.icps(),
            query,
            lambda icp, column: used.get(icp.id, 0) if column == "devices" else getattr(icp, column).casefold(),
            lambda icp: (icp.name, icp.type, icp.host, *(str(node) for node in icp.nodes)),
        )
        status = await status_of(desk.control)
        health = {icp.id: icp for icp in status.icps} if status else {}
        return desk.console.shell.page(
            request, "icps.html", listing=listing, used=used, health=health, answered=bool(status)
        )

    @router.get("/icps/add")
    async def add_page(request: Request) -> Response:
        form = Form({"type": "MiVoice Office 250", "transport": "UDP"})
        return _form_page(request, form, None)

    @router.post("/icps/add")
    async def add(request: Request) -> Response:
        form: Form = request.state.form
        spec = _spec(form)
        if spec is not None:
            try:
                record, _ = await repository.save_icp(spec, version=0)
            except Conflict:
                form.refuse("name", f"there is an ICP {spec.name} already")
            except RepositoryError as error:
                form.refuse(error.field, str(error))
            else:
                await desk.saved(request, "added an ICP", _target(record), _described(record))
                desk.console.shell.tell(request, f"ICP {record.name} is added.")
                return desk.console.shell.go(f"/icps/{record.id}")
        return _form_page(request, form, None, 422)

    @router.get("/icps/{icp_id:int}")
    async def icp_page(request: Request, icp_id: int) -> Response:
        icp = await known(icp_id)
        status = await status_of(desk.control)
        health = next((item for item in status.icps if item.id == icp_id), None) if status else None
        devices = (await rows.by_icp()).get(icp_id, 0)
        return desk.console.shell.page(
            request, "icp.html", icp=icp, health=health, answered=bool(status), devices=devices
        )

    @router.get("/icps/{icp_id:int}/edit")
    async def edit_page(request: Request, icp_id: int) -> Response:
        icp = await known(icp_id)
        return _form_page(request, Form({**_values(icp), "version": str(icp.version)}), icp)

    @router.post("/icps/{icp_id:int}/edit")
    async def edit(request: Request, icp_id: int) -> Response:
        form: Form = request.state.form
        before = await known(icp_id)
        spec = _spec(form)
        if spec is None:
            return _form_page(request, form, before, 422)
        try:
            after, changed = await repository.save_icp(spec, icp_id, form.number("version") or 0)
        except Conflict:
            stored = await known(icp_id)
            typed = {name: form.value(name) for name in LABELS}
            found = clash(LABELS, _values(stored), typed, await desk.console.audit.last(_target(stored)))
            return _form_page(request, Form({**typed, "version": str(stored.version)}), stored, 409, found)
        except RepositoryError as error:
            form.refuse(error.field, str(error))
            return _form_page(request, form, before, 422)
        if changed:
            detail = differences(_values(before), _values(after))
            await desk.saved(request, "changed an ICP", _target(after), detail)
        desk.console.shell.tell(request, f"ICP {after.name} is saved.")
        return desk.console.shell.go(f"/icps/{icp_id}")

    @router.get("/icps/{icp_id:int}/delete")
    async def delete_page(request: Request, icp_id: int) -> Response:
        return await _deletion(request, await known(icp_id))

    @router.post("/icps/{icp_id:int}/delete")
    async def delete(request: Request, icp_id: int) -> Response:
        icp = await known(icp_id)
        try:
            await repository.delete_icp(icp_id, request.state.form.number("version") or 0)
        except InUse:
            return await _deletion(request, icp, 409)
        except Conflict:
            return await _deletion(request, icp, 409, "It was changed by somebody else meanwhile; look at it first.")
        await desk.saved(request, "deleted an ICP", _target(icp), _described(icp))
        desk.console.shell.tell(request, f"ICP {icp.name} is deleted.")
        return desk.console.shell.go("/icps")

    def _form_page(
        request: Request, form: Form, icp: IcpRecord | None, status: int = 200, found: Clash | None = None
    ) -> Response:
        return desk.console.shell.page(request, "icp_form.html", status, form=form, icp=icp, labels=LABELS, clash=found)

    async def _deletion(request: Request, icp: IcpRecord, status: int = 200, problem: str = "") -> Response:
        users = await rows.names_at(icp.id, MAX_USERS_SHOWN)
        number = (await rows.by_icp()).get(icp.id, 0)
        return desk.console.shell.page(
            request, "icp_delete.html", status, icp=icp, users=users, number=number, problem=problem
        )

    async def known(icp_id: int) -> IcpRecord:
        try:
            return await repository.icp(icp_id)
        except Missing:
            raise HTTPException(404) from None

    return Room(router, (MenuEntry(("MiVoice Border Gateway", "Service configuration", "ICPs"), "/icps", 120),))


def _target(icp: IcpRecord) -> str:
    return f"ICP {icp.name}"


def _values(icp: IcpRecord) -> dict[str, str]:
    port = "" if icp.port is None else str(icp.port)
    nodes = "\n".join(str(node) for node in icp.nodes)
    values = {"name": icp.name, "host": icp.host, "port": port, "transport": icp.transport, "type": icp.type}
    return {**values, "nodes": nodes}


def _described(icp: IcpRecord) -> str:
    return ", then ".join(str(address) for address in icp.addresses)


def _spec(form: Form) -> IcpSpec | None:
    """What was typed, None with the mistakes noted."""
    port = form.number("port")
    nodes = []
    for line in form.value("nodes").splitlines():
        if line.strip():
            try:
                nodes.append(NodeAddress.parse(line))
            except RepositoryError as error:
                form.refuse("nodes", str(error))
    spec = IcpSpec(
        form.value("name"), form.value("host"), port, form.value("transport"), form.value("type"), tuple(nodes)
    )
    try:
        spec.check()
    except RepositoryError as error:
        form.refuse(error.field, str(error))
    return None if form.errors else spec

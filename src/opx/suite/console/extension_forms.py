"""SIP extensions that are typed by hand: added, described anew, deleted."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, HTTPException, Request, Response

from opx.suite.console.desk import Desk
from opx.suite.console.extensions import target
from opx.suite.sites.records import Conflict, Credentials, ExtensionRecord, ExtensionSpec, Missing, PbxRecord, SiteError
from opx.suite.topics import EXTENSIONS
from opx.web.forms import Form

LABELS = {
    "number": "Extension number",
    "name": "Name",
    "hot_desk": "SIP hot desk extension",
    "node": "Node",
    "internal_password": "Internal authorization password",
}


class ExtensionForms:
    """See the module. `known` gives a PBX by its id."""

    def __init__(self, desk: Desk, known: Callable[[int], Awaitable[PbxRecord]]) -> None:
        self._desk = desk
        self._sites = desk.sites
        self._known = known

    def add_to(self, router: APIRouter) -> None:
        base = "/pbxs/{pbx_id:int}/extensions"
        for path, get, post in (
            ("add", self.add_page, self.add),
            ("{extension_id:int}/edit", self.edit_page, self.edit),
            ("{extension_id:int}/delete", self.delete_page, self.delete),
        ):
            router.add_api_route(f"{base}/{path}", get, methods=["GET"], response_model=None)
            router.add_api_route(f"{base}/{path}", post, methods=["POST"], response_model=None)

    async def add_page(self, request: Request, pbx_id: int) -> Response:
        return await self._page(request, await self._known(pbx_id), Form(), None)

    async def add(self, request: Request, pbx_id: int) -> Response:
        pbx = await self._known(pbx_id)
        form: Form = request.state.form
        password = form.exact("internal_password")
        try:
            spec = _spec(form, pbx_id, form.value("number"))
            internal = Credentials(spec.number, password) if password else None
            extension = await self._sites.add_extension(spec, internal)
        except SiteError as error:
            form.refuse(error.field, str(error))
            return await self._page(request, pbx, form, None, 422)
        await self._desk.saved(request, EXTENSIONS, "added an extension", target(extension), "", [extension.id])
        self._desk.console.shell.tell(request, f"Extension {extension.number} is added.")
        return self._desk.console.shell.go(f"/pbxs/{pbx_id}/extensions/{extension.id}")

    async def edit_page(self, request: Request, pbx_id: int, extension_id: int) -> Response:
        pbx, extension = await self._pair(pbx_id, extension_id)
        values = {
            "name": extension.name,
            "hot_desk": "yes" if extension.hot_desk else "",
            "node": str(extension.node_id or ""),
            "version": str(extension.version),
        }
        return await self._page(request, pbx, Form(values), extension)

    async def edit(self, request: Request, pbx_id: int, extension_id: int) -> Response:
        pbx, extension = await self._pair(pbx_id, extension_id)
        form: Form = request.state.form
        try:
            spec = _spec(form, pbx_id, extension.number)
            await self._sites.describe_extension(extension_id, spec, form.number("version") or 0)
        except SiteError as error:
            form.refuse(error.field, str(error))
            status = 409 if isinstance(error, Conflict) else 422
            kept = {name: form.value(name) for name in LABELS} | {"version": str(extension.version)}
            shown = Form(kept) if status == 409 else form
            shown.errors = form.errors
            return await self._page(request, pbx, shown, extension, status)
        await self._desk.saved(request, EXTENSIONS, "described an extension", target(extension), "", [extension_id])
        self._desk.console.shell.tell(request, f"Extension {extension.number} is saved.")
        return self._desk.console.shell.go(f"/pbxs/{pbx_id}/extensions/{extension_id}")

    async def delete_page(self, request: Request, pbx_id: int, extension_id: int) -> Response:
        pbx, extension = await self._pair(pbx_id, extension_id)
        return self._deletion(request, pbx, extension)

    async def delete(self, request: Request, pbx_id: int, extension_id: int) -> Response:
        pbx, extension = await self._pair(pbx_id, extension_id)
        try:
            await self._sites.delete_extension(extension_id, request.state.form.number("version") or 0)
        except SiteError as error:
            return self._deletion(request, pbx, extension, f"It is not deleted: {error}.", 409)
        await self._desk.saved(request, EXTENSIONS, "deleted an extension", target(extension), "", [extension_id])
        self._desk.console.shell.tell(request, f"Extension {extension.number} is deleted.")
        return self._desk.console.shell.go(f"/pbxs/{pbx_id}")

    async def _page(
        self, request: Request, pbx: PbxRecord, form: Form, extension: ExtensionRecord | None, status: int = 200
    ) -> Response:
        nodes = await self._sites.nodes(pbx.id)
        choices = [(str(node.id), f"{node.name}, {node.address}") for node in nodes]
        return self._desk.console.shell.page(
            request,
            "extension_form.html",
            status,
            pbx=pbx,
            form=form,
            extension=extension,
            nodes=choices if len(nodes) == 1 else [("", "Not said"), *choices],
            labels=LABELS,
        )

    def _deletion(
        self, request: Request, pbx: PbxRecord, extension: ExtensionRecord, problem: str = "", status: int = 200
    ) -> Response:
        return self._desk.console.shell.page(
            request, "extension_delete.html", status, pbx=pbx, extension=extension, problem=problem
        )

    async def _pair(self, pbx_id: int, extension_id: int) -> tuple[PbxRecord, ExtensionRecord]:
        pbx = await self._known(pbx_id)
        try:
            extension = await self._sites.extension(extension_id)
        except Missing:
            raise HTTPException(404) from None
        if extension.pbx_id != pbx_id:
            raise HTTPException(404)
        return pbx, extension


def _spec(form: Form, pbx_id: int, number: str) -> ExtensionSpec:
    """What was typed. SiteError."""
    node = form.number("node")
    if problem := form.error("node"):
        raise SiteError(problem, "node")
    return ExtensionSpec(pbx_id, number, form.value("name"), form.flag("hot_desk"), node)

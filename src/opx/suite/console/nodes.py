"""The nodes of a PBX: where phones inside register, and where those outside do (guide, stages 1 and 3)."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, HTTPException, Request, Response

from opx.suite.console.desk import Desk
from opx.suite.sites.records import SIP_PORT, Conflict, Missing, NodeRecord, NodeSpec, PbxRecord, SiteError
from opx.suite.topics import SITES
from opx.web.audit import differences
from opx.web.conflicts import Clash, clash
from opx.web.forms import Form

LABELS = {
    "name": "Name",
    "address": "IP Address",
    "sip_port": "SIP Port",
    "nat_address": "NAT IP Address",
    "nat_sip_port": "NAT SIP Port",
    "software": "Software version",
}


class Nodes:
    """Pages to add, edit and delete a node. `known` gives a PBX by its id."""

    def __init__(self, desk: Desk, known: Callable[[int], Awaitable[PbxRecord]]) -> None:
        self._desk = desk
        self._sites = desk.sites
        self._known = known

    def add_to(self, router: APIRouter) -> None:
        base = "/pbxs/{pbx_id:int}/nodes"
        for path, get, post in (
            ("add", self.add_page, self.add),
            ("{node_id:int}", self.edit_page, self.edit),
            ("{node_id:int}/delete", self.delete_page, self.delete),
        ):
            router.add_api_route(f"{base}/{path}", get, methods=["GET"], response_model=None)
            router.add_api_route(f"{base}/{path}", post, methods=["POST"], response_model=None)

    async def add_page(self, request: Request, pbx_id: int) -> Response:
        pbx = await self._known(pbx_id)
        number = len(await self._sites.nodes(pbx_id)) + 1
        values = {"name": f"Node {number}", "sip_port": str(SIP_PORT), "nat_sip_port": str(SIP_PORT)}
        return self._page(request, pbx, Form(values), None)

    async def add(self, request: Request, pbx_id: int) -> Response:
        pbx = await self._known(pbx_id)
        form: Form = request.state.form
        spec = _spec(form, pbx_id)
        try:
            _refuse_mistakes(form)
            node = await self._sites.save_node(spec)
        except SiteError as error:
            form.refuse(error.field, str(error))
            return self._page(request, pbx, form, None, 422)
        await self._desk.saved(request, SITES, "added a node", _target(node), f"{node.address}:{node.sip_port}")
        self._desk.console.shell.tell(request, f"{node.name} is added.")
        return self._desk.console.shell.go(f"/pbxs/{pbx_id}")

    async def edit_page(self, request: Request, pbx_id: int, node_id: int) -> Response:
        pbx, node = await self._pair(pbx_id, node_id)
        return self._page(request, pbx, Form({**_values(node), "version": str(node.version)}), node)

    async def edit(self, request: Request, pbx_id: int, node_id: int) -> Response:
        pbx, before = await self._pair(pbx_id, node_id)
        form: Form = request.state.form
        spec = _spec(form, pbx_id)
        try:
            _refuse_mistakes(form)
            after = await self._sites.save_node(spec, node_id, form.number("version") or 0)
        except Conflict:
            _, stored = await self._pair(pbx_id, node_id)
            typed = {name: form.value(name) for name in LABELS}
            found = clash(LABELS, _values(stored), typed, await self._desk.console.audit.last(_target(stored)))
            return self._page(request, pbx, Form({**typed, "version": str(stored.version)}), stored, 409, found)
        except SiteError as error:
            form.refuse(error.field, str(error))
            return self._page(request, pbx, form, before, 422)
        if after != before:
            detail = differences(_values(before), _values(after))
            await self._desk.saved(request, SITES, "changed a node", _target(after), detail)
        self._desk.console.shell.tell(request, f"{after.name} is saved.")
        return self._desk.console.shell.go(f"/pbxs/{pbx_id}")

    async def delete_page(self, request: Request, pbx_id: int, node_id: int) -> Response:
        pbx, node = await self._pair(pbx_id, node_id)
        return self._deletion(request, pbx, node)

    async def delete(self, request: Request, pbx_id: int, node_id: int) -> Response:
        pbx, node = await self._pair(pbx_id, node_id)
        try:
            await self._sites.delete_node(node_id, request.state.form.number("version") or 0)
        except SiteError as error:
            return self._deletion(request, pbx, node, f"It is not deleted: {error}.", 409)
        await self._desk.saved(request, SITES, "deleted a node", _target(node))
        self._desk.console.shell.tell(request, f"{node.name} is deleted.")
        return self._desk.console.shell.go(f"/pbxs/{pbx_id}")

    def _page(
        self,
        request: Request,
        pbx: PbxRecord,
        form: Form,
        node: NodeRecord | None,
        status: int = 200,
        found: Clash | None = None,
    ) -> Response:
        return self._desk.console.shell.page(
            request, "node_form.html", status, pbx=pbx, form=form, node=node, labels=LABELS, clash=found
        )

    def _deletion(
        self, request: Request, pbx: PbxRecord, node: NodeRecord, problem: str = "", status: int = 200
    ) -> Response:
        return self._desk.console.shell.page(request, "node_delete.html", status, pbx=pbx, node=node, problem=problem)

    async def _pair(self, pbx_id: int, node_id: int) -> tuple[PbxRecord, NodeRecord]:
        pbx = await self._known(pbx_id)
        try:
            node = await self._sites.node(node_id)
        except Missing:
            raise HTTPException(404) from None
        if node.pbx_id != pbx_id:
            raise HTTPException(404)
        return pbx, node


def _target(node: NodeRecord) -> str:
    return f"node {node.name}"


def _values(node: NodeRecord) -> dict[str, str]:
    return {name: str(getattr(node, name)) for name in LABELS}


def _spec(form: Form, pbx_id: int) -> NodeSpec:
    """What was typed; mistakes are noted."""
    return NodeSpec(
        pbx_id,
        form.value("name"),
        form.value("address"),
        _port(form, "sip_port"),
        form.value("nat_address"),
        _port(form, "nat_sip_port"),
        form.value("software"),
    )


def _port(form: Form, name: str) -> int:
    number = form.number(name)
    return SIP_PORT if number is None else number


def _refuse_mistakes(form: Form) -> None:
    """SiteError of the first mistake that was noted."""
    for name, text in form.errors.items():
        raise SiteError(text, name)

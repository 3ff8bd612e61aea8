"""The certificate at a PBX's management API: looked at, compared by its owner, and trusted."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request, Response

from opx.pinning import readable
from opx.suite.connectors.connector import ConnectorError
from opx.suite.connectors.opx_node import fingerprint_at
from opx.suite.console.desk import Desk
from opx.suite.sites.records import PbxRecord, PbxSpec, SiteError
from opx.suite.topics import SITES


def add_certificate(desk: Desk, router: APIRouter, known: Callable[[int], Awaitable[PbxRecord]]) -> None:
    """Its two pages. `known` gives a PBX by its id."""

    @router.get("/pbxs/{pbx_id:int}/certificate")
    async def certificate_page(request: Request, pbx_id: int) -> Response:
        pbx = await known(pbx_id)
        met, problem = await look(pbx)
        return desk.console.shell.page(
            request, "pbx_certificate.html", pbx=pbx, met=met, problem=problem, readable=readable
        )

    @router.post("/pbxs/{pbx_id:int}/certificate")
    async def trust(request: Request, pbx_id: int) -> Response:
        pbx = await known(pbx_id)
        met, problem = await look(pbx)
        if problem or met != request.state.form.value("fingerprint"):
            problem = problem or "It shows yet another certificate now; look at it again."
            return desk.console.shell.page(
                request, "pbx_certificate.html", 409, pbx=pbx, met=met, problem=problem, readable=readable
            )
        spec = PbxSpec(pbx.name, pbx.connector, pbx.url, met, None, pbx.ct_gateway)
        try:
            await desk.sites.save_pbx(spec, pbx_id, pbx.version)
        except SiteError as error:
            desk.console.shell.tell(request, f"It is not trusted: {error}.", kind="bad")
        else:
            await desk.saved(request, SITES, "trusted a PBX's certificate", f"PBX {pbx.name}", readable(met))
            desk.console.shell.tell(request, "The certificate is trusted from now on.")
        return desk.console.shell.go(f"/pbxs/{pbx_id}")

    async def look(pbx: PbxRecord) -> tuple[str, str]:
        """The fingerprint that it shows now, or why there is none."""
        try:
            return await fingerprint_at(pbx.url, desk.settings.address), ""
        except ConnectorError as error:
            return "", str(error)

"""Reading a PBX's extensions: at once from its management API, or from a CSV file that is uploaded."""

import time
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, HTTPException, Request, Response

from opx.suite.connectors.connector import ConnectorError
from opx.suite.connectors.csv_file import COLUMNS, MAX_BYTES, CsvError, parse
from opx.suite.connectors.opening import CSV_FILE, reads_by_itself
from opx.suite.console.desk import Desk
from opx.suite.sites.records import PbxRecord, SiteError
from opx.suite.topics import EXTENSIONS, SITES
from opx.web.forms import Form

MAX_UPLOAD = MAX_BYTES + 64 * 1024
"""Bytes of a request with a file; a larger file is told so on its page."""


class Reading:
    """See the module. `known` gives a PBX by its id."""

    def __init__(self, desk: Desk, known: Callable[[int], Awaitable[PbxRecord]]) -> None:
        self._desk = desk
        self._known = known

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route("/pbxs/{pbx_id:int}/read", self.read, methods=["POST"], response_model=None)
        router.add_api_route("/pbxs/{pbx_id:int}/csv", self.upload_page, methods=["GET"], response_model=None)
        router.add_api_route("/pbxs/{pbx_id:int}/csv", self.upload, methods=["POST"], response_model=None)

    async def read(self, request: Request, pbx_id: int) -> Response:
        """Read extensions now."""
        pbx = await self._known(pbx_id)
        shell = self._desk.console.shell
        try:
            changed = await self._desk.reader.read(pbx)
        except (ConnectorError, SiteError) as error:
            shell.tell(request, f"The extensions could not be read: {error}.", kind="bad")
        else:
            await self._desk.console.note(request, "read a PBX", f"PBX {pbx.name}", f"{changed} differed")
            shell.tell(request, f"{pbx.name} is read; {changed} of its extensions differed.")
        return shell.go(f"/pbxs/{pbx_id}")

    async def upload_page(self, request: Request, pbx_id: int) -> Response:
        return self._page(request, await self._known_csv(pbx_id), Form())

    async def upload(self, request: Request, pbx_id: int) -> Response:
        pbx = await self._known_csv(pbx_id)
        form: Form = request.state.form
        file = form.files.get("file")
        if file is None:
            form.refuse("file", "no file was chosen")
            return self._page(request, pbx, form, 422)
        try:
            reading = parse(await file.read(MAX_BYTES + 1))
            changed = await self._desk.sites.take_over(pbx_id, reading.extensions, time.time())
        except CsvError as error:
            for number, mistake in enumerate(error.mistakes):
                form.refuse(f"mistake-{number}", str(mistake))
            return self._page(request, pbx, form, 422)
        except SiteError as error:
            form.refuse("file", str(error))
            return self._page(request, pbx, form, 422)
        number = len(reading.extensions)
        await self._desk.saved(
            request, EXTENSIONS, "uploaded extensions", f"PBX {pbx.name}", f"{number} extensions, {changed} differed"
        )
        self._desk.bulletin.publish(SITES)
        text = f"The file holds {number} extensions; {changed} differed from what was stored."
        self._desk.console.shell.tell(request, text)
        return self._desk.console.shell.go(f"/pbxs/{pbx_id}")

    async def _known_csv(self, pbx_id: int) -> PbxRecord:
        pbx = await self._known(pbx_id)
        if pbx.connector != CSV_FILE or reads_by_itself(pbx):
            raise HTTPException(404)
        return pbx

    def _page(self, request: Request, pbx: PbxRecord, form: Form, status: int = 200) -> Response:
        return self._desk.console.shell.page(
            request, "pbx_csv.html", status, pbx=pbx, form=form, columns=COLUMNS, labels={"file": "CSV file"}
        )

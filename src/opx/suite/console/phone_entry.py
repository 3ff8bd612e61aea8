"""Entering phones before they are seen, one by one or from a CSV file."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from opx.suite.console.phone_desk import PhoneDesk, pick, target
from opx.suite.handsets.records import normal_mac, pretty_mac
from opx.suite.sites.records import SiteError
from opx.suite.topics import PHONES
from opx.web.forms import Form

MAX_ROWS = 5000
"""Of one import: the phones of the largest site."""
MAX_CSV_BYTES = 200_000
IMPORT_UPLOADS = {"/phones/import": 3 * MAX_CSV_BYTES}
"""What the form may have altogether: text in it is longer than the file."""

_MODEL = re.compile(r"[0-9]{4}[a-z]{0,2}\Z")


@dataclass(frozen=True, slots=True)
class ImportRow:
    """A line of the file; `line` counts from 1."""

    line: int
    mac: str
    extension: str
    model: str


def read_csv(text: str) -> list[ImportRow]:
    """`mac,extension,model` a line, with or without a line of names before, by comma or semicolon. SiteError."""
    if len(text.encode()) > MAX_CSV_BYTES:
        raise SiteError(f"expected at most {MAX_CSV_BYTES} bytes")
    first = text.lstrip("\ufeff").partition("\n")[0]
    reader = csv.reader(io.StringIO(text.lstrip("\ufeff")), delimiter=";" if ";" in first else ",")
    rows: list[ImportRow] = []
    order = ["mac", "extension", "model"]
    try:
        for line, cells in enumerate(reader, 1):
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if line == 1 and "mac" in [cell.casefold() for cell in cells]:
                order = [cell.casefold() for cell in cells]
                continue
            values = dict(zip(order, cells, strict=False))
            try:
                mac = normal_mac(values.get("mac", ""))
            except SiteError as error:
                raise SiteError(f"line {line}: {error}") from None
            rows.append(ImportRow(line, mac, values.get("extension", ""), values.get("model", "")))
            if len(rows) > MAX_ROWS:
                raise SiteError(f"expected at most {MAX_ROWS} phones")
    except csv.Error as error:
        raise SiteError(f"this is no CSV file: {error}") from None
    if not rows:
        raise SiteError("there is no phone in it; expected lines such as 1400E9123456,1001")
    if len({row.mac for row in rows}) < len(rows):
        raise SiteError("a MAC address stands there twice")
    return rows


def add_entry_pages(router: APIRouter, phones: PhoneDesk) -> None:
    desk = phones.desk
    console = desk.console

    @router.get("/phones/add")
    async def add_page(request: Request) -> Response:
        return await entry(request, Form())

    @router.post("/phones/add")
    async def add(request: Request) -> Response:
        form: Form = request.state.form
        try:
            mac = normal_mac(form.value("mac"))
            extension_id = await phones.extension_of(form.value("number"))
            await enter(request, mac, extension_id, form.value("model"))
        except SiteError as error:
            form.refuse(error.field, str(error))
            return await entry(request, form, 422)
        console.shell.tell(request, f"Phone {pretty_mac(mac)} is expected. It still has to be approved when it asks.")
        return console.shell.go(f"/phones/{mac}")

    @router.get("/phones/import")
    async def import_page(request: Request) -> Response:
        return console.shell.page(request, "phones_import.html")

    @router.post("/phones/import")
    async def import_phones(request: Request) -> Response:
        form: Form = request.state.form
        try:
            rows = read_csv(await _file(form) or form.exact("csv"))
        except SiteError as error:
            form.refuse("csv", str(error))
            return console.shell.page(request, "phones_import.html", 422, form=form)
        added, problems = await take_in(request, rows)
        if added:
            console.shell.tell(request, f"{added} of {len(rows)} phones are taken in.")
        if problems:
            shown = "; ".join(problems[:10]) + (f"; and {len(problems) - 10} more" if len(problems) > 10 else "")
            form.refuse("csv", shown)
            return console.shell.page(request, "phones_import.html", 422, form=form)
        return console.shell.go("/phones?state=expected")

    async def take_in(request: Request, rows: Sequence[ImportRow]) -> tuple[int, list[str]]:
        """How many went well, and what did not, by line."""
        extensions = await phones.rows.extension_ids()
        problems: dict[int, str] = {}
        wishes: list[tuple[ImportRow, tuple[str, str, int | None]]] = []
        for row in rows:
            try:
                wishes.append((row, (row.mac, _model(row.model), pick(row.extension, extensions))))
            except SiteError as error:
                problems[row.line] = str(error)
        results = await phones.repository.enter([wish for _, wish in wishes])
        problems |= {row.line: result for (row, _), result in zip(wishes, results, strict=True) if result}
        macs = [row.mac for row in rows if row.line not in problems]
        added = len(macs)
        if added:
            await desk.console.note(request, "imported phones", "phones", f"{added} phones")
            desk.bulletin.publish(PHONES, macs)
        return added, [f"line {line}: {problems[line]}" for line in sorted(problems)]

    async def enter(request: Request, mac: str, extension_id: int | None, model: str) -> None:
        if await phones.repository.all([mac]):
            raise SiteError("there is a phone of this MAC address already", "mac")
        (problem,) = await phones.repository.enter([(mac, _model(model), extension_id)])
        if problem:
            raise SiteError(problem, "number")
        number = await phones.number_of(extension_id)
        await desk.console.note(request, "added a phone", target(mac), f"extension {number}" if number else "")
        desk.bulletin.publish(PHONES, [mac])

    async def entry(request: Request, form: Form, status: int = 200) -> Response:
        free = await phones.free_extensions()
        return console.shell.page(request, "phone_add.html", status, form=form, free=free)


async def _file(form: Form) -> str:
    """The chosen file's text, "" when none was chosen. SiteError."""
    if "file" not in form.files:
        return ""
    try:
        return (await form.files["file"].read(MAX_CSV_BYTES + 1)).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SiteError("the file is not in UTF-8") from None


def _model(text: str) -> str:
    """SiteError."""
    name = text.removeprefix("Mitel").removeprefix("Aastra").strip()
    if name and not _MODEL.match(name):
        raise SiteError(f"{text[:20]!r} is no model; expected one such as 6930 or 6867i, or none", "model")
    return name

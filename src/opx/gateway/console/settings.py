"""MiVoice Border Gateway > System configuration > Settings: a form over the settings file, which stays the only truth.

A change is written into the file, with its comments and everything else as they were; the version before is kept
beside it. What the gateway takes over at once and what waits for its next start is said at each setting.
"""

import asyncio
import contextlib
import hashlib
import os
import shutil
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from opx.config import ConfigError, SettingsFile, problem_with
from opx.gateway.console.desk import Desk
from opx.gateway.console.settings_fields import FIELDS, LABELS, SECTIONS, shown, text_of, typed
from opx.gateway.control.protocol import ControlError, NobodyThere
from opx.gateway.live_settings import LIVE, Path, differing, waiting
from opx.gateway.settings import GatewaySettings
from opx.toml_edit import CannotEdit, merged, with_values
from opx.web.conflicts import Clash, clash
from opx.web.forms import Form
from opx.web.pages import MenuEntry, Room

TARGET = "settings"
BEFORE = ".before"
"""Ending of the file with the version before the last change from here."""


@dataclass(frozen=True, slots=True)
class Current:
    """The file as it is now. `settings` is None when it holds a mistake, which `problem` names."""

    file: SettingsFile
    settings: GatewaySettings | None
    problem: str
    writable: bool

    @property
    def version(self) -> str:
        return hashlib.sha256(self.file.text.encode()).hexdigest()[:16]


def settings_room(desk: Desk) -> Room:
    router = APIRouter()

    @router.get("/settings")
    async def settings_page(request: Request) -> Response:
        current = await asyncio.to_thread(read, desk.file.path)
        return page(request, current, Form(_values(current, desk)))

    @router.post("/settings")
    async def save(request: Request) -> Response:
        form: Form = request.state.form
        current = await asyncio.to_thread(read, desk.file.path)
        if current.settings is None or not current.writable:
            return page(request, current, form, 409)
        if form.value("version") != current.version:
            stored = shown(current.settings)
            texts = {field.name: form.value(field.name) for field in FIELDS}
            entry = await desk.console.audit.last(TARGET)
            kept = Form({**texts, "version": current.version})
            return page(request, current, kept, 409, clash(LABELS, stored, texts, entry))
        changes = _changes(form, current.settings)
        text = _checked(form, current, changes) if not form.errors else ""
        if form.errors:
            return page(request, current, form, 422)
        if changes:
            if not await asyncio.to_thread(write, current.file, text):
                form.refuse("", "The file was changed in this very moment. Save again to see what differs.")
                return page(request, current, form, 409)
            await taken(request, current.settings, text)
        else:
            desk.console.shell.tell(request, "Nothing was changed.")
        return desk.console.shell.go("/settings")

    async def taken(request: Request, before: GatewaySettings, text: str) -> None:
        """Note what was written, and let the gateway take over what it can."""
        shell = desk.console.shell
        after = SettingsFile(desk.file.path, text).settings(GatewaySettings)
        found = differing(before, after)
        detail = "; ".join(
            f"{'.'.join(path)} {text_of(old) or 'nothing'} to {text_of(new) or 'nothing'}"
            for path, (old, new) in found.items()
        )
        await desk.console.note(request, "changed settings", TARGET, detail)
        shell.tell(request, "The settings are saved.")
        if not LIVE.isdisjoint(found):
            try:
                await desk.control.take_settings()
            except NobodyThere:
                shell.tell(request, "No gateway is running here; it takes them over at its next start.", kind="warn")
            except ControlError as error:
                shell.tell(request, f"The running gateway has not taken them over: {error}", kind="warn")

    def page(request: Request, current: Current, form: Form, status: int = 200, found: Clash | None = None) -> Response:
        pending = waiting(desk.settings, current.settings) if current.settings is not None else {}
        return desk.console.shell.page(
            request,
            "settings.html",
            status,
            form=form,
            current=current,
            sections=SECTIONS,
            labels=LABELS,
            pending={".".join(path): (text_of(old), text_of(new)) for path, (old, new) in pending.items()},
            clash=found,
        )

    menu = MenuEntry(("MiVoice Border Gateway", "System configuration", "Settings"), "/settings", 110)
    return Room(router, (menu,))


def read(path: File) -> Current:
    """The file as it is now, mistakes and all."""
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    try:
        file = SettingsFile.read(path)
    except ConfigError as error:
        return Current(SettingsFile(path, ""), None, str(error), writable)
    try:
        return Current(file, file.settings(GatewaySettings), "", writable)
    except ConfigError as error:
        return Current(file, None, str(error), writable)


def write(before: SettingsFile, text: str) -> bool:
    """In one step: whoever reads the file meanwhile finds the old or the new one, and after a power cut, too.

    False, and nothing is done, when the file does not hold any more what stood in it `before`.
    """
    path = before.path
    if path.read_text(encoding="utf-8") != before.text:
        return False
    shutil.copy2(path, path.with_name(path.name + BEFORE))
    status = path.stat()
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(descriptor, status.st_mode & 0o7777)
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fsync(descriptor)
        File(draft).replace(path)
    except BaseException:
        File(draft).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True


def _values(current: Current, desk: Desk) -> dict[str, str]:
    return {**shown(current.settings or desk.settings), "version": current.version}


def _changes(form: Form, settings: GatewaySettings) -> dict[Path, Any]:
    """What differs between the form and the file; a field that was not sent is no change."""
    before = shown(settings)
    asked = typed(form)
    changed = {
        field.path
        for field in FIELDS
        if (field.name in form or field.kind == "flag") and form.value(field.name) != before[field.name]
    }
    return {path: asked[path] for path in asked if path in changed}


def _checked(form: Form, current: Current, changes: Mapping[Path, Any]) -> str:
    """The file's new text; mistakes are noted at the fields that they concern."""
    data = merged(tomllib.loads(current.file.text), changes)
    try:
        GatewaySettings.model_validate(data)
    except ValidationError as error:
        for detail in error.errors():
            _refuse(form, detail["loc"], problem_with(GatewaySettings, detail))
        return ""
    try:
        return with_values(current.file.text, changes)
    except CannotEdit as error:
        form.refuse("", str(error))
        return ""


def _refuse(form: Form, key: tuple[str | int, ...], problem: str) -> None:
    """At the field of that setting, or of the nearest around the place; else at the form as a whole."""
    path = tuple(part for part in key if isinstance(part, str))
    fitting = [field for field in FIELDS if field.path == path]
    if fitting:
        form.refuse(fitting[0].name, problem)
    else:
        form.refuse("", f"{'.'.join(path)}: {problem}")

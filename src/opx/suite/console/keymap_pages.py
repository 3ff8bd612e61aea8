"""The keys of a keymap profile: a page for each location, a row for each key."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from fastapi import APIRouter, HTTPException, Request, Response

from opx.suite.console.desk import Desk
from opx.suite.console.profile_forms import Page
from opx.suite.handsets.catalogue import MODELS
from opx.suite.handsets.keys import STATES, Key
from opx.suite.profiles.records import KEY_TYPES, LOCATIONS, ProfileRecord
from opx.suite.profiles.repository import ProfileRepository
from opx.suite.sites.records import Conflict, SiteError
from opx.suite.topics import PROFILES
from opx.web.forms import Form

LOCATION_NAMES = {
    "top": "Beside the display",
    "bottom": "Below the display",
    "expmod1": "Module 1",
    "expmod2": "Module 2",
    "expmod3": "Module 3",
}
ROWS = 12
"""Shown at first; more when more are used."""
MORE_ROWS = 12
MAX_ROWS = 60
"""Of one page: a form has room for as many, and goes on with the next ones."""
MOST = {"top": 48, "bottom": 55, "expmod1": 84, "expmod2": 84, "expmod3": 84}
"""Keys of the handset that has the most of them."""


def add_keymap_pages(
    router: APIRouter,
    desk: Desk,
    page: Page,
    repository: ProfileRepository,
    known: Callable[[int], Awaitable[ProfileRecord]],
) -> None:
    @router.get(f"{page.path}/{{profile_id:int}}/keys/{{location}}")
    async def keys_page(request: Request, profile_id: int, location: str) -> Response:
        return show(request, await known(profile_id), location, _first(request.query_params.get("from", "")), None)

    @router.post(f"{page.path}/{{profile_id:int}}/keys/{{location}}")
    async def save_keys(request: Request, profile_id: int, location: str) -> Response:
        record, form = await known(profile_id), request.state.form
        first = _first(form.value("from"))
        if location not in LOCATIONS:
            raise HTTPException(404)
        here = _numbers(form, first, MOST[location])
        typed = [_typed(form, location, number) for number in here]
        others = [key for key in record.keys if key.location != location or key.number not in here]
        keys = [*others, *(key for key in typed if key is not None)]
        try:
            spec = replace(record.spec, keys=tuple(sorted(keys, key=lambda key: key.place)))
            record = await repository.save(spec, profile_id, form.number("version"))
        except SiteError as error:
            form.refuse(error.field, str(error))
            return show(request, record, location, first, form, 409 if isinstance(error, Conflict) else 422)
        await desk.console.note(request, "changed the keys of a keymap profile", record.name, LOCATION_NAMES[location])
        desk.bulletin.publish(PROFILES)
        desk.console.shell.tell(request, f"The keys of {record.name} are saved.")
        return desk.console.shell.go(f"{page.path}/{profile_id}/keys/{location}?from={first}")

    def show(
        request: Request, record: ProfileRecord, location: str, first: int, form: Form | None, status: int = 200
    ) -> Response:
        if location not in LOCATIONS:
            raise HTTPException(404)
        keys = {key.number: key for key in record.keys if key.location == location}
        used = max((number for number in keys if number < first + MAX_ROWS), default=0)
        wanted = request.query_params.get("rows", "")
        rows = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 4 else ROWS
        last = min(max(first + min(rows, MAX_ROWS) - 1, used + 4), first + MAX_ROWS - 1, MOST[location])
        shown = range(first, last + 1)
        return desk.console.shell.page(
            request,
            "keymap_keys.html",
            status,
            page=page,
            record=record,
            location=location,
            locations=LOCATION_NAMES,
            counts={name: sum(key.location == name for key in record.keys) for name in LOCATION_NAMES},
            numbers=shown,
            first=first,
            more=last - first + 1 + MORE_ROWS if last < min(first + MAX_ROWS - 1, MOST[location]) else 0,
            following=last + 1 if last == first + MAX_ROWS - 1 and last < MOST[location] else 0,
            types=KEY_TYPES,
            states=STATES,
            room=_room(location),
            form=form if form is not None else _form(record, keys),
            labels={f"key-{location}-{number}": f"Key {number}" for number in shown},
        )


def _first(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 3 and int(text) > 0 else 1


def _numbers(form: Form, first: int, most: int) -> list[int]:
    """The keys that the form has rows of."""
    return [number for number in range(first, min(first + MAX_ROWS, most + 1)) if f"type-{number}" in form]


def _typed(form: Form, location: str, number: int) -> Key | None:
    """A row as it was typed; None for one that is not a key. It is checked with the whole profile."""
    kind = form.value(f"type-{number}")
    if not kind:
        return None
    line = form.value(f"line-{number}")
    return Key(
        location,  # type: ignore[arg-type]
        number,
        kind,  # type: ignore[arg-type]
        form.value(f"value-{number}"),
        form.value(f"label-{number}"),
        int(line) if line.isascii() and line.isdigit() and len(line) < 4 else 0 if not line else -1,
        tuple(form.value(f"states-{number}").replace(",", " ").split()),
        form.flag(f"free-{number}"),
    )


def _form(record: ProfileRecord, keys: dict[int, Key]) -> Form:
    values = {"version": str(record.version)}
    for number, key in keys.items():
        values |= {
            f"type-{number}": key.type,
            f"value-{number}": key.value,
            f"label-{number}": key.label,
            f"line-{number}": str(key.line or ""),
            f"states-{number}": " ".join(key.states),
            f"free-{number}": "yes" if key.free else "",
        }
    return Form(values)


def _room(location: str) -> list[tuple[str, int]]:
    """How many keys of a location today's models have."""
    found = []
    for name, model in MODELS.items():
        number = model.keys(model.line_keys if location == "top" else "softkey" if location == "bottom" else location)
        if name.startswith("69") and number:
            found.append((name, number))
    return found

"""The frame of every page: templates, menu, messages, and who is signed in."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from markupsafe import Markup

from opx.web.forms import Form
from opx.web.pages import MenuEntry, menu_tree
from opx.web.sessions import Visitor

MAX_FLASHES = 1000
"""Messages that wait for their page, of all sessions."""
FLASH_LIFETIME = 120.0
"""Seconds that one waits."""
STATIC = Path(str(resources.files("opx.web"))) / "static"


@dataclass(frozen=True, slots=True)
class Flash:
    """A message that the next page shows once. `secret` is shown beside it, to be noted now or never."""

    kind: str
    text: str
    secret: str = ""


class Flashes:
    """Messages by session, in memory only: a secret among them is never written anywhere."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[tuple[float, Flash]]] = {}

    def add(self, session_id: str, flash: Flash) -> None:
        now = time.monotonic()
        while len(self._waiting) >= MAX_FLASHES:
            del self._waiting[next(iter(self._waiting))]
        fresh = [(at, waiting) for at, waiting in self._waiting.pop(session_id, []) if at > now - FLASH_LIFETIME]
        self._waiting[session_id] = [*fresh, (now, flash)]

    def take(self, session_id: str) -> list[Flash]:
        now = time.monotonic()
        return [flash for at, flash in self._waiting.pop(session_id, []) if at > now - FLASH_LIFETIME]


class Shell:
    """Renders pages. `product` is the program's name as people read it, `place` where it runs; `menu` gives the menu as
    it is now."""

    def __init__(
        self, product: str, place: str, menu: Callable[[], Sequence[MenuEntry]], templates: Sequence[Path]
    ) -> None:
        self.flashes = Flashes()
        self._menu = menu
        folders = [*templates, Path(str(resources.files("opx.web"))) / "templates"]
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(folders),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(
            product=product, place=place, assets={path.name: _address(path) for path in STATIC.iterdir()}
        )
        self._environment.filters.update(when=when, ago=ago, count=count, size=size, pair=lambda value: (value, value))

    def page(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """The page for whoever asks; what a template needs beside the frame comes as `values`."""
        visitor: Visitor | None = getattr(request.state, "visitor", None)
        live = "x-opx-live" in request.headers
        # A page that only brings itself up to date must not take the messages that a person is to see.
        flashes = self.flashes.take(visitor.session_id) if visitor and not live else []
        text = self._environment.get_template(template).render(
            request=request,
            path=request.url.path,
            menu=menu_tree(self._menu(), request.url.path) if visitor else [],
            visitor=visitor,
            may_change=visitor is not None and visitor.user.may_change,
            form_token=getattr(request.state, "form_token", ""),
            flashes=flashes,
            now=time.time(),
            **({"form": Form()} | values),
        )
        return HTMLResponse(text, status)

    def tell(self, request: Request, text: str, *, kind: str = "good", secret: str = "") -> None:
        """Let the next page of this session show a message."""
        self.flashes.add(request.state.visitor.session_id, Flash(kind, text, secret))

    def go(self, path: str) -> RedirectResponse:
        """To another page after a form was taken, so that reloading does not send it again."""
        return RedirectResponse(path, 303)


def _address(path: Path) -> str:
    """An asset's address, which changes with its content and can be cached for good."""
    return f"/static/{path.name}?v={hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"


def when(at: float | None) -> Markup | str:
    """A time of day and date on this machine's clock, for people and for programs."""
    if at is None:
        return "never"
    local = time.localtime(at)
    machine = time.strftime("%Y-%m-%dT%H:%M:%S%z", local)
    return Markup('<time datetime="{}">{}</time>').format(machine, time.strftime("%Y-%m-%d %H:%M:%S", local))


def ago(seconds: float) -> str:
    """A stretch of time in its two largest units, such as "2 d 4 h"."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number or (name == "s" and not parts):
            parts.append(f"{number} {name}")
    return " ".join(parts[:2])


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun: 1 device, 2 devices."""
    return f"{number:,} {one if number == 1 else many or one + 's'}".replace(",", "\u202f")


def size(octets: float) -> str:
    """Bytes for people: 1.2 MB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if octets < 1000:
            return f"{octets:.0f} {unit}" if unit == "bytes" or octets >= 100 else f"{octets:.1f} {unit}"
        octets /= 1000
    return f"{octets:.1f} TB"

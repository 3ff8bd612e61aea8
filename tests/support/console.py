"""The gateway's console in memory: its ASGI application, and visitors who fill in its forms as a browser does."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Protocol

import argon2
import httpx
from starlette.types import ASGIApp

from opx.config import SettingsFile
from opx.gateway.control.protocol import NobodyThere
from opx.gateway.web.service import WebService
from opx.web.accounts import Role
from opx.web.console import Console
from opx.web.passwords import PasswordHasher
from support.postgres import DATABASES

PASSWORD = "four quiet red kettles"
HOST = "https://console.test"
SETTINGS = """\
# The office in Bern
[set_side]
address = "203.0.113.10"   # of the fibre line

[icp_side]
address = "192.168.20.1"
"""


def quick_hasher() -> PasswordHasher:
    """The same algorithm with as little work as it can do."""
    return PasswordHasher(argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


class Served(Protocol):
    """Any program's console, opened."""

    @property
    def app(self) -> ASGIApp: ...

    @property
    def console(self) -> Console: ...


class Visitor:
    """A browser without scripts: keeps cookies and the page that it is on."""

    def __init__(self, web: Served, address: str = "192.168.20.50") -> None:
        transport = httpx.ASGITransport(web.app, client=(address, 50000), raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url=HOST)
        self.page = httpx.Response(200)

    @property
    def text(self) -> str:
        """What stands on the page, its markup apart."""
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", self.page.text)).split())

    @property
    def html(self) -> str:
        return self.page.text

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Follows redirections, as browsers do."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.page = await self.client.get(path, headers=named, follow_redirects=True)
        return self.page

    async def send(self, path: str, **values: str | list[str]) -> httpx.Response:
        """Fill in the form that leads to `path` on the present page, and send it. What is not given stays as it is;
        "" unticks a box."""
        answer = await self.post(path, **values)
        self.page = await self.get(str(answer.next_request.url)) if answer.next_request else answer
        return self.page

    async def post(self, path: str, **values: str | list[str]) -> httpx.Response:
        """The same, and stay where the answer leads elsewhere."""
        boxes = self._parsed().boxes
        given = {name: value for name, value in values.items() if value or name not in boxes}
        kept = {name: value for name, value in self.form(path).items() if name not in values}
        self.page = await self.client.post(path, data={**kept, **given})
        return self.page

    def form(self, path: str) -> dict[str, str | list[str]]:
        """The fields of the page's form with that action."""
        parser = self._parsed()
        found = [fields for action, fields in parser.forms if action == path]
        assert found, f"no form leads to {path} on {self.page.url}: {[action for action, _ in parser.forms]}"
        return {name: values[0] if len(values) == 1 else values for name, values in found[0].items()}

    def _parsed(self) -> "_Forms":
        parser = _Forms()
        parser.feed(self.page.text)
        return parser

    async def sign_in(self, name: str, password: str = PASSWORD) -> httpx.Response:
        await self.get("/sign-in")
        return await self.send("/sign-in", name=name, password=password)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, list[str]]]] = []
        self.boxes: set[str] = set()
        self._select = ""
        self._area: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        name = values.get("name") or ""
        if tag == "form":
            self.forms.append((values.get("action") or "", {}))
        elif tag == "input" and name:
            box = values.get("type") in ("checkbox", "radio")
            if box:
                self.boxes.add(name)
            ticked = not box or "checked" in values
            if ticked:
                self._add(name, values.get("value") or "")
        elif tag == "select":
            self._select = name
        elif tag == "option" and "selected" in values:
            self._add(self._select, values.get("value") or "")
        elif tag == "textarea":
            self._area = name
            self._add(name, "")

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self.forms[-1][1][self._area][-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = None

    def _add(self, name: str, value: str) -> None:
        self.forms[-1][1].setdefault(name, []).append(value)


class StandIn:
    """Stands in for the running gateway: answers with what it was given, and with nothing else."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        async def ask(*arguments: Any, **named: Any) -> Any:
            self.asked.append(name)
            if name not in self.answers:
                raise NobodyThere("no gateway listens here")
            return self.answers[name]

        return ask


@asynccontextmanager
async def open_console(
    folder: Path, settings: str = SETTINGS, control: StandIn | None = None
) -> AsyncIterator[WebService]:
    """The web face of a gateway whose files are in `folder`, without any network."""
    path = folder / "gateway.toml"
    if not path.exists():
        place = DATABASES.setting(folder / "gateway.db")
        path.write_text(settings if place == str(folder / "gateway.db") else f'database = "{place}"\n{settings}')
    web = WebService(SettingsFile.read(path), quick_hasher(), control)
    await web.open()
    try:
        yield web
    finally:
        await web.stop()


async def add_user(web: Served, name: str, role: Role = Role.ADMINISTRATOR) -> None:
    """A user who can sign in with PASSWORD."""
    user = await web.console.accounts.add(name, role)
    await web.console.accounts.set_password(user.id, await web.console.hasher.hash(PASSWORD))


async def signed_in(web: Served, name: str = "ada", role: Role = Role.ADMINISTRATOR) -> Visitor:
    """A visitor who is signed in as a new user."""
    await add_user(web, name, role)
    visitor = Visitor(web)
    assert (await visitor.sign_in(name)).status_code == 200, visitor.text
    return visitor

"""A console: the frame, the people who sign in to it, and the pages that a program's rooms bring."""

import logging
from collections.abc import Sequence
from pathlib import Path

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from opx.web.accounts import Accounts
from opx.web.audit import Audit
from opx.web.guard import Envelope, Guard, Refused, SignInNeeded, Uploads
from opx.web.limits import SignInLimits
from opx.web.pages import MenuEntry, Room
from opx.web.passwords import PasswordHasher
from opx.web.policy import ConsolePolicy
from opx.web.sessions import Sessions
from opx.web.shell import STATIC, Shell
from opx.web.tables import ConsoleTables

OPEN_PATHS = frozenset({"/sign-in", "/link/", "/static/", "/health"})

log = logging.getLogger(__name__)


class Console:
    """What its pages work with. `app` is the whole as an ASGI application, once `serve` was given the rooms."""

    app: ASGIApp

    def __init__(
        self,
        name: str,
        engine: AsyncEngine,
        tables: ConsoleTables,
        policy: ConsolePolicy,
        hasher: PasswordHasher | None = None,
    ) -> None:
        self.name = name
        self.policy = policy
        self.hasher = hasher or PasswordHasher()
        self.accounts = Accounts(engine, tables)
        self.sessions = Sessions(engine, tables, idle=policy.session_idle, longest=policy.session_longest)
        self.audit = Audit(engine, tables)
        self.limits = SignInLimits(policy.tries_per_user, policy.tries_per_source, policy.tries_window)

    def serve(self, product: str, place: str, rooms: Sequence[Room], templates: Sequence[Path] = ()) -> None:
        """Build `app`; `product` and `place` say on every page what this is and where it runs."""
        reader_paths = frozenset().union(*(room.open_paths for room in rooms))
        uploads = Uploads({pattern: most for room in rooms for pattern, most in room.uploads.items()})
        self.guard = Guard(self.name, self.sessions, OPEN_PATHS, reader_paths, uploads)
        self.shell = Shell(product, place, lambda: _menu(rooms), templates)
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(self.guard)])
        app.mount("/static", _Assets(directory=STATIC))
        app.add_api_route("/health", _health, methods=["GET"])
        for room in rooms:
            app.include_router(room.router)
        app.add_exception_handler(SignInNeeded, self._ask_to_sign_in)
        app.add_exception_handler(Refused, self._refuse)
        app.add_exception_handler(HTTPException, self._say_what_is_wrong)
        app.add_exception_handler(Exception, self._apologise)
        self.app = Envelope(app, uploads)

    async def note(self, request: Request, action: str, target: str = "", detail: str = "") -> None:
        """Write down in the audit log what the visitor did."""
        visitor = request.state.visitor
        name = visitor.user.name if visitor else ""
        await self.audit.note(name, request.state.source, action, target, detail)

    async def announcement(self, url: str, authority: Path | None) -> list[str]:
        """What the program's owner is told at the start: where this is (`url`, with a trailing slash), which
        `authority` browsers are to trust, and how to sign in the first time."""
        lines = [f"console at {url}"]
        if authority is not None:
            lines.append(f"its authority, for browsers to trust: {authority}")
        token = await self.accounts.first_link(self.policy.link_lifetime)
        if token is not None:
            hours = self.policy.link_lifetime / 3600
            lines.append(f"first sign-in, once and within {hours:g} h: {url}link/{token}")
        return lines

    def seal(self, request: Request, response: Response) -> Response:
        """Give a visitor who is not signed in the cookie that belongs to the form on the page."""
        if request.state.fresh_secret:
            self._set(response, self.guard.form_cookie, request.state.fresh_secret)
        return response

    def let_in(self, response: Response, session_id: str) -> None:
        """The cookie of a session; it ends with the browser, and on our side as the policy says."""
        self._set(response, self.guard.session_cookie, session_id)
        response.delete_cookie(self.guard.form_cookie, path="/", secure=True, httponly=True, samesite="lax")

    def let_out(self, response: Response) -> None:
        response.delete_cookie(self.guard.session_cookie, path="/", secure=True, httponly=True, samesite="lax")

    def _set(self, response: Response, name: str, value: str) -> None:
        response.set_cookie(name, value, path="/", secure=True, httponly=True, samesite="lax")

    # --- when something is in the way

    async def _ask_to_sign_in(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, SignInNeeded)
        if "x-opx-live" in request.headers:
            return Response(status_code=401)
        return self.shell.go(f"/sign-in?next={error.goal}" if error.goal else "/sign-in")

    async def _refuse(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return self._error_page(request, error.status, error.title, error.text)

    async def _say_what_is_wrong(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        titles = {404: "Not found", 405: "Not possible here"}
        texts = {404: "There is no such page, or what it showed is gone.", 405: "This page takes no such request."}
        status = error.status_code
        return self._error_page(
            request, status, titles.get(status, "Not possible"), texts.get(status, str(error.detail))
        )

    async def _apologise(self, request: Request, error: Exception) -> Response:
        log.error("a page failed: %s %s", request.method, request.url.path, exc_info=error)
        text = "The page failed; the log says why. Nothing else is affected: calls go on."
        return self._error_page(request, 500, "Something went wrong", text)

    def _error_page(self, request: Request, status: int, title: str, text: str) -> Response:
        if not hasattr(request.state, "visitor"):
            request.state.visitor = None
        return self.shell.page(request, "error.html", status, title=title, text=text)


class _Assets(StaticFiles):
    """Their addresses change with their content."""

    def file_response(self, *arguments: object, **named: object) -> Response:
        response: Response = super().file_response(*arguments, **named)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def _menu(rooms: Sequence[Room]) -> list[MenuEntry]:
    fixed = [entry for room in rooms for entry in room.menu]
    return fixed + [entry for room in rooms if room.more is not None for entry in room.more()]


async def _health() -> JSONResponse:
    """That this process serves; for supervisors and load balancers."""
    return JSONResponse({"status": "ok"})

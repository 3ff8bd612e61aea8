"""Who may do what: the session behind a cookie, roles, form tokens, and what every answer carries."""

import hmac
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from urllib.parse import quote, urlsplit

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from opx.web.forms import Form
from opx.web.sessions import Sessions, form_token

MAX_BODY = 256 * 1024
"""Bytes of a request's body; the largest form, the settings, is a tenth of it."""
MAX_FIELDS = 500
MAX_FILES = 10
READING = frozenset({"GET", "HEAD"})

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class SignInNeeded(Exception):
    """Nobody is signed in; `goal` is where to go on afterwards."""

    def __init__(self, goal: str) -> None:
        super().__init__(goal)
        self.goal = goal


class Refused(Exception):
    """A request that is not carried out; the text says why, to a person."""

    def __init__(self, status: int, title: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.title = title
        self.text = text


class Uploads:
    """Which paths take files: regular expressions, each with the bytes that a request there may have."""

    def __init__(self, most: Mapping[str, int]) -> None:
        self._most = [(re.compile(pattern), number) for pattern, number in most.items()]

    def __contains__(self, path: str) -> bool:
        return any(pattern.fullmatch(path) for pattern, _ in self._most)

    def limit(self, path: str) -> int:
        return next((number for pattern, number in self._most if pattern.fullmatch(path)), MAX_BODY)


class Guard:
    """A dependency of every route: nothing is reached past it.

    `open_paths` are served to anyone, `reader_paths` take forms of read-only users, too. `name` makes the cookies'
    names; browsers share cookies between the ports of a host.
    """

    def __init__(
        self,
        name: str,
        sessions: Sessions,
        open_paths: frozenset[str],
        reader_paths: frozenset[str],
        uploads: Uploads | None = None,
    ) -> None:
        self.session_cookie = f"__Host-{name}"
        self.form_cookie = f"__Host-{name}-form"
        self._sessions = sessions
        self._open_paths = open_paths
        self._reader_paths = reader_paths
        self._uploads = uploads or Uploads({})

    async def __call__(self, request: Request) -> AsyncIterator[None]:
        """Around each request. SignInNeeded, Refused."""
        try:
            await self._let_in(request)
            yield
        finally:
            # Files that came with a form.
            await request.close()

    async def _let_in(self, request: Request) -> None:
        state, path = request.state, request.url.path
        state.source = request.client.host if request.client else ""
        state.form = Form()
        by_itself = "x-opx-live" in request.headers
        session_id = request.cookies.get(self.session_cookie, "")
        state.visitor = await self._sessions.visitor(session_id, used=not by_itself) if session_id else None
        is_open = path in self._open_paths or any(
            path.startswith(prefix) for prefix in self._open_paths if prefix.endswith("/") and prefix != "/"
        )
        if state.visitor is None and not is_open:
            raise SignInNeeded(_goal(request))
        state.fresh_secret = ""
        if state.visitor is not None:
            state.form_token = state.visitor.form_token
        else:
            secret = request.cookies.get(self.form_cookie, "")
            if not secret:
                secret = state.fresh_secret = secrets.token_urlsafe(32)
            state.form_token = form_token(secret)
        if request.method in READING:
            return
        await self._check_form(request)
        if state.visitor is not None and not state.visitor.user.may_change and path not in self._reader_paths:
            raise Refused(403, "Not allowed", "Your role is read-only: it may look at everything and change nothing.")

    async def _check_form(self, request: Request) -> None:
        if not _from_here(request.headers):
            raise Refused(403, "Not from here", "This form was sent from a page of another site.")
        files = MAX_FILES if request.url.path in self._uploads else 0
        request.state.form = form = Form.of(await request.form(max_files=files, max_fields=MAX_FIELDS))
        if not hmac.compare_digest(form.exact("form_token").encode(), request.state.form_token.encode()):
            raise Refused(
                403,
                "Not taken",
                "This form is not from your present session. Go back, reload the page and send it again.",
            )


def _from_here(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that a form is from another site; one that says nothing is judged by the form's token."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin", "")
    # A page under Referrer-Policy: no-referrer sends the origin "null".
    return origin in ("", "null") or urlsplit(origin).netloc == headers.get("host", "")


def _goal(request: Request) -> str:
    if request.method not in READING or request.url.path == "/":
        return ""
    query = f"?{request.url.query}" if request.url.query else ""
    return quote(request.url.path + query, safe="")


def safe_goal(text: str) -> str:
    """A path of this console to go on to, "/" for anything else: no link of ours leads a user elsewhere."""
    if not text.startswith("/") or text.startswith("//") or "\\" in text or not text.isprintable():
        return "/"
    return text


class Envelope:
    """Outermost: bounds what comes in, and puts the security headers on whatever goes out."""

    def __init__(self, app: ASGIApp, uploads: Uploads | None = None) -> None:
        self._app = app
        self._uploads = uploads or Uploads({})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        taken, most = 0, self._uploads.limit(scope["path"])

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most:
                raise Refused(413, "Too large", f"More than {most} bytes came with this request.")
            return message

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, bounded, sealed)

"""Every request comes through here before any route sees it: HTTPS, size, limits, signature.

Nothing behind the gate runs for a stranger, not even the look at which paths there are.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Response
from sqlalchemy.exc import DBAPIError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from opx.gateway.webservices.authority import Authority
from opx.gateway.webservices.oauth import SignedRequest, Unreadable
from opx.gateway.webservices.problems import CHALLENGE, Refused, Stranger
from opx.gateway.webservices.repository import WebServicesRepository

REQUEST_TOKEN = "/oauth/request_token"
AUTHORIZE = "/oauth/authorize"
ACCESS_TOKEN = "/oauth/access_token"

BODY_PATIENCE = 30.0
"""Seconds for a request's body to come."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class Gate:
    """`inner` finds the `Caller` in `request.state.caller`. `authorise_page` is where an administrator approves tokens;
    a browser that a client sends to AUTHORIZE is led there."""

    def __init__(
        self, inner: ASGIApp, authority: Authority, repository: WebServicesRepository, authorise_page: str
    ) -> None:
        self._inner = inner
        self._authority = authority
        self._repository = repository
        self._authorise_page = authorise_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = _Body(receive, self._repository.settings.body_bytes)
        try:
            answer = await self._judge(scope, body)
        except (DBAPIError, OSError):
            log.exception("web services: the database does not answer")
            answer = silence(503)
        if answer is not None:
            await answer(scope, body.again, send)
        else:
            await self._inner(scope, body.again, send)

    async def _judge(self, scope: Scope, body: "_Body") -> Response | None:
        """The answer, or None when the request may pass."""
        client = scope.get("client")
        source = client[0] if client else ""
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        if scope["scheme"] != "https":
            return silence(403)
        wait = self._authority.wait(source)
        if wait:
            return silence(429, {"Retry-After": str(int(wait) + 1)})
        if not await self._repository.started():
            return silence(503)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path == AUTHORIZE and scope["method"] == "GET" and self._authorise_page:
            return Response(status_code=303, headers={"Location": self._authorise_page, "Cache-Control": "no-store"})
        try:
            async with asyncio.timeout(BODY_PATIENCE):
                content = await body.read(headers)
        except TimeoutError:
            return silence(408, {"Connection": "close"})
        if content is None:
            return silence(413, {"Connection": "close"})
        state = scope.setdefault("state", {})
        state["source"] = source
        try:
            signed = SignedRequest.read(scope["method"], _uri(scope, dict(headers)), headers, content)
        except Unreadable as error:
            self._authority.note(source, "", str(error))
            return silence(401, {"WWW-Authenticate": CHALLENGE})
        state["signed"] = signed
        if path in (REQUEST_TOKEN, ACCESS_TOKEN) and scope["method"] == "POST":
            # These are signed with something else than a final token; their routes look at it.
            return None
        judged = await judge(self._authority, signed, source, self._authority.caller)
        if isinstance(judged, Response):
            return judged
        state["caller"] = judged
        return None


async def judge(
    authority: Authority,
    signed: SignedRequest,
    source: str,
    step: Callable[[SignedRequest, str], Awaitable[T]],
) -> T | Response:
    """What a step of `authority` gives, or the answer for who is turned away; that is noted."""
    try:
        return await step(signed, source)
    except Stranger as error:
        authority.note(source, signed.client_key, str(error))
        return silence(401, {"WWW-Authenticate": CHALLENGE})
    except Refused as refused:
        authority.note(source, signed.client_key, str(refused), stranger=False)
        return refused.response()


class _Body:
    """A request's body, read to its end and given to the application afterwards."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = most
        self._content: bytes | None = None
        self._given = False

    async def read(self, headers: list[tuple[str, str]]) -> bytes | None:
        """None when it is too long, or breaks off."""
        length = dict(headers).get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length[:20]) > self._most:
            return None
        content = bytearray()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return None
            content += message.get("body", b"")
            if len(content) > self._most:
                return None
            if not message.get("more_body", False):
                break
        self._content = bytes(content)
        return self._content

    async def again(self) -> Message:
        if self._content is not None and not self._given:
            self._given = True
            return {"type": "http.request", "body": self._content, "more_body": False}
        return await self._receive()


def _uri(scope: Scope, headers: dict[str, str]) -> str:
    """As the client called it. Unreadable without a Host."""
    host = headers.get("host", "")
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope.get("query_string", b"")
    if not host:
        raise Unreadable("no Host")
    try:
        return f"https://{host}{path.decode('ascii')}" + (f"?{query.decode('ascii')}" if query else "")
    except UnicodeDecodeError:
        raise Unreadable("an address that is not ASCII") from None


def silence(status: int, headers: dict[str, str] | None = None) -> Response:
    """An answer without a word."""
    return Response(status_code=status, headers={"Cache-Control": "no-store", **(headers or {})})

"""Every request comes through here before any route sees it: HTTPS, size, limits, signature.

Nothing behind the gate runs for a stranger, not even the look at which paths there are.
"""

import logging
from urllib.parse import urlencode

from fastapi import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from opx.gateway.webservices.authority import Authority
from opx.gateway.webservices.oauth import FORM, SignedRequest, Unreadable
from opx.gateway.webservices.problems import CHALLENGE, Refused, Stranger
from opx.gateway.webservices.records import NewToken
from opx.gateway.webservices.repository import WebServicesRepository

REQUEST_TOKEN = "/oauth/request_token"
AUTHORIZE = "/oauth/authorize"
ACCESS_TOKEN = "/oauth/access_token"

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
        answer = await self._judge(scope, body)
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
            return _silence(403)
        wait = self._authority.wait(source)
        if wait:
            return _silence(429, {"Retry-After": str(int(wait) + 1)})
        if not await self._repository.started():
            return _silence(503)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path == AUTHORIZE and scope["method"] == "GET" and self._authorise_page:
            return Response(status_code=303, headers={"Location": self._authorise_page, "Cache-Control": "no-store"})
        content = await body.read(headers)
        if content is None:
            return _silence(413, {"Connection": "close"})
        consumer = ""
        try:
            signed = SignedRequest.read(scope["method"], _uri(scope, dict(headers)), headers, content)
            consumer = signed.client_key
            match path:
                case "/oauth/request_token" if scope["method"] == "POST":
                    token = await self._authority.ask(signed, source)
                    return _form(token, [("oauth_callback_confirmed", "true")])
                case "/oauth/access_token" if scope["method"] == "POST":
                    return _form(await self._authority.trade(signed, source), [])
                case _:
                    scope.setdefault("state", {})["caller"] = await self._authority.caller(signed, source)
                    return None
        except (Stranger, Unreadable) as error:
            self._authority.note(source, consumer, str(error))
            return _silence(401, {"WWW-Authenticate": CHALLENGE})
        except Refused as refused:
            self._authority.note(source, consumer, str(refused), stranger=False)
            return refused.response()


class _Body:
    """A request's body, read to its end and given to the application afterwards."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = most
        self._content: bytes | None = None
        self._given = False

    async def read(self, headers: list[tuple[str, str]]) -> bytes | None:
        """None when it is too long."""
        length = dict(headers).get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length[:20]) > self._most:
            return None
        content = bytearray()
        while True:
            message = await self._receive()
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


def _silence(status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(status_code=status, headers={"Cache-Control": "no-store", **(headers or {})})


def _form(token: NewToken, more: list[tuple[str, str]]) -> Response:
    pairs = [("oauth_token", token.token), ("oauth_token_secret", token.secret), *more]
    pairs.append(("expires_at", str(int(token.expires_at))))
    return Response(urlencode(pairs), media_type=FORM, headers={"Cache-Control": "no-store"})

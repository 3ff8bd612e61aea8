"""The token exchange, and the resources Base: the gateway itself, for every valid token, and Base/managetoken for a
consumer's own token."""

import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from opx.gateway.webservices.authority import Authority
from opx.gateway.webservices.gate import ACCESS_TOKEN, REQUEST_TOKEN, judge
from opx.gateway.webservices.house import Calling, problems, who
from opx.gateway.webservices.oauth import FORM, SignedRequest
from opx.gateway.webservices.ports import ServerFacts
from opx.gateway.webservices.problems import Refused
from opx.gateway.webservices.records import MANAGE_TOKEN, Actor, FinalRecord, NewToken, Permission, WebServicesError
from opx.gateway.webservices.schema import ServerView, TokenView
from opx.gateway.webservices.service import WebServices

COMPATIBILITY_LEVEL = 12
"""The guide asks for 10 and up; it rises when resources get new abilities."""


_FORM = {
    "schema": {
        "type": "object",
        "required": ["oauth_token", "oauth_token_secret", "expires_at"],
        "properties": {
            "oauth_token": {"type": "string"},
            "oauth_token_secret": {"type": "string"},
            "oauth_callback_confirmed": {"type": "string"},
            "expires_at": {"type": "string", "description": "Seconds since 1970"},
        },
    }
}


class FormResponse(Response):
    media_type = FORM


def exchange_routes(authority: Authority) -> APIRouter:
    router = APIRouter(tags=["Token exchange"], default_response_class=FormResponse)
    answer: dict[int | str, dict[str, Any]] = {200: {"description": "As RFC 5849 says", "content": {FORM: _FORM}}}

    async def exchanged(request: Request, step: Callable[[SignedRequest, str], Awaitable[NewToken]]) -> Response:
        state = request.state
        judged = await judge(authority, state.signed, state.source, step)
        if isinstance(judged, Response):
            return judged
        pairs = [("oauth_token", judged.token), ("oauth_token_secret", judged.secret)]
        if step == authority.ask:
            pairs.append(("oauth_callback_confirmed", "true"))
        pairs.append(("expires_at", str(int(judged.expires_at))))
        return FormResponse(urlencode(pairs), headers={"Cache-Control": "no-store"})

    @router.post(REQUEST_TOKEN, operation_id="requestToken", responses={**answer, **problems(403)})
    async def request_token(request: Request) -> Response:
        """A temporary token (RFC 5849 section 2.1), to be approved by an administrator.

        Signed with the consumer's secret and `oauth_callback=oob`.
        """
        return await exchanged(request, authority.ask)

    @router.post(ACCESS_TOKEN, operation_id="accessToken", responses={**answer, **problems(403)})
    async def access_token(request: Request) -> Response:
        """The final token (RFC 5849 section 2.3). Signed with the temporary token and `oauth_verifier`."""
        return await exchanged(request, authority.trade)

    return router


def base_routes(service: WebServices, server: ServerFacts) -> APIRouter:
    router = APIRouter(prefix="/Base", tags=["Base"])

    @router.get("/server", operation_id="readServer")
    async def read_server(caller: Calling) -> ServerView:
        """For every valid token, whatever its permissions."""
        return ServerView.model_validate(
            {
                "product": "OPX",
                "version": server.version,
                "compatibility_level": COMPATIBILITY_LEVEL,
                "mode": server.mode,
                "inside_address": server.inside,
                "outside_address": server.outside,
                "sip_port": server.sip_port,
                "page_size": service.repository.settings.page_size,
                "bulk_size": service.repository.settings.bulk_size,
                "time": int(time.time()),
            }
        )

    @router.get("/managetoken", operation_id="readToken", responses=problems(403))
    async def read_token(caller: Calling) -> TokenView:
        caller.needs(MANAGE_TOKEN, Permission.READ)
        return _view(caller.token)

    @router.post("/managetoken/renew", operation_id="renewToken", responses=problems(403, 409))
    async def renew_token(caller: Calling) -> TokenView:
        """Let the token hold for twelve months again, or what the gateway's settings say."""
        caller.needs(MANAGE_TOKEN, Permission.READ_WRITE)
        try:
            return _view(await service.renew(Actor(who(caller), caller.source), caller.token.id))
        except WebServicesError as error:
            raise Refused(409, "not_renewed", str(error)) from None

    @router.delete("/managetoken", operation_id="dropToken", status_code=204, responses=problems(403, 409))
    async def drop_token(caller: Calling) -> None:
        """The token is void from now on."""
        caller.needs(MANAGE_TOKEN, Permission.READ_WRITE)
        try:
            await service.revoke(Actor(who(caller), caller.source), caller.token.id)
        except WebServicesError as error:
            raise Refused(409, "not_dropped", str(error)) from None

    return router


def _view(token: FinalRecord) -> TokenView:
    consumer = token.consumer
    return TokenView.model_validate(
        {
            "consumer_id": consumer.consumer_id,
            "name": consumer.name,
            "permissions": {name: permission.value for name, permission in consumer.permissions.items()},
            "issued_at": int(token.created_at),
            "expires_at": int(token.expires_at),
        }
    )

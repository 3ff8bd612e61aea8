"""The resources Base: the gateway itself, for every valid token, and Base/managetoken for a consumer's own token."""

import time

from fastapi import APIRouter

from opx.gateway.webservices.house import Calling, problems, who
from opx.gateway.webservices.ports import ServerFacts
from opx.gateway.webservices.problems import Refused
from opx.gateway.webservices.records import MANAGE_TOKEN, Actor, FinalRecord, Permission, WebServicesError
from opx.gateway.webservices.schema import ServerView, TokenView
from opx.gateway.webservices.service import WebServices

COMPATIBILITY_LEVEL = 11
"""The guide asks for 10 and up; it rises when resources get new abilities."""


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

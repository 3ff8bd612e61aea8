"""The resources OPX/v1/forwards: port forwarding rules, and who is behind a forwarded connection."""

from collections.abc import Awaitable
from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Path, Query, Response

from opx.gateway.webservices.house import (
    ETAG_HEADER,
    Calling,
    IfMatch,
    IfNoneMatch,
    expected_version,
    not_modified,
    problems,
    who,
)
from opx.gateway.webservices.ports import (
    AuditLog,
    ForwardOutdated,
    ForwardRefused,
    Forwards,
    ForwardState,
    ForwardUnknown,
    ForwardWish,
    OriginState,
    OriginUnknown,
)
from opx.gateway.webservices.problems import Refused, etag
from opx.gateway.webservices.records import FORWARDS, ORIGIN, Permission
from opx.gateway.webservices.schema import (
    MAX_ID,
    ForwardBody,
    ForwardList,
    ForwardView,
    OriginList,
    OriginsBody,
    OriginView,
)

Key = Annotated[int, Path(ge=1, le=MAX_ID)]
Address = Annotated[str, Query(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$")]
PortQuery = Annotated[int, Query(ge=1, le=65535)]

T = TypeVar("T")


def forward_routes(forwards: Forwards, audit: AuditLog) -> APIRouter:
    router = APIRouter(prefix="/OPX/v1/forwards", tags=["Port forwarding"])

    @router.get("", operation_id="listForwards", responses=problems(403))
    async def list_forwards(caller: Calling) -> ForwardList:
        caller.needs(FORWARDS, Permission.READ)
        return ForwardList(items=[_view(state) for state in await forwards.all()])

    @router.get("/origin", operation_id="findOrigin", responses=problems(403, 404, 503))
    async def find_origin(
        caller: Calling,
        address: Address,
        port: PortQuery,
        protocol: Literal["TCP", "UDP"] = "TCP",
        host: Annotated[str | None, Query(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$")] = None,
        host_port: Annotated[int | None, Query(ge=1, le=65535)] = None,
    ) -> OriginView:
        """Whom a connection comes from that its server sees come from `address` and `port`, because SNAT hides it.

        `host` and `host_port`, the server's own, make it certain where several connections share a source port.
        """
        caller.needs(ORIGIN, Permission.READ)
        if (host is None) != (host_port is None):
            raise Refused(422, "not_allowed", "host and host_port go together", field="host")
        server = (host, host_port) if host is not None and host_port is not None else None
        try:
            origin = await forwards.origin(protocol, (address, port), server)
        except OriginUnknown as error:
            raise Refused(503, "not_known", str(error)) from None
        if origin is None:
            raise Refused(404, "not_found", "no forwarded connection comes from there")
        return _origin(origin)

    @router.post("/origins", operation_id="findOrigins", responses=problems(403, 503))
    async def find_origins(body: OriginsBody, caller: Calling) -> OriginList:
        """The same of many connections at once, for a server whose clients all come at the same time.

        Nothing is changed by it, so reading is all that the consumer must be permitted.
        """
        caller.needs(ORIGIN, Permission.READ)
        asked = [((one.address, one.port), (one.host, one.host_port)) for one in body.connections]
        try:
            found = await forwards.origins_of(body.protocol, asked)
        except OriginUnknown as error:
            raise Refused(503, "not_known", str(error)) from None
        return OriginList(items=[_origin(one) if one is not None else None for one in found])

    @router.get(
        "/{key}",
        operation_id="readForward",
        response_model=ForwardView,
        responses={200: ETAG_HEADER, 304: {"description": "You have this version already"}, **problems(403, 404)},
    )
    async def read_forward(
        key: Key, caller: Calling, response: Response, if_none_match: IfNoneMatch = None
    ) -> ForwardView | Response:
        caller.needs(FORWARDS, Permission.READ)
        state = await _kept(forwards.get(key))
        response.headers["ETag"] = etag(state.version)
        return not_modified(if_none_match, state.version) or _view(state)

    @router.post("", operation_id="createForward", status_code=201, responses={201: ETAG_HEADER, **problems(403)})
    async def create_forward(body: ForwardBody, caller: Calling, response: Response) -> ForwardView:
        caller.needs(FORWARDS, Permission.READ_WRITE)
        state = await _kept(forwards.add(_wish(body)))
        response.headers["ETag"] = etag(state.version)
        await audit(who(caller), caller.source, "port forwarding rule added", _said(state))
        return _view(state)

    @router.put("/{key}", operation_id="changeForward", responses={200: ETAG_HEADER, **problems(403, 404, 412, 428)})
    async def change_forward(
        key: Key, body: ForwardBody, caller: Calling, response: Response, if_match: IfMatch = None
    ) -> ForwardView:
        caller.needs(FORWARDS, Permission.READ_WRITE)
        state = await _kept(forwards.change(key, expected_version(if_match), _wish(body)))
        response.headers["ETag"] = etag(state.version)
        await audit(who(caller), caller.source, "port forwarding rule changed", _said(state))
        return _view(state)

    @router.delete("/{key}", operation_id="removeForward", status_code=204, responses=problems(403, 404, 412, 428))
    async def remove_forward(key: Key, caller: Calling, if_match: IfMatch = None) -> None:
        caller.needs(FORWARDS, Permission.READ_WRITE)
        version = expected_version(if_match)
        state = await _kept(forwards.get(key))
        await _kept(forwards.remove(key, version))
        await audit(who(caller), caller.source, "port forwarding rule removed", _said(state))

    return router


async def _kept(work: Awaitable[T]) -> T:
    try:
        return await work
    except ForwardUnknown as error:
        raise Refused(404, "not_found", str(error)) from None
    except ForwardOutdated as error:
        raise Refused(412, "version_other", str(error)) from None
    except ForwardRefused as error:
        raise Refused(422, "not_allowed", str(error), field=error.field or None) from None


def _wish(body: ForwardBody) -> ForwardWish:
    return ForwardWish(
        body.protocol,
        body.ports,
        body.host,
        body.host_port,
        body.snat,
        tuple(body.sources),
        body.description,
        body.enabled,
        body.forced,
    )


def _view(state: ForwardState) -> ForwardView:
    wish = state.wish
    return ForwardView(
        id=state.id,
        version=state.version,
        protocol=wish.protocol,
        ports=wish.ports,
        host=wish.host,
        host_port=wish.host_port,
        snat=wish.snat,
        sources=list(wish.sources),
        description=wish.description,
        enabled=wish.enabled,
        forced=wish.forced,
        in_force=state.in_force,
        trouble=state.trouble,
        warnings=list(state.warnings),
    )


def _origin(origin: OriginState) -> OriginView:
    return OriginView(address=origin.address, port=origin.port, outside_port=origin.outside_port, rule=origin.rule)


def _said(state: ForwardState) -> str:
    wish = state.wish
    return f"{wish.protocol} {wish.ports} to {wish.host}" + (f":{wish.host_port}" if wish.host_port else "")

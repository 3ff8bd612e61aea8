"""The resource MBG/v1/icps: the PBX nodes behind the gateway."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from opx.gateway.records import IcpRecord, IcpSpec, NodeAddress, RepositoryError
from opx.gateway.webservices.house import (
    ETAG_HEADER,
    Calling,
    House,
    IfMatch,
    IfNoneMatch,
    expected_version,
    not_modified,
    problems,
    refusal,
    stored,
)
from opx.gateway.webservices.problems import etag
from opx.gateway.webservices.records import ICPS, Permission
from opx.gateway.webservices.schema import MAX_ID, IcpView, IcpWish, Node, Page

Key = Annotated[int, Path(ge=1, le=MAX_ID)]


def icp_routes(house: House) -> APIRouter:
    router = APIRouter(prefix="/MBG/v1/icps", tags=["ICPs"])
    repository = house.repository

    @router.get("", operation_id="listIcps", responses=problems(403))
    async def list_icps(
        caller: Calling,
        after: Annotated[int, Query(ge=0, le=MAX_ID)] = 0,
        limit: Annotated[int, Query(ge=1, le=house.settings.page_size)] = min(100, house.settings.page_size),
        name: Annotated[str | None, Query(min_length=1, max_length=64)] = None,
        host: Annotated[
            str | None, Query(min_length=1, max_length=253, description="Hostname or IP Address of any node")
        ] = None,
    ) -> Page[IcpView]:
        caller.needs(ICPS, Permission.READ)
        found = [
            icp
            for icp in sorted(await repository.icps(), key=lambda icp: icp.id)
            if (name is None or icp.name == name) and (host is None or host in {node.host for node in icp.addresses})
        ]
        rest = [icp for icp in found if icp.id > after]
        following = rest[limit - 1].id if len(rest) > limit else None
        return Page(items=[_view(icp) for icp in rest[:limit]], total=len(found), next=following)

    @router.get(
        "/{key}",
        operation_id="readIcp",
        response_model=IcpView,
        responses={200: ETAG_HEADER, 304: {"description": "You have this version already"}, **problems(403, 404)},
    )
    async def read_icp(
        key: Key, caller: Calling, response: Response, if_none_match: IfNoneMatch = None
    ) -> IcpView | Response:
        caller.needs(ICPS, Permission.READ)
        icp = await stored(repository.icp(key))
        response.headers["ETag"] = etag(icp.version)
        return not_modified(if_none_match, icp.version) or _view(icp)

    @router.post(
        "",
        operation_id="createIcp",
        status_code=201,
        responses={201: ETAG_HEADER, 200: {"model": IcpView, **ETAG_HEADER}, **problems(403, 409)},
    )
    async def create_icp(wish: IcpWish, caller: Calling, response: Response) -> IcpView:
        """201 for a new one; 200 when there is one of that name that is the same already."""
        caller.needs(ICPS, Permission.READ_WRITE)
        try:
            icp, made = await repository.save_icp(_spec(wish), version=0)
        except RepositoryError as error:
            raise refusal(error, creating=True) from None
        response.headers["ETag"] = etag(icp.version)
        if made:
            await house.changed(caller, response, "ICP added", icp.name, icp.host)
        else:
            response.status_code = 200
        return _view(icp)

    @router.put("/{key}", operation_id="changeIcp", responses={200: ETAG_HEADER, **problems(403, 404, 409, 412, 428)})
    async def change_icp(
        key: Key, wish: IcpWish, caller: Calling, response: Response, if_match: IfMatch = None
    ) -> IcpView:
        caller.needs(ICPS, Permission.READ_WRITE)
        icp, changed = await stored(repository.save_icp(_spec(wish), key, expected_version(if_match)))
        response.headers["ETag"] = etag(icp.version)
        if changed:
            await house.changed(caller, response, "ICP changed", icp.name, icp.host)
        return _view(icp)

    @router.delete("/{key}", operation_id="removeIcp", status_code=204, responses=problems(403, 404, 409, 412, 428))
    async def remove_icp(key: Key, caller: Calling, response: Response, if_match: IfMatch = None) -> None:
        caller.needs(ICPS, Permission.READ_WRITE)
        icp = await stored(repository.icp(key))
        await stored(repository.delete_icp(key, expected_version(if_match)))
        await house.changed(caller, response, "ICP removed", icp.name)

    return router


def _spec(wish: IcpWish) -> IcpSpec:
    nodes = tuple(NodeAddress(node.host, node.port, node.transport) for node in wish.nodes)
    return IcpSpec(wish.name, wish.host, wish.port, wish.transport, wish.type, nodes)


def _view(icp: IcpRecord) -> IcpView:
    nodes = [Node.model_validate({"host": it.host, "port": it.port, "transport": it.transport}) for it in icp.nodes]
    return IcpView.model_validate(
        {
            "id": icp.id,
            "version": icp.version,
            "name": icp.name,
            "type": icp.type,
            "host": icp.host,
            "port": icp.port,
            "transport": icp.transport,
            "nodes": nodes,
        }
    )

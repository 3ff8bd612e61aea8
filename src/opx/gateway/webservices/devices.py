"""The resource MBG/v1/devices: the SIP devices of the set side."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field, create_model

from opx.gateway.passwords import weakness_of
from opx.gateway.records import DeviceChange, DeviceRecord, DeviceSpec, RepositoryError
from opx.gateway.repository import DeviceQuery
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
from opx.gateway.webservices.problems import Refused, etag
from opx.gateway.webservices.records import DEVICES, Permission
from opx.gateway.webservices.schema import (
    MAX_ID,
    BulkCreate,
    BulkDelete,
    BulkEntry,
    BulkResult,
    BulkResults,
    BulkUpdate,
    DeviceView,
    DeviceWish,
    Page,
    Part,
)

Key = Annotated[int, Path(ge=1, le=MAX_ID)]


def device_routes(house: House) -> APIRouter:
    router = APIRouter(prefix="/MBG/v1/devices", tags=["Devices"])
    repository = house.repository
    bulk_model: Any = create_model(
        "BulkWrite",
        __base__=Part,
        __doc__="Changes that each stand for themselves, carried out in this order.",
        entries=(list[BulkEntry], Field(min_length=1, max_length=house.settings.bulk_size)),
    )

    async def names() -> dict[int, str]:
        return {icp.id: icp.name for icp in await repository.icps()}

    def spec_of(wish: DeviceWish, icps: dict[int, str]) -> DeviceSpec:
        """Refused."""
        if wish.icp_id not in icps:
            raise Refused(422, "not_allowed", f"there is no ICP with id {wish.icp_id}", field="icp_id")
        password = wish.set_password.get_secret_value() if wish.set_password is not None else None
        icp_password = wish.icp_password.get_secret_value() if wish.icp_password is not None else None
        weakness = weakness_of(password, wish.set_username) if password else ""
        if weakness and not house.permit_weak_passwords:
            text = f"the set-side password is weak: {weakness}"
            raise Refused(422, "weak_password", text, field="set_password")
        return DeviceSpec(
            wish.set_username,
            password,
            icps[wish.icp_id],
            wish.icp_username,
            icp_password,
            wish.description,
            wish.enabled,
        )

    @router.get("", operation_id="listDevices", responses=problems(403))
    async def list_devices(
        caller: Calling,
        after: Annotated[int, Query(ge=0, le=MAX_ID)] = 0,
        limit: Annotated[int, Query(ge=1, le=house.settings.page_size)] = min(100, house.settings.page_size),
        set_username: Annotated[str | None, Query(min_length=1, max_length=128)] = None,
        icp_username: Annotated[str | None, Query(min_length=1, max_length=128)] = None,
        icp_id: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
        enabled: bool | None = None,
        q: Annotated[str, Query(max_length=128, description="Anywhere in the user names or the description")] = "",
    ) -> Page[DeviceView]:
        caller.needs(DEVICES, Permission.READ)
        query = DeviceQuery(q, icp_id, enabled, set_username, icp_username)
        found, total = await repository.find_devices(query, limit + 1, after_id=after)
        icps = await names()
        following = found[limit - 1].id if len(found) > limit else None
        return Page(items=[_view(device, icps) for device in found[:limit]], total=total, next=following)

    @router.get(
        "/{key}",
        operation_id="readDevice",
        response_model=DeviceView,
        responses={200: ETAG_HEADER, 304: {"description": "You have this version already"}, **problems(403, 404)},
    )
    async def read_device(
        key: Key, caller: Calling, response: Response, if_none_match: IfNoneMatch = None
    ) -> DeviceView | Response:
        caller.needs(DEVICES, Permission.READ)
        device = await stored(repository.device(key))
        response.headers["ETag"] = etag(device.version)
        return not_modified(if_none_match, device.version) or _view(device, await names())

    @router.post(
        "",
        operation_id="createDevice",
        status_code=201,
        responses={201: ETAG_HEADER, 200: {"model": DeviceView, **ETAG_HEADER}, **problems(403, 409)},
    )
    async def create_device(wish: DeviceWish, caller: Calling, response: Response) -> DeviceView:
        """201 for a new one; 200 when there is one of that set-side user name that is the same already, so that a
        request whose answer was lost may be sent again. 409 says id and version of one that differs."""
        caller.needs(DEVICES, Permission.READ_WRITE)
        icps = await names()
        try:
            device, made = await repository.save_device(spec_of(wish, icps), version=0)
        except RepositoryError as error:
            raise refusal(error, creating=True) from None
        response.headers["ETag"] = etag(device.version)
        if made:
            await house.changed(caller, response, "device added", device.set_username, _said(device))
        else:
            response.status_code = 200
        return _view(device, icps)

    @router.put(
        "/{key}", operation_id="changeDevice", responses={200: ETAG_HEADER, **problems(403, 404, 409, 412, 428)}
    )
    async def change_device(
        key: Key, wish: DeviceWish, caller: Calling, response: Response, if_match: IfMatch = None
    ) -> DeviceView:
        caller.needs(DEVICES, Permission.READ_WRITE)
        version, icps = expected_version(if_match), await names()
        device, changed = await stored(repository.save_device(spec_of(wish, icps), key, version))
        response.headers["ETag"] = etag(device.version)
        if changed:
            await house.changed(caller, response, "device changed", device.set_username, _said(device))
        return _view(device, icps)

    @router.delete("/{key}", operation_id="removeDevice", status_code=204, responses=problems(403, 404, 412, 428))
    async def remove_device(key: Key, caller: Calling, response: Response, if_match: IfMatch = None) -> None:
        caller.needs(DEVICES, Permission.READ_WRITE)
        device = await stored(repository.device(key))
        await stored(repository.delete_device(key, expected_version(if_match)))
        await house.changed(caller, response, "device removed", device.set_username)

    @router.post("/bulk", operation_id="changeDevices", responses=problems(403))
    async def change_devices(write: bulk_model, caller: Calling, response: Response) -> BulkResults:
        """Many at once. Each entry succeeds or fails for itself, and has its own result."""
        caller.needs(DEVICES, Permission.READ_WRITE)
        icps = await names()
        results: dict[int, BulkResult] = {}
        changes: list[tuple[int, BulkEntry, DeviceChange]] = []
        for index, entry in enumerate(write.entries):
            try:
                changes.append((index, entry, _change(entry, lambda wish: spec_of(wish, icps))))
            except Refused as refused:
                results[index] = _refused(refused)
        outcomes = await repository.change_devices([change for _, _, change in changes])
        changed = 0
        for (index, entry, _), outcome in zip(changes, outcomes, strict=True):
            results[index] = _result(entry, outcome)
            changed += not isinstance(outcome, RepositoryError) and outcome[1]
        if changed:
            await house.changed(caller, response, "devices changed", "several", f"{changed} devices")
        return BulkResults(results=[results[index] for index in sorted(results)])

    return router


def _change(entry: BulkEntry, spec_of: Callable[[DeviceWish], DeviceSpec]) -> DeviceChange:
    """Refused."""
    match entry:
        case BulkCreate():
            return DeviceChange(spec_of(entry.device), version=0)
        case BulkUpdate():
            return DeviceChange(spec_of(entry.device), entry.id, entry.version)
        case BulkDelete():
            return DeviceChange(None, entry.id, entry.version)


def _result(entry: BulkEntry, outcome: tuple[DeviceRecord, bool] | RepositoryError) -> BulkResult:
    creating = isinstance(entry, BulkCreate)
    if isinstance(outcome, RepositoryError):
        return _refused(refusal(outcome, creating))
    device, changed = outcome
    if isinstance(entry, BulkDelete):
        return BulkResult(status=204, id=device.id)
    status = 201 if creating and changed else 200
    return BulkResult(status=status, id=device.id, version=device.version, revision=device.revision)


def _refused(refused: Refused) -> BulkResult:
    problem = refused.problem
    return BulkResult(
        status=refused.status,
        id=problem.id,
        version=problem.version,
        error=problem.error,
        message=problem.message,
        field=problem.field,
    )


def _view(device: DeviceRecord, icps: Mapping[int, str]) -> DeviceView:
    return DeviceView(
        id=device.id,
        version=device.version,
        revision=device.revision,
        enabled=device.enabled,
        description=device.description,
        icp_id=device.icp_id,
        icp=icps.get(device.icp_id, ""),
        set_username=device.set_username,
        icp_username=device.icp_username,
    )


def _said(device: DeviceRecord) -> str:
    return f"at the ICP {device.icp_username}, {'enabled' if device.enabled else 'disabled'}, rev. {device.revision}"

"""The resources OPX/v1/devices: what a device's phone is told, and where it is registered from."""

from typing import Annotated

from fastapi import APIRouter, Path

from opx.gateway.control.protocol import ControlError, NobodyThere, NotAllowed, NotFound
from opx.gateway.webservices.house import Calling, House, problems, stored, who
from opx.gateway.webservices.problems import Refused
from opx.gateway.webservices.records import NOTIFY, REGISTRATIONS, Permission
from opx.gateway.webservices.schema import MAX_ID, NoticeResult, NoticeWish, RegistrationList, RegistrationView

Key = Annotated[int, Path(ge=1, le=MAX_ID)]


def phone_routes(house: House) -> APIRouter:
    router = APIRouter(prefix="/OPX/v1/devices", tags=["Phones"])

    @router.post("/{key}/notify", operation_id="notifyDevice", responses=problems(403, 404, 503))
    async def notify(key: Key, notice: NoticeWish, caller: Calling) -> NoticeResult:
        """On the phone's own flow, so that it arrives through the phone's NAT. Answered when the phone has."""
        caller.needs(NOTIFY, Permission.READ_WRITE)
        device = await stored(house.repository.device(key))
        try:
            status = await house.control.notify(key, notice.event, notice.body)
        except ControlError as error:
            raise _refusal(error) from None
        await house.audit(who(caller), caller.source, f"phone told {notice.event}", device.set_username, str(status))
        return NoticeResult(status=status)

    @router.get("/{key}/registrations", operation_id="listRegistrations", responses=problems(403, 404, 503))
    async def list_registrations(key: Key, caller: Calling) -> RegistrationList:
        caller.needs(REGISTRATIONS, Permission.READ)
        await stored(house.repository.device(key))
        try:
            page = await house.control.registrations(device_ids=(key,))
        except ControlError as error:
            raise _refusal(error) from None
        items = [RegistrationView.model_validate(item.model_dump()) for item in page.items]
        return RegistrationList(items=items)

    return router


def _refusal(error: ControlError) -> Refused:
    match error:
        case NotFound():
            return Refused(404, "not_found", str(error))
        case NotAllowed():
            return Refused(422, "not_allowed", str(error))
        case NobodyThere():
            return Refused(503, "not_running", "the gateway's signalling is not running")
        case _:
            return Refused(503, "not_answered", "the gateway's signalling did not answer")

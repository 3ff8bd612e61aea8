"""The form of a SIP device: two pairs of credentials whose passwords are written and never shown."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request, Response

from opx.gateway.console.desk import Desk
from opx.gateway.passwords import made_up_password, weakness_of
from opx.gateway.repository import Conflict, DeviceRecord, DeviceSpec, IcpRecord, RepositoryError
from opx.web.audit import differences
from opx.web.conflicts import Clash, clash
from opx.web.forms import Form

LABELS = {
    "enabled": "Enabled",
    "description": "Description",
    "icp": "Configured ICP",
    "set_username": "Set-side username",
    "set_password": "Set-side password",
    "set_password_again": "Confirm set-side password",
    "icp_username": "ICP-side username",
    "icp_password": "ICP-side password",
    "icp_password_again": "Confirm ICP-side password",
}
SHOWN = {name: LABELS[name] for name in ("enabled", "description", "icp", "set_username", "icp_username")}
"""What may be compared and written down."""


def target(device: DeviceRecord) -> str:
    """A device as the audit log names it."""
    return f"device {device.set_username}"


class Forms:
    """The pages to add and to edit a device. `known` gives a device by its id."""

    def __init__(self, desk: Desk, known: Callable[[int], Awaitable[DeviceRecord]]) -> None:
        self._desk = desk
        self._repository = desk.repository
        self._known = known

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route("/sip-devices/add", self.add_page, methods=["GET"], response_model=None)
        router.add_api_route("/sip-devices/add", self.add, methods=["POST"], response_model=None)
        router.add_api_route("/sip-devices/{device_id:int}/edit", self.edit_page, methods=["GET"], response_model=None)
        router.add_api_route("/sip-devices/{device_id:int}/edit", self.edit, methods=["POST"], response_model=None)

    async def add_page(self, request: Request) -> Response:
        icps = await self._repository.icps()
        values = {"enabled": "yes", "generate": "yes", "icp": icps[0].name if len(icps) == 1 else ""}
        return await self._page(request, Form(values), None)

    async def add(self, request: Request) -> Response:
        form: Form = request.state.form
        spec = self._spec(form, None)
        if spec is not None:
            try:
                record, _ = await self._repository.save_device(spec, version=0)
            except Conflict:
                form.refuse("set_username", f"there is a device {spec.set_username} already")
            except RepositoryError as error:
                form.refuse(error.field, str(error))
            else:
                detail = f"ICP {spec.icp}, ICP-side username {spec.icp_name}"
                await self._desk.saved(request, "added a device", target(record), detail)
                return self._done(request, form, spec, record, f"Device {record.set_username} is added.")
        return await self._page(request, form, None, 422)

    async def edit_page(self, request: Request, device_id: int) -> Response:
        device = await self._known(device_id)
        values = self._values(device, await self._repository.icp(device.icp_id))
        enabled = "yes" if device.enabled else ""
        return await self._page(request, Form({**values, "enabled": enabled, "version": str(device.version)}), device)

    async def edit(self, request: Request, device_id: int) -> Response:
        form: Form = request.state.form
        before = await self._known(device_id)
        before_values = self._values(before, await self._repository.icp(before.icp_id))
        spec = self._spec(form, before)
        if spec is None:
            return await self._page(request, form, before, 422)
        try:
            after, changed = await self._repository.save_device(spec, device_id, form.number("version") or 0)
        except Conflict:
            return await self._conflict(request, form, device_id)
        except RepositoryError as error:
            form.refuse(error.field, str(error))
            return await self._page(request, form, before, 422)
        if changed:
            detail = differences(before_values, self._values(after, await self._repository.icp(after.icp_id)))
            if after.revision != before.revision:
                detail = "; ".join(filter(None, (detail, "credentials written")))
            await self._desk.saved(request, "changed a device", target(after), detail)
        return self._done(request, form, spec, after, f"Device {after.set_username} is saved.")

    async def _conflict(self, request: Request, form: Form, device_id: int) -> Response:
        stored = await self._known(device_id)
        values = self._values(stored, await self._repository.icp(stored.icp_id))
        typed = {name: form.value(name) for name in SHOWN} | {"enabled": "yes" if form.flag("enabled") else "no"}
        found = clash(SHOWN, values, typed, await self._desk.console.audit.last(target(stored)))
        kept = {**typed, "enabled": "yes" if form.flag("enabled") else "", "version": str(stored.version)}
        return await self._page(request, Form(kept), stored, 409, found)

    def _done(self, request: Request, form: Form, spec: DeviceSpec, record: DeviceRecord, text: str) -> Response:
        shell = self._desk.console.shell
        if form.flag("generate"):
            text = f"{text} The set-side password, shown this once, to be typed into the phone:"
            shell.tell(request, text, secret=spec.set_password or "")
        else:
            shell.tell(request, text)
        return shell.go(f"/sip-devices/{record.id}")

    async def _page(
        self,
        request: Request,
        form: Form,
        device: DeviceRecord | None,
        status: int = 200,
        found: Clash | None = None,
    ) -> Response:
        icps = [(icp.name, icp.name) for icp in await self._repository.icps()]
        return self._desk.console.shell.page(
            request, "sip_device_form.html", status, form=form, device=device, icps=icps, labels=LABELS, clash=found
        )

    def _values(self, device: DeviceRecord, icp: IcpRecord) -> dict[str, str]:
        return {
            "enabled": "yes" if device.enabled else "no",
            "description": device.description,
            "icp": icp.name,
            "set_username": device.set_username,
            "icp_username": device.icp_username if device.icp_username != device.set_username else "",
        }

    def _spec(self, form: Form, before: DeviceRecord | None) -> DeviceSpec | None:
        """What was typed, None with the mistakes noted."""
        name = form.value("set_username")
        set_password = self._set_password(form, name, before)
        icp_password: str | None = form.exact("icp_password")
        if icp_password != form.exact("icp_password_again"):
            form.refuse("icp_password_again", "this is not the same as above")
        if not icp_password and before is not None and not form.flag("icp_same"):
            icp_password = None
        spec = DeviceSpec(
            name,
            set_password,
            form.value("icp"),
            form.value("icp_username"),
            icp_password,
            form.value("description"),
            form.flag("enabled"),
        )
        if not form.value("icp"):
            form.refuse("icp", "none is chosen; expected the ICP of this device")
        try:
            spec.check()
        except RepositoryError as error:
            form.refuse(error.field, str(error))
        return None if form.errors else spec

    def _set_password(self, form: Form, name: str, before: DeviceRecord | None) -> str | None:
        typed = form.exact("set_password")
        if form.flag("generate"):
            if typed:
                form.refuse("set_password", "a password is typed and one is to be made up; expected one of both")
            return made_up_password(name)
        if not typed:
            if before is None:
                form.refuse("set_password", "a new device needs one: type it, or let one be made up")
            return None
        if typed != form.exact("set_password_again"):
            form.refuse("set_password_again", "this is not the same as above")
        weakness = weakness_of(typed, name)
        if weakness and not self._desk.settings.permit_weak_passwords:
            form.refuse("set_password", f"it is weak: {weakness}")
        return typed

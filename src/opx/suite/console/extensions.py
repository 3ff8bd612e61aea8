"""A SIP extension: the SIP Authorization form, what the gateway has of it, and its timeline (guide, stage 5)."""

from fastapi import APIRouter, HTTPException, Request, Response

from opx.suite.console.desk import Desk
from opx.suite.console.extension_list import STATE_KINDS
from opx.suite.sites.records import (
    Authorization,
    Conflict,
    ExtensionRecord,
    Missing,
    SiteError,
    random_credentials,
)
from opx.suite.timeline import Entry, Kind, extension_subject
from opx.suite.topics import EXTENSIONS
from opx.web.audit import differences
from opx.web.conflicts import Clash, clash
from opx.web.forms import Form

LABELS = {
    "teleworker": "Use remote authorization credentials",
    "internal_name": "Internal authorization name",
    "internal_password": "Internal authorization password",
    "remote_name": "Remote authorization name",
    "remote_password": "Remote authorization password",
}
SHOWN = {name: LABELS[name] for name in ("teleworker", "internal_name", "remote_name")}
"""What may be compared and written down."""


class Extensions:
    """The extension's page. Passwords are written and not shown; see `reveal`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._sites = desk.sites

    def add_to(self, router: APIRouter) -> None:
        base = "/pbxs/{pbx_id:int}/extensions/{extension_id:int}"
        router.add_api_route(base, self.page, methods=["GET"], response_model=None)
        router.add_api_route(base, self.authorize, methods=["POST"], response_model=None)
        router.add_api_route(f"{base}/reveal", self.reveal, methods=["POST"], response_model=None)

    async def page(self, request: Request, pbx_id: int, extension_id: int) -> Response:
        extension = await self.known(pbx_id, extension_id)
        return await self._page(request, extension, _form(extension))

    async def authorize(self, request: Request, pbx_id: int, extension_id: int) -> Response:
        form: Form = request.state.form
        before = await self.known(pbx_id, extension_id)
        try:
            after, changed = await self._sites.authorize(extension_id, _wish(form, before), form.number("version") or 0)
        except Conflict:
            stored = await self.known(pbx_id, extension_id)
            typed = {name: form.value(name) for name in SHOWN} | {"teleworker": _word(form.flag("teleworker"))}
            found = clash(SHOWN, _values(stored), typed, await self._desk.console.audit.last(target(stored)))
            kept = {**typed, "teleworker": form.value("teleworker"), "version": str(stored.version)}
            return await self._page(request, stored, Form(kept), 409, found)
        except SiteError as error:
            form.refuse(error.field, str(error))
            if form.flag("teleworker"):
                await self._note(before, Kind.REFUSED, f"not put on the gateway: {error}")
            return await self._page(request, before, form, 422)
        if changed:
            detail = differences(_values(before), _values(after))
            if after.revision != before.revision:
                detail = "; ".join(filter(None, (detail, "credentials written")))
            await self._desk.saved(
                request, EXTENSIONS, "changed a SIP extension", target(after), detail, [extension_id]
            )
            await self._note(after, Kind.DONE, _said(before, after))
        self._desk.console.shell.tell(request, f"Extension {after.number} is saved.")
        return self._desk.console.shell.go(f"/pbxs/{pbx_id}/extensions/{extension_id}")

    async def reveal(self, request: Request, pbx_id: int, extension_id: int) -> Response:
        """Show the passwords, for an administrator who types them into a gateway and a phone; never otherwise."""
        extension = await self.known(pbx_id, extension_id)
        shell = self._desk.console.shell
        if (await self._sites.gateway.read()).rest_api:
            text = "Passwords are shown only while the Rest API is off: with it, nobody needs to know them."
            shell.tell(request, text, kind="bad")
        else:
            await self._desk.console.note(request, "revealed credentials", target(extension))
            await self._note(extension, Kind.WARNING, f"credentials shown to {request.state.visitor.user.name}")
            pairs = (("Internal", extension.internal), ("Remote", extension.remote))
            for which, pair in pairs:
                if pair is not None:
                    text = f"{which} authorization of {extension.number}, name {pair.name}, shown this once:"
                    shell.tell(request, text, secret=pair.password, kind="warn")
        return shell.go(f"/pbxs/{pbx_id}/extensions/{extension_id}")

    async def known(self, pbx_id: int, extension_id: int) -> ExtensionRecord:
        try:
            extension = await self._sites.extension(extension_id)
        except Missing:
            raise HTTPException(404) from None
        if extension.pbx_id != pbx_id:
            raise HTTPException(404)
        return extension

    async def _page(
        self,
        request: Request,
        extension: ExtensionRecord,
        form: Form,
        status: int = 200,
        found: Clash | None = None,
    ) -> Response:
        desk = self._desk
        pbx = await self._sites.pbx(extension.pbx_id)
        nodes = {node.id: node for node in await self._sites.nodes(pbx.id)}
        gateway = await self._sites.gateway.read()
        return desk.console.shell.page(
            request,
            "extension.html",
            status,
            form=form,
            extension=extension,
            pbx=pbx,
            node=nodes.get(extension.node_id or 0),
            labels=LABELS,
            clash=found,
            gateway_state=await desk.provisioning.state(extension.id),
            state_kinds=STATE_KINDS,
            rest_api=gateway.rest_api,
            owner=await desk.users.owner_of(extension.id),
            events=await desk.timeline.entries(extension_subject(extension.id)),
        )

    async def _note(self, extension: ExtensionRecord, kind: Kind, text: str) -> None:
        await self._desk.timeline.note([Entry.now(extension_subject(extension.id), kind, text)])


def target(extension: ExtensionRecord) -> str:
    """An extension as the audit log names it."""
    return f"extension {extension.number}"


def _said(before: ExtensionRecord, after: ExtensionRecord) -> str:
    if after.teleworker and not before.teleworker:
        return "uses remote authorization credentials from now on"
    if before.teleworker and not after.teleworker:
        return "uses remote authorization credentials no more"
    return "new credentials are stored"


def _values(extension: ExtensionRecord) -> dict[str, str]:
    return {
        "teleworker": _word(extension.teleworker),
        "internal_name": extension.internal.name if extension.internal else "",
        "remote_name": extension.remote.name if extension.remote else "",
    }


def _word(ticked: bool) -> str:
    return "yes" if ticked else "no"


def _form(extension: ExtensionRecord) -> Form:
    """What is stored; where nothing is, a random remote name stands ready, as the guide has it."""
    values = _values(extension)
    values["teleworker"] = "yes" if extension.teleworker else ""
    if extension.remote is None:
        values["remote_name"] = random_credentials().name
    return Form({**values, "version": str(extension.version)})


def _wish(form: Form, before: ExtensionRecord) -> Authorization:
    """What was typed. An empty field leaves what is stored; a remote password that there is none of is made up."""
    teleworker = form.flag("teleworker")
    remote_name, remote_password = form.value("remote_name") or None, form.exact("remote_password") or None
    if before.remote is None and remote_password is None:
        # The name on the form was made up with the page, and is nothing without a tick.
        remote_password = random_credentials().password if teleworker and remote_name else None
        remote_name = remote_name if teleworker else None
    internal_name, internal_password = form.value("internal_name") or None, form.exact("internal_password") or None
    return Authorization(teleworker, remote_name, remote_password, internal_name, internal_password)

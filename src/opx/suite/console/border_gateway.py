"""Phone Systems > MiVoice Border Gateway: where the gateway is, its certificate, and the access token (guide, stages 1
and 4)."""

import time

from fastapi import APIRouter, Request, Response

from opx.gateway_client.errors import GatewayError
from opx.pinning import readable
from opx.suite.console.desk import Desk
from opx.suite.console.pbx_menu import PHONE_SYSTEMS
from opx.suite.gateway_link.link import check_ready
from opx.suite.gateway_link.troubles import LinkError, Reason
from opx.suite.sites.records import Conflict, GatewayRecord, GatewaySpec, SiteError
from opx.suite.timeline import GATEWAY, Entry, Kind
from opx.suite.topics import SITES
from opx.web.audit import differences
from opx.web.conflicts import Clash, clash
from opx.web.forms import Form
from opx.web.pages import MenuEntry, Room

PAGE = "/border-gateway"
LABELS = {"address": "IP address", "port": "Port", "rest_api": "Enable Rest API"}
CONSUMER = {"name": "Name", "consumer_id": "Consumer ID", "shared_secret": "Shared Secret"}
TARGET = "MiVoice Border Gateway"
TOKEN_WARNING = 30 * 86400.0
"""Seconds before the token expires from which that is a warning."""
EVENTS = 25
"""Entries of the gateway's timeline that the page shows."""


def border_gateway_room(desk: Desk) -> Room:
    router = APIRouter()
    rows, exchange, link = desk.sites.gateway, desk.exchange, desk.link

    @router.get(PAGE)
    async def gateway_page(request: Request) -> Response:
        gateway = await rows.read()
        return await page(request, _form(gateway), gateway)

    @router.post(PAGE)
    async def save(request: Request) -> Response:
        form: Form = request.state.form
        before = await rows.read()
        spec = _spec(form)
        if form.errors:
            return await page(request, form, before, 422)
        try:
            after = await rows.save(spec, form.number("version") or 0)
        except Conflict:
            stored = await rows.read()
            typed = {name: form.value(name) for name in LABELS} | {"rest_api": "yes" if form.flag("rest_api") else "no"}
            found = clash(LABELS, _values(stored), typed, await desk.console.audit.last(TARGET))
            kept = {**typed, "rest_api": "yes" if form.flag("rest_api") else "", "version": str(stored.version)}
            return await page(request, Form(kept), stored, 409, found)
        except SiteError as error:
            form.refuse(error.field, str(error))
            return await page(request, form, before, 422)
        if after != before:
            await desk.saved(
                request, SITES, "changed the gateway", TARGET, differences(_values(before), _values(after))
            )
        desk.console.shell.tell(request, "The gateway's address is saved.")
        return desk.console.shell.go(PAGE)

    @router.post(f"{PAGE}/test")
    async def test(request: Request) -> Response:
        try:
            server = await link.look()
        except GatewayError as error:
            await refused(request, error)
        else:
            text = f"The gateway answers: {server.product} {server.version}, level {server.compatibility_level}, "
            desk.console.shell.tell(request, f"{text}in {server.mode} mode. Credentials and token are in order.")
        return desk.console.shell.go(PAGE)

    # --- the certificate

    @router.get(f"{PAGE}/certificate")
    async def certificate_page(request: Request) -> Response:
        gateway = await rows.read()
        try:
            met, problem = await exchange.fingerprint(), ""
        except GatewayError as error:
            met, problem = "", str(error)
        return desk.console.shell.page(
            request,
            "border_gateway_certificate.html",
            gateway=gateway,
            met=met,
            problem=problem,
            readable=readable,
        )

    @router.post(f"{PAGE}/certificate")
    async def trust(request: Request) -> Response:
        fingerprint = request.state.form.value("fingerprint")
        try:
            met = await exchange.fingerprint()
            if met != fingerprint:
                text = "The gateway shows yet another certificate now; look at it again."
                desk.console.shell.tell(request, text, kind="bad")
                return desk.console.shell.go(f"{PAGE}/certificate")
            await exchange.trust(met)
        except GatewayError as error:
            await refused(request, error)
        else:
            await desk.console.note(request, "trusted the gateway's certificate", TARGET, readable(met))
            await note(Kind.DONE, f"certificate {readable(met)} is trusted")
            desk.console.shell.tell(request, "The gateway's certificate is trusted from now on.")
        return desk.console.shell.go(PAGE)

    # --- the token

    @router.get(f"{PAGE}/token")
    async def token_page(request: Request) -> Response:
        gateway = await rows.read()
        values = {"name": gateway.consumer_name, "consumer_id": gateway.consumer_id}
        return token_forms(request, Form(values), gateway)

    @router.post(f"{PAGE}/token")
    async def request_token(request: Request) -> Response:
        """Save & Test API Credentials."""
        form: Form = request.state.form
        try:
            await rows.save_consumer(
                form.value("name"), form.value("consumer_id"), form.exact("shared_secret").strip() or None
            )
            await exchange.request()
        except SiteError as error:
            form.refuse(error.field, str(error))
            return token_forms(request, form, await rows.read(), 422)
        except GatewayError as error:
            form.refuse("", str(error))
            await note(Kind.REFUSED, f"no access token was requested: {error}")
            return token_forms(request, form, await rows.read(), 422)
        await desk.saved(request, SITES, "requested an access token", TARGET, form.value("consumer_id"))
        await note(Kind.DONE, "an access token was requested")
        text = "The credentials are right and a token is requested. Approve it on the gateway, then enter its Verifier."
        desk.console.shell.tell(request, text)
        return desk.console.shell.go(f"{PAGE}/token")

    @router.post(f"{PAGE}/token/verifier")
    async def retrieve_token(request: Request) -> Response:
        """Retrieve Final Access Token."""
        form: Form = request.state.form
        gateway = await rows.read()
        if not form.value("verifier"):
            form.refuse("verifier", "expected the Verifier that the gateway shows at the approved request")
            return token_forms(request, form, gateway, 422)
        try:
            await exchange.retrieve(form.value("verifier"))
        except GatewayError as error:
            form.refuse("verifier" if not isinstance(error, LinkError) else "", str(error))
            await note(Kind.REFUSED, f"no access token was retrieved: {error}")
            return token_forms(request, form, await rows.read(), 422)
        await desk.saved(request, SITES, "retrieved an access token", TARGET)
        await note(Kind.DONE, "an access token was retrieved")
        desk.console.shell.tell(request, "The final access token is stored. SIP users are provisioned from now on.")
        return desk.console.shell.go(PAGE)

    @router.post(f"{PAGE}/token/renew")
    async def renew_token(request: Request) -> Response:
        try:
            info = await link.ask(lambda client: client.renew_token())
        except GatewayError as error:
            await refused(request, error)
        else:
            await rows.token_lasts(float(info.expires_at))
            await desk.saved(request, SITES, "renewed the access token", TARGET)
            await note(Kind.DONE, "the access token was renewed")
            desk.console.shell.tell(request, "The access token is renewed.")
        return desk.console.shell.go(PAGE)

    @router.get(f"{PAGE}/token/forget")
    async def forget_page(request: Request) -> Response:
        return desk.console.shell.page(request, "border_gateway_forget.html")

    @router.post(f"{PAGE}/token/forget")
    async def forget_token(request: Request) -> Response:
        said = "The access token is forgotten, and void at the gateway."
        try:
            await link.ask(lambda client: client.drop_token())
        except GatewayError as error:
            said = f"The access token is forgotten here. The gateway was not told: {error}"
        await rows.forget_token()
        await rows.forget_pending()
        await desk.saved(request, SITES, "forgot the access token", TARGET)
        await note(Kind.WARNING, "the access token was forgotten; nothing is provisioned")
        desk.console.shell.tell(request, said)
        return desk.console.shell.go(PAGE)

    # --- helpers

    async def refused(request: Request, error: GatewayError) -> None:
        await note(Kind.REFUSED, str(error))
        desk.console.shell.tell(request, f"That was not possible: {error}.", kind="bad")

    async def note(kind: Kind, text: str) -> None:
        await desk.timeline.note([Entry.now(GATEWAY, kind, text)])

    async def page(
        request: Request, form: Form, gateway: GatewayRecord, status: int = 200, found: Clash | None = None
    ) -> Response:
        return desk.console.shell.page(
            request,
            "border_gateway.html",
            status,
            form=form,
            gateway=gateway,
            labels=LABELS,
            clash=found,
            token=token_state(gateway, time.time()),
            server=link.server,
            readable=readable,
            events=await desk.timeline.entries(GATEWAY, EVENTS),
        )

    def token_forms(request: Request, form: Form, gateway: GatewayRecord, status: int = 200) -> Response:
        if gateway.pending and (gateway.pending_until or 0) <= time.time():
            pending = ""
        else:
            pending = "yes" if gateway.pending else ""
        return desk.console.shell.page(
            request,
            "border_gateway_token.html",
            status,
            form=form,
            gateway=gateway,
            labels=CONSUMER | {"verifier": "Verifier"},
            pending=pending,
            hindrance=_hindrance(gateway),
        )

    return Room(router, (MenuEntry((*PHONE_SYSTEMS, TARGET), PAGE, 10),))


def token_state(gateway: GatewayRecord, now: float) -> tuple[str, str]:
    """Kind and text of the access token's state."""
    if not gateway.has_token:
        return ("warn", "requested, not retrieved yet") if gateway.pending else ("", "there is none")
    left = (gateway.token_until or 0) - now
    if left <= 0:
        return "bad", "has expired"
    days = f"{int(left / 86400)} days left"
    return ("warn", f"expires soon, {days}") if left < TOKEN_WARNING else ("good", f"holds, {days}")


def _hindrance(gateway: GatewayRecord) -> tuple[str, str]:
    """What is to be done before a token can be requested, and where; "" when nothing is."""
    try:
        check_ready(gateway)
    except LinkError as error:
        certificate = error.reason in (Reason.NOT_PINNED, Reason.CERTIFICATE_CHANGED)
        return str(error), f"{PAGE}/certificate" if certificate else PAGE
    return "", ""


def _form(gateway: GatewayRecord) -> Form:
    values = _values(gateway)
    return Form({**values, "rest_api": "yes" if gateway.rest_api else "", "version": str(gateway.version)})


def _values(gateway: GatewayRecord) -> dict[str, str]:
    rest_api = "yes" if gateway.rest_api else "no"
    return {"address": gateway.address, "port": str(gateway.port), "rest_api": rest_api}


def _spec(form: Form) -> GatewaySpec:
    """What was typed; mistakes are noted."""
    port = form.number("port")
    if port is None:
        form.refuse("port", "expected the port of the gateway's console and web services, usually 8443")
    return GatewaySpec(form.value("address"), port or 0, form.flag("rest_api"))

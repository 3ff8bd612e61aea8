"""MBG Security > Port Forwarding (guide, stage 2): the rules wanted beside what is in force of them."""

from dataclasses import replace
from ipaddress import IPv4Network

from fastapi import APIRouter, HTTPException, Request, Response

from opx.gateway.console.desk import Desk
from opx.gateway.console.port_forwarding_preset import add_preset
from opx.gateway.control.forwards import ForwardLive, ForwardsLive
from opx.gateway.control.protocol import ControlError
from opx.gateway.forwarding.checking import warnings
from opx.gateway.forwarding.rules import (
    Forward,
    ForwardError,
    ForwardSpec,
    Ports,
    Protocol,
    parse_address,
    parse_sources,
)
from opx.gateway.records import Conflict, Missing
from opx.web.audit import differences
from opx.web.conflicts import Clash, clash
from opx.web.forms import Form
from opx.web.listing import ListQuery, list_of
from opx.web.pages import MenuEntry, Room

LABELS = {
    "protocol": "Protocol",
    "ports": "Port",
    "host": "Destination Host IP Address",
    "host_port": "Destination port",
    "snat": "SNAT",
    "sources": "Allowed source networks",
    "description": "Description",
    "enabled": "Enabled",
    "forced": "Force",
}
SORTS = ("ports", "protocol", "host", "description")
FLAGS = ("snat", "enabled", "forced")
OLD = "Somebody else changed this rule meanwhile. Look at it again."


def port_forwarding_room(desk: Desk) -> Room:
    router = APIRouter()
    repository = desk.forwards

    @router.get("/port-forwarding")
    async def list_rules(request: Request) -> Response:
        query = ListQuery.read("/port-forwarding", request.query_params, SORTS)
        listing = list_of(
            await repository.all(),
            query,
            _sort_key,
            lambda rule: (rule.spec.label, rule.spec.description, rule.spec.sources_text),
        )
        live = await forwards_of(desk)
        return desk.console.shell.page(
            request,
            "forwards.html",
            listing=listing,
            live=live,
            in_force={one.id: one for one in live.rules} if live else {},
            current=_current,
            warned={rule.id: warnings(rule.spec, repository.site) for rule in listing.rows},
        )

    @router.get("/port-forwarding/add")
    async def add_page(request: Request) -> Response:
        return form_page(request, Form({"protocol": "TCP", "snat": "yes", "enabled": "yes"}), None)

    @router.post("/port-forwarding/add")
    async def add(request: Request) -> Response:
        form: Form = request.state.form
        if (spec := _spec(form)) is not None:
            try:
                (rule,) = await repository.add(spec)
            except ForwardError as error:
                form.refuse(error.field, str(error))
            else:
                await saved(request, "added a port forwarding rule", rule, _described(spec))
                return desk.console.shell.go("/port-forwarding")
        return form_page(request, form, None, 422)

    @router.get("/port-forwarding/{number:int}")
    async def edit_page(request: Request, number: int) -> Response:
        rule = await known(number)
        return form_page(request, Form({**_boxes(_values(rule.spec)), "version": str(rule.version)}), rule)

    @router.post("/port-forwarding/{number:int}")
    async def edit(request: Request, number: int) -> Response:
        form: Form = request.state.form
        before = await known(number)
        if (spec := _spec(form)) is None:
            return form_page(request, form, before, 422)
        try:
            after = await repository.change(number, spec, form.number("version") or 0)
        except Conflict:
            stored = await known(number)
            entry = await desk.console.audit.last(_target(stored))
            kept = Form({**_boxes(_values(spec)), "version": str(stored.version)})
            return form_page(request, kept, stored, 409, clash(LABELS, _values(stored.spec), _values(spec), entry))
        except ForwardError as error:
            form.refuse(error.field, str(error))
            return form_page(request, form, before, 422)
        detail = differences(_values(before.spec), _values(after.spec))
        await saved(request, "changed a port forwarding rule", after, detail)
        return desk.console.shell.go("/port-forwarding")

    @router.post("/port-forwarding/{number:int}/enable")
    async def enable(request: Request, number: int) -> Response:
        return await switch(request, number, True)

    @router.post("/port-forwarding/{number:int}/disable")
    async def disable(request: Request, number: int) -> Response:
        return await switch(request, number, False)

    async def switch(request: Request, number: int, on: bool) -> Response:
        rule = await known(number)
        try:
            after = await repository.change(number, replace(rule.spec, enabled=on), rule.version)
        except Conflict:
            desk.console.shell.tell(request, OLD, kind="bad")
        except ForwardError as error:
            desk.console.shell.tell(request, f"The rule stays off: {error}", kind="bad")
        else:
            await saved(request, "switched a rule on" if on else "switched a rule off", after)
        return desk.console.shell.go("/port-forwarding")

    @router.get("/port-forwarding/{number:int}/delete")
    async def delete_page(request: Request, number: int) -> Response:
        return desk.console.shell.page(request, "forward_delete.html", rule=await known(number), problem="")

    @router.post("/port-forwarding/{number:int}/delete")
    async def delete(request: Request, number: int) -> Response:
        rule = await known(number)
        try:
            await repository.remove(number, request.state.form.number("version") or 0)
        except Conflict:
            return desk.console.shell.page(request, "forward_delete.html", 409, rule=rule, problem=OLD)
        await desk.saved(request, "deleted a port forwarding rule", _target(rule), _described(rule.spec))
        desk.console.shell.tell(request, f"The rule for {rule.spec.label} is deleted.")
        return desk.console.shell.go("/port-forwarding")

    async def saved(request: Request, action: str, rule: Forward, detail: str = "") -> None:
        await desk.saved(request, action, _target(rule), detail)
        desk.console.shell.tell(request, f"The rule for {rule.spec.label} is saved.")
        for warning in warnings(rule.spec, repository.site):
            desk.console.shell.tell(request, f"Mind: {warning}.", kind="warn")

    def form_page(
        request: Request, form: Form, rule: Forward | None, status: int = 200, found: Clash | None = None
    ) -> Response:
        told = warnings(rule.spec, repository.site) if rule else []
        return desk.console.shell.page(
            request, "forward_form.html", status, form=form, rule=rule, labels=LABELS, clash=found, warnings=told
        )

    async def known(number: int) -> Forward:
        try:
            return await repository.get(number)
        except Missing:
            raise HTTPException(404) from None

    add_preset(router, desk)
    return Room(router, (MenuEntry(("MBG Security", "Port Forwarding"), "/port-forwarding", 200),))


async def forwards_of(desk: Desk) -> ForwardsLive | None:
    """None when the gateway does not answer."""
    try:
        return await desk.control.forwards()
    except ControlError:
        return None


def _current(rule: Forward, live: ForwardLive | None) -> bool:
    """Whether what the gateway says is about the rule as it stands now."""
    return live is not None and live.version == rule.version


def _sort_key(rule: Forward, column: str) -> tuple[object, ...]:
    ports = rule.spec.ports.ranges[0].first
    match column:
        case "protocol":
            return (rule.spec.protocol.value, ports)
        case "host":
            return (int(rule.spec.host), ports)
        case "description":
            return (rule.spec.description.casefold(), ports)
        case _:
            return (ports, rule.spec.protocol.value)


def _target(rule: Forward) -> str:
    return f"port forwarding rule {rule.id}"


def _values(spec: ForwardSpec) -> dict[str, str]:
    return {
        "protocol": spec.protocol.value,
        "ports": str(spec.ports),
        "host": str(spec.host),
        "host_port": "" if spec.host_port is None else str(spec.host_port),
        "snat": "yes" if spec.snat else "no",
        "sources": spec.sources_text,
        "description": spec.description,
        "enabled": "yes" if spec.enabled else "no",
        "forced": "yes" if spec.forced else "no",
    }


def _boxes(values: dict[str, str]) -> dict[str, str]:
    """As a form has them: a box that is not ticked is not there."""
    return {name: value for name, value in values.items() if name not in FLAGS or value == "yes"}


def _described(spec: ForwardSpec) -> str:
    parts = [spec.label, "SNAT" if spec.snat else "without SNAT"]
    parts += [f"from {spec.sources_text}"] if spec.sources else []
    parts += ["forced"] if spec.forced else []
    return ", ".join(parts)


def _spec(form: Form) -> ForwardSpec | None:
    """What was typed, None with the mistakes noted."""
    if form.value("protocol") not in ("TCP", "UDP"):
        form.refuse("protocol", "expected TCP or UDP")
        return None
    ports = host = None
    sources: tuple[IPv4Network, ...] = ()
    try:
        ports = Ports.parse(form.value("ports"))
    except ForwardError as error:
        form.refuse("ports", str(error))
    try:
        host = parse_address(form.value("host"))
    except ForwardError as error:
        form.refuse("host", str(error))
    try:
        sources = parse_sources(form.value("sources"))
    except ForwardError as error:
        form.refuse("sources", str(error))
    host_port = form.number("host_port")
    if ports is None or host is None or form.errors:
        return None
    try:
        return ForwardSpec(
            Protocol(form.value("protocol")),
            ports,
            host,
            host_port,
            form.flag("snat"),
            sources,
            form.value("description"),
            form.flag("enabled"),
            form.flag("forced"),
        )
    except ForwardError as error:
        form.refuse(error.field, str(error))
        return None

"""The preset "MiVoice Office Application Suite": shows the guide's rules for the chosen clients, then makes them."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from opx.gateway.console.desk import Desk
from opx.gateway.forwarding import presets
from opx.gateway.forwarding.checking import check
from opx.gateway.forwarding.presets import Client
from opx.gateway.forwarding.rules import Forward, ForwardError, ForwardSpec, parse_address
from opx.web.forms import Form

LABELS = {"host": "Destination Host IP Address", "clients": "Clients"}
PATH = "/port-forwarding/preset"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A rule of the preset: `present` when it is there already, `problem` why it cannot be."""

    spec: ForwardSpec
    present: bool
    problem: str


def add_preset(router: APIRouter, desk: Desk) -> None:
    repository = desk.forwards

    async def preset_page(request: Request) -> Response:
        clients = [Client.DESKTOP.value, Client.MOBILE.value, Client.HANDSETS.value]
        return page(request, Form({"clients": clients}), [])

    async def preset(request: Request) -> Response:
        form: Form = request.state.form
        specs = _specs(form)
        if form.errors:
            return page(request, form, [], 422)
        proposals = _judged(specs, await repository.all())
        fresh = [one.spec for one in proposals if not one.present]
        if form.value("step") != "create" or any(one.problem for one in proposals):
            return page(request, form, proposals)
        try:
            made = await repository.add(*fresh)
        except ForwardError as error:
            form.refuse(error.field, str(error))
            return page(request, form, proposals, 422)
        detail = "; ".join(rule.spec.label for rule in made)
        await desk.saved(request, "made the rules of a preset", presets.NAME, detail)
        desk.console.shell.tell(request, f"The preset's rules are there, {len(made)} of them new.")
        return desk.console.shell.go("/port-forwarding")

    def _judged(specs: Sequence[ForwardSpec], rules: Sequence[Forward]) -> list[Proposal]:
        found = []
        for spec in specs:
            present = any(rule.spec.enabled and rule.spec.route == spec.route for rule in rules)
            problem = ""
            if not present:
                try:
                    check(spec, repository.site, rules)
                except ForwardError as error:
                    problem = str(error)
            found.append(Proposal(spec, present, problem))
        return found

    def page(request: Request, form: Form, proposals: Sequence[Proposal], status: int = 200) -> Response:
        return desk.console.shell.page(
            request,
            "forward_preset.html",
            status,
            form=form,
            labels=LABELS,
            name=presets.NAME,
            clients=list(Client),
            proposals=proposals,
            blocked=any(one.problem for one in proposals),
            fresh=sum(not one.present for one in proposals),
        )

    router.add_api_route(PATH, preset_page, methods=["GET"], response_model=None)
    router.add_api_route(PATH, preset, methods=["POST"], response_model=None)


def _specs(form: Form) -> list[ForwardSpec]:
    chosen = [client for client in Client if client.value in form.values("clients")]
    if not chosen:
        form.refuse("clients", "expected at least one")
    try:
        return presets.rules(parse_address(form.value("host")), chosen)
    except ForwardError as error:
        form.refuse(error.field, str(error))
        return []

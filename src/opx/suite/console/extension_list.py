"""The page of a PBX: its state, its nodes, and its SIP extensions as a list with what the gateway has of each."""

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from sqlalchemy import Select, or_, select

from opx.suite.console.desk import Desk
from opx.suite.console.ticking import Ticking
from opx.suite.provisioning.models import Provision
from opx.suite.provisioning.records import ProvisionState
from opx.suite.sites.models import SipExtension
from opx.suite.sites.records import PbxRecord
from opx.suite.sites.repository import ExtensionQuery
from opx.web.listing import Listing, ListQuery

SORTS = ("number", "name")
KINDS = {"": "Any kind", "sip": "SIP", "hot-desk": "SIP hot desk"}
USES = {
    "": "Any use",
    "remote": "Use remote credentials",
    "local": "Do not",
    "obstructed": "Cannot yet",
    "gone": "Gone from the PBX",
}
STORED = [state for state in ProvisionState if state is not ProvisionState.BY_HAND]
"""What can be looked for; "by hand" is what others are called while the Rest API is off."""
STATES = {"": "Any state", **{state.value: state.label for state in STORED}}
FILTERS = {name: tuple(filter(None, values)) for name, values in (("kind", KINDS), ("use", USES), ("state", STATES))}
STATE_KINDS = {
    ProvisionState.PENDING: "warn",
    ProvisionState.PROVISIONED: "good",
    ProvisionState.FAILED: "bad",
    ProvisionState.REMOVING: "warn",
    ProvisionState.LEFT: "warn",
    ProvisionState.BY_HAND: "",
}


class ExtensionList:
    """See the module. `known` gives a PBX by its id."""

    def __init__(self, desk: Desk, known: Callable[[int], Awaitable[PbxRecord]], connectors: Mapping[str, str]) -> None:
        self._desk = desk
        self._known = known
        self._connectors = connectors
        self._ticking = Ticking(desk)

    def add_to(self, router: APIRouter) -> None:
        router.add_api_route("/pbxs/{pbx_id:int}", self.page, methods=["GET"], response_model=None)
        router.add_api_route("/pbxs/{pbx_id:int}/tick", self.tick, methods=["POST"], response_model=None)

    async def page(self, request: Request, pbx_id: int) -> Response:
        desk = self._desk
        pbx = await self._known(pbx_id)
        query = ListQuery.read(f"/pbxs/{pbx_id}", request.query_params, SORTS, FILTERS)
        wanted = extension_query(pbx_id, query)
        rows, total = await desk.sites.extensions(wanted, query.size, query.offset)
        nodes = await desk.sites.nodes(pbx_id)
        gateway = await desk.sites.gateway.read()
        return desk.console.shell.page(
            request,
            "pbx.html",
            pbx=pbx,
            nodes=nodes,
            node_names={node.id: node.name for node in nodes},
            listing=Listing(query, rows, total),
            states=await desk.provisioning.states([row.id for row in rows]),
            state_kinds=STATE_KINDS,
            choices={"kind": tuple(KINDS.items()), "use": tuple(USES.items()), "state": tuple(STATES.items())},
            connector=self._connectors.get(pbx.connector, pbx.connector),
            work=self._ticking.work(pbx_id),
            run=await desk.provisioning.run(),
            rest_api=gateway.rest_api,
        )

    async def tick(self, request: Request, pbx_id: int) -> Response:
        """Tick or untick those that were chosen, or all that the list holds."""
        pbx = await self._known(pbx_id)
        form = request.state.form
        teleworker = form.value("do") == "tick"
        query = ListQuery.read(f"/pbxs/{pbx_id}", _parameters(form.value("query")), SORTS, FILTERS)
        if form.value("which") == "all":
            ids = await self._desk.sites.extension_ids(extension_query(pbx_id, query))
        else:
            ids = [int(text) for text in form.values("extension") if text.isascii() and text.isdigit()]
            ids = await self._desk.sites.extension_ids(ExtensionQuery(pbx_id, ids=ids))
        back = query.link(page=query.page)
        if not ids:
            self._desk.console.shell.tell(request, "No extension was chosen.", kind="warn")
            return self._desk.console.shell.go(back)
        await self._ticking.start(request, pbx, ids, teleworker)
        return self._desk.console.shell.go(back)


def extension_query(pbx_id: int, query: ListQuery) -> ExtensionQuery:
    """What a list's address asks for."""
    kind, use, state = query.filter("kind"), query.filter("use"), query.filter("state")
    return ExtensionQuery(
        pbx_id,
        query.search,
        teleworker={"remote": True, "local": False}.get(use),
        hot_desk={"sip": False, "hot-desk": True}.get(kind),
        present=False if use == "gone" else None,
        obstructed=use == "obstructed",
        ids=_in_state(ProvisionState(state)) if state else None,
        by_name=query.sort == "name",
        descending=query.descending,
    )


def _in_state(state: ProvisionState) -> Select[int]:
    """Ids of the extensions in a state; those that are not in the record yet are waiting to be written."""
    found = select(Provision.extension_id).where(Provision.state == state.value)
    if state is not ProvisionState.PENDING:
        return found
    unseen = (
        select(SipExtension.id)
        .outerjoin(Provision, Provision.extension_id == SipExtension.id)
        .where(SipExtension.remote, Provision.extension_id.is_(None))
    )
    return select(SipExtension.id).where(or_(SipExtension.id.in_(found), SipExtension.id.in_(unseen)))


def _parameters(text: str) -> dict[str, str]:
    """The part of an address behind its question mark."""
    return dict(parse_qsl(text))

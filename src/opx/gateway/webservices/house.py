"""What all resources share: who calls, what a changed house is told, versions in headers, and errors."""

import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Request, Response
from fastapi.routing import APIRoute

from opx.gateway.changes import Told
from opx.gateway.control.protocol import Control, ControlError, NobodyThere
from opx.gateway.records import Conflict, InUse, Missing, RepositoryError, Taken
from opx.gateway.repository import Repository
from opx.gateway.webservices.authority import Caller
from opx.gateway.webservices.ports import AuditLog
from opx.gateway.webservices.problems import Problem, Refused, etag
from opx.gateway.webservices.schema import MAX_ID
from opx.gateway.webservices.settings import WebServicesSettings

TAKEN_HEADER = "OPX-Signalling"
"""Of a write's answer: whether the running gateway has taken it over (`taken`, `failed`, `nobody` when none runs)."""

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class House:
    """What the resources of ICPs and devices work on."""

    repository: Repository
    control: Control
    audit: AuditLog
    settings: WebServicesSettings
    permit_weak_passwords: bool

    async def changed(self, caller: Caller, response: Response, action: str, target: str, detail: str = "") -> None:
        """Something was written: it goes into the audit log, and signalling takes it over before the answer goes."""
        await self.audit(who(caller), caller.source, action, target, detail)
        response.headers[TAKEN_HEADER] = (await self._tell()).value

    async def _tell(self) -> Told:
        try:
            await self.control.changed()
        except NobodyThere:
            return Told.NOBODY
        except ControlError as error:
            log.error("web services: a change was not taken over: %s", error)
            return Told.FAILED
        return Told.TAKEN


def who(caller: Caller) -> str:
    return f"consumer {caller.consumer.consumer_id}"


def calling(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


def known_parameters(request: Request) -> None:
    """Refuses a query parameter that the route does not know, which may be a mistyped filter, and one that is there
    twice. Those of OAuth may stand in a query, too."""
    route = request.scope["route"]
    known = {parameter.alias for parameter in route.dependant.query_params} if isinstance(route, APIRoute) else set()
    names = [name for name, _ in request.query_params.multi_items() if not name.startswith("oauth_")]
    for name in names:
        if name not in known:
            expected = f"expected one of {', '.join(sorted(known))}" if known else "expected none here"
            raise Refused(422, "not_allowed", f"there is no parameter {name[:64]!r}; {expected}")
        if names.count(name) > 1:
            raise Refused(422, "not_allowed", f"{name} is there twice", field=name)


Calling = Annotated[Caller, Depends(calling)]

IfMatch = Annotated[
    str | None, Header(description="The ETag of what the change was made from; required", examples=['"3"'])
]
IfNoneMatch = Annotated[str | None, Header(description="An ETag that is known already")]


def expected_version(if_match: str | None) -> int:
    """The version that a writer has seen. Refused with 428 when there is none, for then nobody would know what a write
    does away with (RFC 6585 section 3)."""
    if if_match is None or if_match.strip() == "*":
        raise Refused(428, "version_needed", "expected an If-Match header with the ETag of what you have seen")
    text = if_match.strip().removeprefix('"').removesuffix('"')
    if if_match.strip() != f'"{text}"' or not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise Refused(412, "version_other", "the If-Match header names no version of this resource")
    return min(int(text), MAX_ID) or MAX_ID


def not_modified(if_none_match: str | None, version: int) -> Response | None:
    """304 for who has this version already (RFC 9110 section 13.1.2)."""
    known = [part.strip().removeprefix("W/") for part in (if_none_match or "").split(",")]
    if etag(version) in known or "*" in known:
        return Response(status_code=304, headers={"ETag": etag(version)})
    return None


async def stored(work: Awaitable[T]) -> T:
    """The result, or why the repository refuses it, as Refused."""
    try:
        return await work
    except RepositoryError as error:
        raise refusal(error) from None


def refusal(error: RepositoryError, creating: bool = False) -> Refused:
    text, field = str(error), error.field or None
    match error:
        case Missing():
            return Refused(404, "not_found", text)
        case Taken():
            return Refused(409, "taken", text, field=field)
        case InUse():
            return Refused(409, "in_use", text)
        case Conflict() if creating:
            return Refused(409, "exists", text, id=error.id, version=error.current)
        case Conflict():
            return Refused(412, "version_other", text, id=error.id, version=error.current)
        case _:
            return Refused(422, "not_allowed", text, field=field)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, for its description; those of the gate and of FastAPI's own checks are added to all."""
    return {status: {"model": Problem, "description": _REASONS[status]} for status in statuses}


_REASONS = {
    403: "The consumer has not the permission for this, or is not active",
    404: "There is none",
    409: "It is there already, or in use, or another one has what there is only once",
    412: "Somebody else was first; look at it again",
    428: "An If-Match header is needed",
    503: "What this needs is not running, or not set up",
}
ETAG_HEADER = {"headers": {"ETag": {"description": "The version, for If-Match", "schema": {"type": "string"}}}}

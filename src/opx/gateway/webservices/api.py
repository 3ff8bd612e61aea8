"""The application: the gate in front, the resources behind it, and their true description."""

import logging
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from opx.gateway.control.protocol import Control
from opx.gateway.repository import Repository
from opx.gateway.webservices.authority import Authority
from opx.gateway.webservices.description import describe
from opx.gateway.webservices.devices import device_routes
from opx.gateway.webservices.forwards import forward_routes
from opx.gateway.webservices.gate import Gate
from opx.gateway.webservices.house import House, known_parameters
from opx.gateway.webservices.icps import icp_routes
from opx.gateway.webservices.phones import phone_routes
from opx.gateway.webservices.ports import AuditLog, Forwards, ServerFacts, no_audit
from opx.gateway.webservices.problems import Mistake, Refused
from opx.gateway.webservices.service import WebServices
from opx.gateway.webservices.tokens import base_routes, exchange_routes

PATH = "/webservices"
"""Where the gateway's web process mounts it; the paths of the API begin behind this."""
MAX_MISTAKES = 20

log = logging.getLogger(__name__)


class WebServicesApp:
    """An ASGI application. `description` is the OpenAPI one."""

    def __init__(self, gate: ASGIApp, inner: FastAPI) -> None:
        self.inner = inner
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        root = scope.get("root_path", "")
        if not root.endswith(PATH):
            scope = {**scope, "root_path": root + PATH}
        await self._gate(scope, receive, send)

    @property
    def description(self) -> dict[str, Any]:
        return self.inner.openapi()


def app(
    *,
    repository: Repository,
    service: WebServices,
    server: ServerFacts,
    control: Control,
    forwards: Forwards | None = None,
    audit: AuditLog = no_audit,
    permit_weak_passwords: bool = False,
    authorise_page: str = "",
) -> WebServicesApp:
    """Served over HTTPS only. It gets the requests whose path begins with PATH, mounted there or not.

    `authorise_page` is the address of the console's page Administration > Web services. Without `forwards` their
    resources are not there.
    """
    settings = service.repository.settings
    house = House(repository, control, audit, settings, permit_weak_passwords)
    inner = FastAPI(
        title="OPX gateway web services",
        version="1",
        dependencies=[Depends(known_parameters)],
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    authority = Authority(service.repository, service.note_refusal)
    inner.include_router(exchange_routes(authority))
    inner.include_router(base_routes(service, server))
    inner.include_router(icp_routes(house))
    inner.include_router(device_routes(house))
    inner.include_router(phone_routes(house))
    if forwards is not None:
        inner.include_router(forward_routes(forwards, audit))
    inner.add_exception_handler(Refused, _refused)
    inner.add_exception_handler(RequestValidationError, _mistaken)
    inner.add_exception_handler(HTTPException, _http_error)
    inner.add_exception_handler(DBAPIError, _away)
    inner.add_exception_handler(OSError, _away)
    inner.add_exception_handler(Exception, _failed)
    describe(inner)
    return WebServicesApp(Gate(inner, authority, service.repository, authorise_page), inner)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return error.response()


async def _mistaken(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    mistakes = [
        Mistake(where=".".join(map(str, entry["loc"])), message=str(entry["msg"]))
        for entry in error.errors()[:MAX_MISTAKES]
    ]
    return Refused(422, "not_allowed", "what was sent is not what is expected", mistakes=mistakes).response()


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {404: "not_found", 405: "method_not_allowed"}
    response = Refused(error.status_code, words.get(error.status_code, "refused"), str(error.detail)).response()
    response.headers.update(error.headers or {})
    return response


async def _away(request: Request, error: Exception) -> Response:
    log.error("web services: %s %s: the database does not answer", request.method, request.url.path, exc_info=error)
    return Refused(503, "database_away", "the gateway's database does not answer; try again").response()


async def _failed(request: Request, error: Exception) -> Response:
    log.error("web services: %s %s failed", request.method, request.url.path, exc_info=error)
    return Refused(500, "failed", "the gateway could not do this; its log says why").response()

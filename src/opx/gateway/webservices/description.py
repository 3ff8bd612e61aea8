"""The OpenAPI description: what FastAPI knows of the routes, and what the gate adds to each."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse

from opx.gateway.webservices.gate import ACCESS_TOKEN, AUTHORIZE, REQUEST_TOKEN
from opx.gateway.webservices.problems import Problem

SUMMARY = f"""Every request is signed as OAuth 1.0a says (RFC 5849) with HMAC-SHA256 or HMAC-SHA1, over HTTPS.

A consumer gets its token once: it asks `POST {REQUEST_TOKEN}` with `oauth_callback=oob` for a temporary token; an
administrator approves that in the console (Administration > Web services, where `{AUTHORIZE}` leads a browser) and
carries the verifier over; `POST {ACCESS_TOKEN}` with `oauth_verifier` gives the final token. Both answer with a form,
as RFC 5849 sections 2.1 and 2.3 say.

A request whose signature is not right gets 401 without a word. Writes need an If-Match header with the ETag of what
they were made from, so that nobody overwrites what somebody else has just written.
"""
_SCHEME = {
    "oauth1": {
        "type": "http",
        "scheme": "OAuth",
        "description": "OAuth 1.0a (RFC 5849): HMAC-SHA256 or HMAC-SHA1, in header, query or form",
    }
}
_FOR_ALL = {
    "400": "The request cannot be read",
    "401": "The signature is not right (no body), or the token, the time or the nonce is not accepted",
    "403": "The consumer has not the permission for this, or is not active",
    "422": "What was sent is not allowed",
}
_WITHOUT_A_WORD = {
    "413": "The body is too long",
    "429": "Too many requests; Retry-After says for how long",
    "503": "The web services are stopped, or the database does not answer",
}


def describe(app: FastAPI) -> None:
    """Give the application its description, served at /openapi.json for every valid token."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app)
        return app.openapi_schema

    async def serve(request: Request) -> JSONResponse:
        return JSONResponse({**openapi(), "servers": [{"url": request.scope.get("root_path", "") or "/"}]})

    app.openapi = openapi  # type: ignore[method-assign]
    app.add_api_route("/openapi.json", serve, methods=["GET"], include_in_schema=False)


def _described(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(title=app.title, version=app.version, description=SUMMARY, routes=app.routes)
    components = schema.setdefault("components", {})
    components["securitySchemes"] = _SCHEME
    schemas = components.setdefault("schemas", {})
    definition = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(definition.pop("$defs", {}))
    schemas["Problem"] = definition
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path in schema["paths"].values():
        for operation in path.values():
            operation["security"] = [{"oauth1": []}]
            responses = operation["responses"]
            for status, text in _FOR_ALL.items():
                if status == "422" or status not in responses:
                    responses[status] = {"description": text, "content": problem}
            for status, text in _WITHOUT_A_WORD.items():
                responses.setdefault(status, {"description": text})
    return schema

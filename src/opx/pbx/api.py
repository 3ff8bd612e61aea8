"""The node's management API over HTTPS: extensions with their credentials, versions, and NOTIFY to a phone."""

import asyncio
import hmac
from collections.abc import Awaitable
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Header, HTTPException, Path
from pydantic import BaseModel, Field

from opx.pbx.api_features import add_features
from opx.pbx.node import PbxNode
from opx.pbx.repository import ExtensionRecord, ExtensionRepository

NOTIFY_LIMIT = 35.0
"""Seconds that a NOTIFY may take; the transaction itself gives up before."""

Number = Annotated[str, Path(pattern=r"^[0-9*#]{1,16}$")]


class System(BaseModel):
    """`address` is where the node's phones and border gateways find it."""

    name: str
    address: str
    sip_port: int
    version: str
    ct_gateway_version: str


class ExtensionView(BaseModel):
    """An extension with the credentials that its phone registers with."""

    number: str
    name: str
    type: str
    hot_desk: bool
    auth_name: str
    auth_password: str
    registered: bool


class ExtensionWish(BaseModel):
    name: str = Field(default="", max_length=64)
    type: Literal["SIP", "SIP hot desk"] = "SIP"


class Notification(BaseModel):
    event: str = Field(default="check-sync", pattern=r"^[A-Za-z0-9.;=_\-]{1,64}$")
    content_type: str = Field(default="application/xml", pattern=r"^[A-Za-z0-9.+\-]+/[A-Za-z0-9.+\-]+$")
    body: str = Field(default="", max_length=16_384)


class Notified(BaseModel):
    status: int
    """The phone's final answer; 480: not registered, 408: no answer."""


def build_api(node: PbxNode, repository: ExtensionRepository, token: str, system: System) -> FastAPI:
    """The application. Every request needs `Authorization: Bearer` with the token."""

    def authorised(authorization: Annotated[str, Header()] = "") -> None:
        given = authorization.removeprefix("Bearer ").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, token.encode()):
            raise HTTPException(401, "a valid token is needed", {"WWW-Authenticate": "Bearer"})

    app = FastAPI(
        title="OPX PBX node",
        version="1",
        dependencies=[Depends(authorised)],
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )

    def view(record: ExtensionRecord) -> ExtensionView:
        registered = bool(node.registrar.contacts(record.number))
        return ExtensionView(
            number=record.number,
            name=record.name,
            type=record.type,
            hot_desk=record.hot_desk,
            auth_name=record.number,
            auth_password=record.password,
            registered=registered,
        )

    def known(number: str) -> ExtensionRecord:
        record = node.extensions.get(number)
        if record is None:
            raise HTTPException(404, f"there is no extension {number}")
        return record

    @app.get("/api/v1/system")
    async def read_system() -> System:
        return system

    @app.get("/api/v1/openapi.json", include_in_schema=False)
    async def describe() -> dict[str, Any]:
        return app.openapi()

    @app.get("/api/v1/extensions")
    async def list_extensions() -> list[ExtensionView]:
        return [view(record) for _, record in sorted(node.extensions.items())]

    @app.get("/api/v1/extensions/{number}")
    async def read_extension(number: Number) -> ExtensionView:
        return view(known(number))

    @app.put("/api/v1/extensions/{number}")
    async def put_extension(number: Number, wish: ExtensionWish) -> ExtensionView:
        record = await repository.ensure(number, wish.name, wish.type)
        node.extensions[number] = record
        if not record.hot_desk:
            node.hot_desk.place(number, "")
        return view(record)

    @app.delete("/api/v1/extensions/{number}", status_code=204)
    async def remove_extension(number: Number) -> None:
        known(number)
        await repository.remove(number)
        node.remove(number)

    @app.post("/api/v1/extensions/{number}/notify")
    async def notify(number: Number, notification: Notification) -> Notified:
        known(number)
        final: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def done(status: int) -> None:
            if not final.done():
                final.set_result(status)

        node.notify(number, notification.event, notification.content_type, notification.body.encode(), done)
        return Notified(status=await _within(final))

    add_features(app, node, known)
    return app


async def _within(final: Awaitable[int]) -> int:
    try:
        async with asyncio.timeout(NOTIFY_LIMIT):
            return await final
    except TimeoutError:
        return 408

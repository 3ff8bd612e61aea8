"""The gateway's resources, typed."""

from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from opx.gateway_client.errors import NotFound, NotUnderstood
from opx.gateway_client.models import (
    BulkResult,
    Device,
    DeviceWish,
    Entry,
    Forward,
    ForwardWish,
    Icp,
    IcpWish,
    Origin,
    Registration,
    Server,
    TokenInfo,
)
from opx.gateway_client.wire import PHONE_TIMEOUT, Method, Secrets, Trust, Wire, read

M = TypeVar("M", bound=BaseModel)


class GatewayClient:
    """One gateway as one consumer sees it. Every method raises GatewayError; `async with`, or `close` in the end.

    Whoever changes something passes the version that they have seen, and gets Outdated when somebody else was first.
    """

    def __init__(
        self, url: str, secrets: Secrets, trust: Trust, method: Method = "HMAC-SHA256", local_address: str = ""
    ) -> None:
        self._secrets = secrets
        self._wire = Wire(url, trust, method, local_address)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._wire.close()

    # --- the gateway, and the own token

    async def server(self) -> Server:
        return _one(Server, await self._ask("GET", "Base/server"))

    async def token(self) -> TokenInfo:
        return _one(TokenInfo, await self._ask("GET", "Base/managetoken"))

    async def renew_token(self) -> TokenInfo:
        return _one(TokenInfo, await self._ask("POST", "Base/managetoken/renew"))

    async def drop_token(self) -> None:
        """The token is void from now on."""
        await self._ask("DELETE", "Base/managetoken")

    # --- ICPs

    def icps(self, *, name: str | None = None, host: str | None = None) -> AsyncIterator[Icp]:
        """Those of a name, or with a node at a Hostname or IP Address."""
        return self._all(Icp, "MBG/v1/icps", name=name, host=host)

    async def icp(self, key: int) -> Icp:
        return _one(Icp, await self._ask("GET", f"MBG/v1/icps/{key}"))

    async def create_icp(self, wish: IcpWish) -> Icp:
        """The same one when it is there already; Exists when it differs."""
        return _one(Icp, await self._ask("POST", "MBG/v1/icps", body=wish.body()))

    async def change_icp(self, key: int, version: int, wish: IcpWish) -> Icp:
        return _one(Icp, await self._ask("PUT", f"MBG/v1/icps/{key}", body=wish.body(), version=version))

    async def remove_icp(self, key: int, version: int) -> None:
        await self._ask("DELETE", f"MBG/v1/icps/{key}", version=version)

    # --- devices

    def devices(
        self,
        *,
        set_username: str | None = None,
        icp_username: str | None = None,
        icp_id: int | None = None,
        enabled: bool | None = None,
        text: str | None = None,
        page: int | None = None,
    ) -> AsyncIterator[Device]:
        """In the order of their ids, page by page of `page` entries. `text` stands anywhere in a user name or the
        description."""
        return self._all(
            Device,
            "MBG/v1/devices",
            set_username=set_username,
            icp_username=icp_username,
            icp_id=icp_id,
            enabled=enabled,
            q=text,
            limit=page,
        )

    async def device(self, key: int) -> Device:
        return _one(Device, await self._ask("GET", f"MBG/v1/devices/{key}"))

    async def create_device(self, wish: DeviceWish) -> Device:
        """The same one when it is there already, so that it may be sent again; Exists when it differs."""
        return _one(Device, await self._ask("POST", "MBG/v1/devices", body=wish.body()))

    async def change_device(self, key: int, version: int, wish: DeviceWish) -> Device:
        return _one(Device, await self._ask("PUT", f"MBG/v1/devices/{key}", body=wish.body(), version=version))

    async def remove_device(self, key: int, version: int) -> None:
        await self._ask("DELETE", f"MBG/v1/devices/{key}", version=version)

    async def change_devices(self, entries: Sequence[Entry]) -> list[BulkResult]:
        """Many at once, each for itself; results in the order of the entries. The gateway bounds how many."""
        body = {"entries": [entry.body() for entry in entries]}
        answer = read(await self._ask("POST", "MBG/v1/devices/bulk", body=body))
        results = _many(BulkResult, answer, "results")
        if len(results) != len(entries):
            raise NotUnderstood(f"{len(results)} results came for {len(entries)} entries")
        return results

    # --- phones

    async def notify(self, key: int, event: Literal["check-sync", "reboot", "aastra-xml"], body: str = "") -> int:
        """The phone's answer; 480 when it cannot be reached or does not answer."""
        wish = {"event": event, "body": body}
        answer = await self._ask("POST", f"OPX/v1/devices/{key}/notify", body=wish, patience=PHONE_TIMEOUT)
        return _one(_Notified, answer).status

    async def registrations(self, key: int) -> list[Registration]:
        return _many(Registration, read(await self._ask("GET", f"OPX/v1/devices/{key}/registrations")))

    # --- port forwarding

    async def forwards(self) -> list[Forward]:
        return _many(Forward, read(await self._ask("GET", "OPX/v1/forwards")))

    async def forward(self, key: int) -> Forward:
        return _one(Forward, await self._ask("GET", f"OPX/v1/forwards/{key}"))

    async def create_forward(self, wish: ForwardWish) -> Forward:
        return _one(Forward, await self._ask("POST", "OPX/v1/forwards", body=wish.body()))

    async def change_forward(self, key: int, version: int, wish: ForwardWish) -> Forward:
        return _one(Forward, await self._ask("PUT", f"OPX/v1/forwards/{key}", body=wish.body(), version=version))

    async def remove_forward(self, key: int, version: int) -> None:
        await self._ask("DELETE", f"OPX/v1/forwards/{key}", version=version)

    async def origin(
        self, source: tuple[str, int], own: tuple[str, int] | None = None, protocol: Literal["TCP", "UDP"] = "TCP"
    ) -> Origin | None:
        """Who is behind a connection that comes from `source`; `own` is the address and port that it came to.

        None when the gateway has forwarded none from there.
        """
        query = {"protocol": protocol, "address": source[0], "port": source[1]}
        if own is not None:
            query |= {"host": own[0], "host_port": own[1]}
        try:
            return _one(Origin, await self._ask("GET", "OPX/v1/forwards/origin", query=query))
        except NotFound:
            return None

    async def origins(
        self, connections: Sequence[tuple[tuple[str, int], tuple[str, int]]], protocol: Literal["TCP", "UDP"] = "TCP"
    ) -> list[Origin | None]:
        """The same of many connections, at most 500, each by its source and the server's address and port."""
        asked = [
            {"address": source[0], "port": source[1], "host": own[0], "host_port": own[1]}
            for source, own in connections
        ]
        body = {"protocol": protocol, "connections": asked}
        answer = read(await self._ask("POST", "OPX/v1/forwards/origins", body=body))
        items = answer.get("items") if isinstance(answer, dict) else None
        if not isinstance(items, list) or len(items) != len(asked):
            raise NotUnderstood(f"the answer does not hold {len(asked)} items")
        return [_valid(Origin, item) if item is not None else None for item in items]

    # --- helpers

    async def _ask(self, method: str, path: str, **known: Any) -> httpx.Response:
        return await self._wire.ask(self._secrets, method, path, **known)

    async def _all(self, model: type[M], path: str, **query: object) -> AsyncIterator[M]:
        after = 0
        while True:
            page = read(await self._ask("GET", path, query={**query, "after": after}))
            for item in _many(model, page):
                yield item
            following = page.get("next")
            if not isinstance(following, int) or following <= after:
                return
            after = following


class _Notified(BaseModel):
    status: int


def _one(model: type[M], answer: httpx.Response) -> M:
    return _valid(model, read(answer))


def _many(model: type[M], value: Any, key: str = "items") -> list[M]:
    items = value.get(key) if isinstance(value, dict) else None
    if not isinstance(items, list):
        raise NotUnderstood(f"the answer holds no {key}")
    return [_valid(model, item) for item in items]


def _valid(model: type[M], value: Any) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        where = ", ".join(".".join(map(str, entry["loc"])) or "all of it" for entry in error.errors())
        raise NotUnderstood(f"the answer is no {model.__name__.lower()}: {where}") from None

"""An OPX PBX node, by its management API: HTTPS with the certificate pinned, and a token."""

from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from opx.pinning import FingerprintDiffers, PinnedContext, fetch_fingerprint
from opx.suite.connectors.connector import ConnectorError, Event, OtherCertificate, PbxReading
from opx.suite.sites.records import Credentials, ReadExtension

TIMEOUT = 15.0
"""Seconds for a request."""
PHONE_TIMEOUT = 45.0
"""For what a phone has to answer: its transaction takes 32 at most."""
API_PORT = 8445

T = TypeVar("T")


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _System(_Read):
    address: str
    version: str
    ct_gateway_version: str = ""


class _Extension(_Read):
    number: str
    name: str
    hot_desk: bool
    auth_name: str
    auth_password: str
    registered: bool = False


class _Notified(_Read):
    status: int


class _PinVerdict(_Read):
    matches: bool


_SYSTEM = TypeAdapter(_System)
_EXTENSIONS: TypeAdapter[Sequence[_Extension]] = TypeAdapter(Sequence[_Extension])
_NOTIFIED = TypeAdapter(_Notified)
_PIN_VERDICT = TypeAdapter(_PinVerdict)


class OpxNode:
    """`url` is the management API's address, such as `https://192.0.2.20:8445/`; requests leave from `local_address`.

    ConnectorError when `url`, fingerprint or token are not such that anything can be asked.
    """

    def __init__(self, url: str, fingerprint: str, token: str, local_address: str = "") -> None:
        place_of(url)
        if not fingerprint:
            raise ConnectorError("the PBX's certificate is not trusted yet; look at its fingerprint and trust it")
        if not token.isascii() or not token.isprintable() or not token:
            raise ConnectorError("the token of the PBX's management API is missing; expected that of its token file")
        transport = httpx.AsyncHTTPTransport(
            verify=PinnedContext.of(fingerprint), trust_env=False, local_address=local_address or None
        )
        self._client = httpx.AsyncClient(
            base_url=url.rstrip("/") + "/api/v1/",
            transport=transport,
            timeout=TIMEOUT,
            trust_env=False,
            headers={"Authorization": f"Bearer {token}"},
        )

    async def read(self) -> PbxReading:
        system = _known(_SYSTEM, await self._ask("GET", "system"))
        listed = _known(_EXTENSIONS, await self._ask("GET", "extensions"))
        found = tuple(
            ReadExtension(
                entry.number,
                entry.name,
                entry.hot_desk,
                Credentials(entry.auth_name, entry.auth_password),
                system.address,
            )
            for entry in listed
        )
        return PbxReading(found, {system.address: system.version}, system.ct_gateway_version)

    async def notify(self, number: str, event: Event, body: str = "") -> int:
        wish = {"event": event, "content_type": "application/xml", "body": body}
        path = f"extensions/{quote(number, safe='')}/notify"
        return _known(_NOTIFIED, await self._ask("POST", path, wish, PHONE_TIMEOUT)).status

    async def registered(self) -> frozenset[str]:
        listed = _known(_EXTENSIONS, await self._ask("GET", "extensions"))
        return frozenset(entry.number for entry in listed if entry.registered)

    async def check_pin(self, number: str, pin: str, phone: str) -> bool:
        path = f"extensions/{quote(number, safe='')}/pin"
        return _known(_PIN_VERDICT, await self._ask("POST", path, {"pin": pin, "phone": phone})).matches

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, method: str, path: str, body: Any = None, patience: float = TIMEOUT) -> httpx.Response:
        try:
            answer = await self._client.request(method, path, json=body, timeout=patience)
        except httpx.HTTPError as error:
            raise _unreached(error) from None
        match answer.status_code:
            case 200:
                return answer
            case 401:
                raise ConnectorError("the PBX does not accept the token; expected that of its token file")
            case 404 if path.startswith("extensions/"):
                raise ConnectorError("the PBX has no such extension")
            case status:
                raise ConnectorError(f"the PBX answered with status {status}, as no management API of a node does")


def place_of(url: str) -> tuple[str, int]:
    """Host and port of a management API. ConnectorError."""
    try:
        parts = urlsplit(url)
        port = parts.port or API_PORT
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme != "https" or not parts.hostname or parts.username is not None or parts.query or parts.fragment:
        raise ConnectorError(f"expected the management API's address, such as https://192.0.2.20:{API_PORT}/")
    return parts.hostname, port


async def fingerprint_at(url: str, local_address: str = "") -> str:
    """SHA-256 in hex of the certificate that a management API shows, for the administrator to compare.

    ConnectorError.
    """
    host, port = place_of(url)
    try:
        return await fetch_fingerprint(host, port, local_address)
    except OSError as error:
        why = "not in time" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise ConnectorError(f"the PBX did not answer at {host}, port {port}: {why}") from None


def _known(shape: TypeAdapter[T], answer: httpx.Response) -> T:
    try:
        return shape.validate_json(answer.content)
    except ValidationError as error:
        # The mistakes themselves may hold a password.
        where = ", ".join({".".join(map(str, entry["loc"])) or "all of it" for entry in error.errors()})
        raise ConnectorError(f"the PBX's answer is not what a management API gives: {where[:200]}") from None


def _unreached(error: httpx.HTTPError) -> ConnectorError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, FingerprintDiffers):
            return OtherCertificate(cause.fingerprint)
        cause = cause.__cause__ or cause.__context__
    return ConnectorError(f"the PBX did not answer: {error or type(error).__name__}")

"""One signed request and its answer (RFC 5849), over HTTPS with the authority or certificate that was given and no
other."""

import json
import ssl
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
from oauthlib.oauth1 import Client

from opx.gateway_client.errors import (
    CertificateChanged,
    GatewayError,
    NotAuthorised,
    NotTrusted,
    NotUnderstood,
    Slower,
    Stopped,
    Unreachable,
    denied,
)
from opx.pinning import FingerprintDiffers, PinnedContext

TIMEOUT = 15.0
"""Seconds for a request; the gateway answers a write when signalling has taken it over."""
PHONE_TIMEOUT = 45.0
"""For what a phone has to answer: its transaction takes 32 at most."""

IDLE_LIMIT = 60.0
"""Seconds that an idle connection is kept for the next request: a handshake costs more than many requests."""

Method = Literal["HMAC-SHA256", "HMAC-SHA1"]


@dataclass(frozen=True, slots=True)
class Pin:
    """The gateway's certificate itself is what is trusted: its SHA-256 in hex, lower case."""

    fingerprint: str


Trust = Path | Pin | None
"""A PEM file with the certificate authority that the gateway's certificate is of, or the pinned certificate; None: the
authorities of this machine."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a request is signed with; a token only once there is one."""

    consumer_id: str
    consumer_secret: str = field(repr=False)
    token: str = ""
    token_secret: str = field(default="", repr=False)


class _Signing(httpx.Auth):
    requires_request_body = True

    def __init__(self, secrets: Secrets, method: Method, **more: str) -> None:
        self._client = Client(
            secrets.consumer_id,
            secrets.consumer_secret,
            secrets.token or None,
            secrets.token_secret or None,
            signature_method=method,
            **more,
        )

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        body = request.content.decode() or None
        kind = {"Content-Type": request.headers["content-type"]} if body else {}
        # oauthlib's type hints are narrower than it is.
        method: Any = request.method
        _, headers, _ = self._client.sign(str(request.url), method, body, kind)
        request.headers["Authorization"] = headers["Authorization"]
        yield request


class Wire:
    """Requests to one gateway. `url` is the address of its web services, such as `https://192.0.2.1:8443/webservices`;
    they leave from `local_address`, "" being whichever the system takes."""

    def __init__(self, url: str, trust: Trust, method: Method = "HMAC-SHA256", local_address: str = "") -> None:
        if not url.startswith("https://"):
            raise ValueError(f"{url!r} is no address of web services; expected one that begins with https://")
        self._method = method
        transport = httpx.AsyncHTTPTransport(
            verify=_context(trust),
            trust_env=False,
            local_address=local_address or None,
            limits=httpx.Limits(keepalive_expiry=IDLE_LIMIT),
        )
        self._client = httpx.AsyncClient(
            base_url=url.rstrip("/") + "/",
            transport=transport,
            timeout=TIMEOUT,
            trust_env=False,
            follow_redirects=False,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def ask(
        self,
        secrets: Secrets,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        version: int | None = None,
        patience: float = TIMEOUT,
        signed: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """A successful answer, within `patience` seconds. GatewayError. `signed` are further parameters of OAuth."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        request = self._client.build_request(
            method,
            path,
            content=json.dumps(body) if body is not None else None,
            params={name: _text(value) for name, value in (query or {}).items() if value is not None},
            headers=headers,
            timeout=patience,
        )
        try:
            answer = await self._client.send(request, auth=_Signing(secrets, self._method, **(signed or {})))
        except httpx.HTTPError as error:
            raise _unreached(error) from None
        if not answer.is_success:
            raise _refusal(answer)
        return answer


def read(answer: httpx.Response) -> Any:
    """The JSON of an answer. NotUnderstood."""
    try:
        return answer.json()
    except ValueError:
        raise NotUnderstood(f"the answer to {answer.request.method} {answer.request.url.path} is no JSON") from None


def _context(trust: Trust) -> ssl.SSLContext:
    if isinstance(trust, Pin):
        return PinnedContext.of(trust.fingerprint)
    try:
        return ssl.create_default_context(cafile=str(trust) if trust is not None else None)
    except OSError as error:
        raise NotTrusted(f"{trust} holds no certificate authority: {error}") from None


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unreached(error: httpx.HTTPError) -> GatewayError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, FingerprintDiffers):
            return CertificateChanged("the gateway shows another certificate than the trusted one", cause.fingerprint)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return NotTrusted(f"the gateway's certificate is not trusted: {cause.verify_message}")
        cause = cause.__cause__ or cause.__context__
    return Unreachable(f"the gateway did not answer: {error or type(error).__name__}")


def _refusal(answer: httpx.Response) -> GatewayError:
    status = answer.status_code
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    if status == 429:
        wait = answer.headers.get("retry-after", "60")
        text = problem["message"] if isinstance(problem, dict) and "message" in problem else "too many requests"
        return Slower(str(text), float(wait) if wait.isdigit() else 60.0)
    if isinstance(problem, dict) and "error" in problem and "message" in problem:
        return denied(status, problem)
    match status:
        case 401:
            return NotAuthorised("the gateway does not accept ConsumerID, secret or token; it does not say which")
        case 503:
            return Stopped("the gateway's web services are stopped")
        case _:
            return NotUnderstood(f"the answer has status {status} and is none of the web services")

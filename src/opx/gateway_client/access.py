"""Getting a token, with an administrator's help (guide stage 4, step 2; RFC 5849 section 2).

`request_access` makes the request appear in the gateway's console under Temporary tokens. The administrator approves it
and hands over the Verifier, with which `retrieve_access` gets the final token.
"""

from dataclasses import dataclass, field
from urllib.parse import parse_qs

import httpx

from opx.gateway_client.errors import NotUnderstood
from opx.gateway_client.wire import Method, Secrets, Trust, Wire


@dataclass(frozen=True, slots=True)
class PendingAccess:
    """A temporary token. It may be kept until the administrator has approved it, before `expires_at`."""

    token: str
    secret: str = field(repr=False)
    expires_at: int


@dataclass(frozen=True, slots=True)
class Access:
    """The final token, to be kept with the consumer's secret. `expires_at` in seconds since 1970."""

    token: str
    secret: str = field(repr=False)
    expires_at: int

    def secrets(self, consumer_id: str, consumer_secret: str) -> Secrets:
        """What requests are signed with."""
        return Secrets(consumer_id, consumer_secret, self.token, self.secret)


async def request_access(
    url: str,
    consumer_id: str,
    consumer_secret: str,
    trust: Trust,
    method: Method = "HMAC-SHA256",
    local_address: str = "",
) -> PendingAccess:
    """GatewayError."""
    secrets = Secrets(consumer_id, consumer_secret)
    wire = Wire(url, trust, method, local_address)
    values = await _post(wire, secrets, "oauth/request_token", callback_uri="oob")
    return PendingAccess(*values)


async def retrieve_access(
    url: str,
    consumer_id: str,
    consumer_secret: str,
    pending: PendingAccess,
    verifier: str,
    trust: Trust,
    method: Method = "HMAC-SHA256",
    local_address: str = "",
) -> Access:
    """GatewayError; NotApproved and VerifierWrong leave the request as it is, for another try."""
    secrets = Secrets(consumer_id, consumer_secret, pending.token, pending.secret)
    wire = Wire(url, trust, method, local_address)
    values = await _post(wire, secrets, "oauth/access_token", verifier=verifier.strip())
    return Access(*values)


async def _post(wire: Wire, secrets: Secrets, path: str, **signed: str) -> tuple[str, str, int]:
    try:
        return _token(await wire.ask(secrets, "POST", path, signed=signed))
    finally:
        await wire.close()


def _token(answer: httpx.Response) -> tuple[str, str, int]:
    values = parse_qs(answer.text)
    try:
        return values["oauth_token"][0], values["oauth_token_secret"][0], int(values["expires_at"][0])
    except (KeyError, ValueError):
        raise NotUnderstood("the answer holds no token") from None

"""Requests signed as RFC 5849 says: reading what stands in one, and judging its signature. No database, no clock."""

import base64
import hashlib
import hmac
import sys
from collections.abc import Mapping, Sequence
from typing import cast

from oauthlib.common import CaseInsensitiveDict, Request
from oauthlib.oauth1 import SIGNATURE_HMAC_SHA1, SIGNATURE_HMAC_SHA256, RequestValidator
from oauthlib.oauth1.rfc5849.endpoints import BaseEndpoint
from oauthlib.oauth1.rfc5849.errors import OAuth1Error

METHODS = (SIGNATURE_HMAC_SHA256, SIGNATURE_HMAC_SHA1)
MAX_PARAMETER = 256
"""Characters of one OAuth parameter; ours have at most 64, a client's nonce is its own."""
FORM = "application/x-www-form-urlencoded"


class Unreadable(Exception):
    """A request without what it takes to judge it; the text is for the log only."""


class _Rules(RequestValidator):
    """What oauthlib asks while it reads a request. Times and nonces are judged later, once the signature is."""

    allowed_signature_methods = METHODS
    timestamp_lifetime = sys.maxsize
    enforce_ssl = True

    def check_client_key(self, client_key: str) -> bool:
        return len(client_key) <= MAX_PARAMETER

    def check_nonce(self, nonce: str) -> bool:
        return len(nonce) <= MAX_PARAMETER


class _KnownSecrets(RequestValidator):
    """Hands oauthlib the secrets that a signature is to be judged by."""

    def __init__(self, client_secret: str, token_secret: str) -> None:
        super().__init__()
        self._client_secret = client_secret
        self._token_secret = token_secret

    def get_client_secret(self, client_key: str, request: Request) -> str:
        return self._client_secret

    def get_request_token_secret(self, client_key: str, token: str, request: Request) -> str:
        return self._token_secret

    def get_access_token_secret(self, client_key: str, token: str, request: Request) -> str:
        return self._token_secret


class _Reader(BaseEndpoint):
    """oauthlib's base of all endpoints; the steps that its own endpoints do at once are done here one by one, for in
    between the database is asked. (Its type hints leave these methods out.)"""

    def read(self, uri: str, method: str, body: str, headers: CaseInsensitiveDict) -> Request:
        request: Request = self._create_request(uri, method, body, headers)  # type: ignore[attr-defined]
        self._check_transport_security(request)  # type: ignore[attr-defined]
        self._check_mandatory_parameters(request)  # type: ignore[attr-defined]
        return request

    def matches(self, request: Request) -> bool:
        return bool(self._check_signature(request))  # type: ignore[attr-defined]


_READER = _Reader(_Rules())


class SignedRequest:
    """A request with all that a signed one has; whether the signature is right is another question."""

    def __init__(self, request: Request, content: bytes) -> None:
        self._request = request
        self._content = content
        parameters = self._parameters = cast(Mapping[str, str], request.oauth_params)
        if any(len(value) > MAX_PARAMETER for value in parameters.values()):
            raise Unreadable("an OAuth parameter is too long")
        self.client_key = parameters["oauth_consumer_key"]
        self.token = parameters.get("oauth_token", "")
        self.verifier = parameters.get("oauth_verifier", "")
        self.callback = parameters.get("oauth_callback", "")
        self.timestamp = int(parameters["oauth_timestamp"])

    @classmethod
    def read(cls, method: str, uri: str, headers: Sequence[tuple[str, str]], content: bytes) -> "SignedRequest":
        """`uri` as the client has called it, with scheme, host and query. Unreadable."""
        known = dict(headers)
        if sum(name == "authorization" for name, _ in headers) > 1:
            raise Unreadable("two Authorization headers")
        try:
            # Only a form's parameters are part of what is signed (RFC 5849 section 3.4.1.3.1).
            body = content.decode("ascii") if known.get("content-type", "").startswith(FORM) else ""
            request = _READER.read(uri, method, body, CaseInsensitiveDict(known))
            return cls(request, content)
        except (OAuth1Error, ValueError) as error:
            raise Unreadable(_printable(str(error)) or type(error).__name__) from None

    def signed_with(self, client_secret: str, token_secret: str) -> bool:
        """Whether these secrets give its signature; takes as long for a wrong one as for the right one."""
        return _Reader(_KnownSecrets(client_secret, token_secret)).matches(self._request)

    @property
    def body_is_as_signed(self) -> bool:
        """False when the client signed a hash of a body (`oauth_body_hash`), and it is not the one that came."""
        signed = self._parameters.get("oauth_body_hash")
        if signed is None:
            return True
        hashes = (hashlib.sha1(self._content, usedforsecurity=False), hashlib.sha256(self._content))
        return any(hmac.compare_digest(base64.b64encode(it.digest()), signed.encode()) for it in hashes)

    @property
    def digest(self) -> bytes:
        """What occurs once (RFC 5849 section 3.3): time, nonce, client and token."""
        parts = (str(self.timestamp), self._parameters["oauth_nonce"], self.client_key, self.token)
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()


def _printable(text: str) -> str:
    """For the log: what a stranger sent may stand in it."""
    return "".join(char if char.isprintable() else "?" for char in text[:MAX_PARAMETER])

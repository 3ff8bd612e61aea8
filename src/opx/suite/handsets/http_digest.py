"""Digest authentication of phones over HTTP (RFC 7616): the server's side, without any memory of its own.

Nonces are signed and expire. Their counts are not remembered: files with secrets go over TLS, where nobody can replay a
request that they have not made themselves.
"""

import hmac
import secrets
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from opx.sip.digest import Algorithm, Authorization, Challenge, ha1, response_of
from opx.sip.errors import RemoteProtocolError
from opx.sip.nonces import NonceIssuer, NonceVerdict
from opx.suite.handsets.records import REALM
from opx.suite.sites.records import Credentials

Hashes = Mapping[Algorithm, str]
"""HA1 by algorithm."""


class Shown(Enum):
    """What an Authorization header shows of one set of credentials."""

    NOTHING = "nothing"
    STALE = "stale"
    """They are right, but for a nonce that is used up or of before a restart: challenge again, saying so."""
    RIGHT = "right"


class Offer(NamedTuple):
    """Credentials as they came, for this request and no other."""

    authorization: Authorization
    method: str
    fresh: bool

    @property
    def username(self) -> str:
        return self.authorization.username


class HttpDigest:
    """Challenges, and checks of what answers them."""

    def __init__(self, algorithms: Sequence[str], nonce_seconds: float, secret: bytes | None = None) -> None:
        self._algorithms = [Algorithm(name) for name in algorithms] or [Algorithm.MD5]
        self._issuer = NonceIssuer(secret or secrets.token_bytes(32), nonce_seconds)
        self._nobody = {algorithm: secrets.token_hex(32) for algorithm in Algorithm}

    def challenges(self, now: float, *, stale: bool = False) -> list[tuple[str, str]]:
        """Header names and values of a 401, one per algorithm."""
        nonce = self._issuer.issue(now)
        made = (Challenge(REALM, nonce, algorithm, stale=stale) for algorithm in self._algorithms)
        return [("www-authenticate", challenge.header_value()) for challenge in made]

    def read(self, values: Sequence[str], method: str, target: str, now: float) -> Offer | None:
        """The credentials of a request for `target` (path and query as they came); None: there are none that fit.

        The URI in them is compared to the letter: a response must serve for one file alone.
        """
        if len(values) != 1:
            return None
        try:
            offered = Authorization.parse(values[0])
        except RemoteProtocolError:
            return None
        if offered.realm != REALM or offered.algorithm not in self._algorithms:
            return None
        if offered.qop != "auth" or not offered.cnonce or not offered.nc or _path_of(offered.uri) != target:
            return None
        return Offer(offered, method, self._issuer.check(offered.nonce, now) is NonceVerdict.OK)

    def check(self, offer: Offer, username: str, hashes: Hashes | None) -> Shown:
        """Whether an offer shows these credentials. With no `hashes` the same work is done, for nothing."""
        offered = offer.authorization
        algorithm = offered.algorithm or Algorithm.MD5
        secret = (hashes or self._nobody)[algorithm]
        expected = response_of(
            algorithm, secret, offer.method, offered.uri, offered.nonce, offered.nc, offered.cnonce, "auth"
        )
        given = offered.response.lower().encode("utf-8", "surrogateescape")
        right = hmac.compare_digest(expected.encode(), given)
        named = hmac.compare_digest(username.encode(), offered.username.encode("utf-8", "surrogateescape"))
        if not (right and named and hashes is not None):
            return Shown.NOTHING
        return Shown.RIGHT if offer.fresh else Shown.STALE


def hashes_of(credentials: Credentials) -> Hashes:
    return {algorithm: ha1(algorithm, credentials.name, REALM, credentials.password) for algorithm in Algorithm}


def _path_of(uri: str) -> str:
    """A client may write the absolute form (RFC 9112 section 3.2.2)."""
    if uri.lower().startswith(("https://", "http://")):
        _, slash, path = uri.split("//", 1)[1].partition("/")
        return slash + path
    return uri

"""Digest authentication, both sides (RFC 3261 section 22, RFC 7616, RFC 8760)."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from opx.sip.entropy import random_hex
from opx.sip.errors import RemoteProtocolError
from opx.sip.grammar import quote, unquote
from opx.sip.nonces import MAX_NC, NonceIssuer, NonceVerdict


class Algorithm(Enum):
    MD5 = "MD5"
    SHA256 = "SHA-256"


ALGORITHMS = (Algorithm.SHA256, Algorithm.MD5)
"""Strongest first."""

_BY_NAME = {algorithm.value.upper(): algorithm for algorithm in Algorithm}
_FIELD = re.compile(r'\s*([A-Za-z0-9*._\-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^",\s]*)\s*(?:,|$)', re.DOTALL)
_USUAL = re.compile(r'(?:[a-z]+=(?:"[^"\\]*"|[^",\s]*)(?:, ?|\Z))+\Z')
_USUAL_FIELD = re.compile(r'([a-z]+)=(?:"([^"]*)"|([^",\s]*))')
"""What nearly every client writes, told and taken in two steps instead of one for each parameter."""
_PLACE = "\0"
"""Where the nonce comes to stand; no realm holds it."""
MAX_VALUE = 4096
"""Characters of a header with credentials or a challenge."""


def digest_hash(algorithm: Algorithm, text: str) -> str:
    data = text.encode("utf-8", "surrogateescape")
    if algorithm is Algorithm.MD5:
        return hashlib.md5(data, usedforsecurity=False).hexdigest()
    return hashlib.sha256(data).hexdigest()


def ha1(algorithm: Algorithm, username: str, realm: str, password: str) -> str:
    """H(user:realm:password) in hex: as good as the password wherever that realm is asked for."""
    return digest_hash(algorithm, f"{username}:{realm}:{password}")


def response_of(
    algorithm: Algorithm, secret: str, method: str, uri: str, nonce: str, nc: str, cnonce: str, qop: str
) -> str:
    """The response to a challenge; `secret` is the HA1. Without qop as RFC 2617 has it for old servers."""
    ha2 = digest_hash(algorithm, f"{method}:{uri}")
    if qop:
        return digest_hash(algorithm, f"{secret}:{nonce}:{nc}:{cnonce}:{qop}:{ha2}")
    return digest_hash(algorithm, f"{secret}:{nonce}:{ha2}")


def _fields(value: str) -> dict[str, str]:
    """The parameters of a Digest header. RemoteProtocolError for any other scheme or a malformed value."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest" or len(value) > MAX_VALUE:
        raise RemoteProtocolError("no Digest credentials")
    fields: dict[str, str] = {}
    if _USUAL.match(rest):
        for name, quoted, plain in _USUAL_FIELD.findall(rest):
            fields.setdefault(name, quoted or plain)
        return fields
    position = 0
    while position < len(rest):
        match = _FIELD.match(rest, position)
        if match is None:
            if not rest[position:].strip(" ,\t"):
                break
            raise RemoteProtocolError("malformed Digest parameters")
        name, text = match.groups()
        fields.setdefault(name.lower(), unquote(text) if text[:1] == '"' else text)
        position = match.end()
    return fields


def _algorithm_of(fields: dict[str, str]) -> Algorithm | None:
    return _BY_NAME.get(fields.get("algorithm", "MD5").upper())


@dataclass(frozen=True, slots=True)
class Challenge:
    """A WWW- or Proxy-Authenticate. `algorithm` is None for one that we do not speak."""

    realm: str
    nonce: str
    algorithm: Algorithm | None
    qop: str = "auth"
    opaque: str | None = None
    stale: bool = False
    proxy: bool = False

    @classmethod
    def parse(cls, value: str, *, proxy: bool = False) -> "Challenge":
        """RemoteProtocolError when it is no Digest challenge with realm and nonce."""
        fields = _fields(value)
        if "realm" not in fields or "nonce" not in fields:
            raise RemoteProtocolError("a challenge lacks its realm or nonce")
        offered = [token.strip().lower() for token in fields.get("qop", "").split(",")]
        return cls(
            fields["realm"],
            fields["nonce"],
            _algorithm_of(fields),
            "auth" if "auth" in offered else "",
            fields.get("opaque"),
            fields.get("stale", "").lower() == "true",
            proxy,
        )

    def header_value(self) -> str:
        algorithm = self.algorithm.value if self.algorithm else "MD5"
        text = f"Digest realm={quote(self.realm)}, nonce={quote(self.nonce)}, algorithm={algorithm}"
        if self.qop:
            text += f', qop="{self.qop}"'
        if self.opaque is not None:
            text += f", opaque={quote(self.opaque)}"
        if self.stale:
            text += ", stale=true"
        return text


@dataclass(slots=True)
class Authorization:
    """An Authorization or Proxy-Authorization. `nc` as it was written, for it goes into the hash so.

    Not frozen, which would make it three times as slow to make.
    """

    username: str
    realm: str
    nonce: str
    uri: str
    response: str = field(repr=False)
    algorithm: Algorithm | None
    qop: str = ""
    cnonce: str = ""
    nc: str = ""
    opaque: str | None = None

    @classmethod
    def parse(cls, value: str) -> "Authorization":
        """RemoteProtocolError when it is no Digest credentials with all that is mandatory."""
        fields = _fields(value)
        try:
            return cls(
                fields["username"],
                fields["realm"],
                fields["nonce"],
                fields["uri"],
                fields["response"],
                _algorithm_of(fields),
                fields.get("qop", "").lower(),
                fields.get("cnonce", ""),
                fields.get("nc", ""),
                fields.get("opaque"),
            )
        except KeyError as missing:
            raise RemoteProtocolError(f"credentials lack {missing.args[0]}") from None

    def header_value(self) -> str:
        algorithm = self.algorithm.value if self.algorithm else "MD5"
        text = (
            f"Digest username={quote(self.username)}, realm={quote(self.realm)}, nonce={quote(self.nonce)}, "
            f'uri={quote(self.uri)}, response="{self.response}", algorithm={algorithm}'
        )
        if self.qop:
            text += f", qop={self.qop}, cnonce={quote(self.cnonce)}, nc={self.nc}"
        if self.opaque is not None:
            text += f", opaque={quote(self.opaque)}"
        return text


class Verdict(NamedTuple):
    """What came of credentials. `stale`: they are right, but their nonce is used up: challenge again, saying so."""

    ok: bool
    username: str
    reason: str
    stale: bool = False


class DigestVerifier:
    """The server's side: issues challenges and checks what answers them. Always qop=auth."""

    def __init__(self, realm: str, issuer: NonceIssuer, algorithms: Sequence[Algorithm] = ALGORITHMS) -> None:
        self.realm = realm
        self._issuer = issuer
        self._algorithms = tuple(algorithms)
        # All of a challenge but its nonce, for they go out by the thousand.
        self._parts = [
            Challenge(realm, _PLACE, algorithm).header_value().split(_PLACE, 1) for algorithm in self._algorithms
        ]
        # An unknown user is checked like any other, against what no password gives.
        self._dummies = {algorithm: secrets.token_hex(32) for algorithm in Algorithm}

    def challenges(self, now: float, *, stale: bool = False, proxy: bool = False) -> list[tuple[str, str]]:
        """Header name and value of one challenge per algorithm, the preferred one first (RFC 8760 section 2.3)."""
        name = "proxy-authenticate" if proxy else "www-authenticate"
        nonce = self._issuer.issue(now)
        end = ", stale=true" if stale else ""
        return [(name, f"{before}{nonce}{behind}{end}") for before, behind in self._parts]

    def verify(
        self,
        method: str,
        values: Sequence[str],
        ha1_for: Callable[[str, Algorithm], str | None],
        now: float,
        request_uri: str,
    ) -> Verdict:
        """Check the credentials in `values` (the header lines) that are for our realm.

        `ha1_for` gives the HA1 of a user, None for one who may not enter. The URI in the credentials need not be the
        Request-URI to the letter (a proxy may have changed it on the way), but must be for the same host.
        """
        offered = self._ours(values)
        if offered is None:
            return Verdict(False, "", "no credentials for this realm")
        secret = ha1_for(offered.username, offered.algorithm) if offered.algorithm in self._algorithms else None
        return self.judge(offered, method, secret, now, request_uri)

    def judge(self, offered: Authorization, method: str, secret: str | None, now: float, request_uri: str) -> Verdict:
        """Check credentials for our realm against a user's HA1 (`secret`), None for one who may not enter."""
        algorithm = offered.algorithm
        if algorithm is None or algorithm not in self._algorithms:
            return Verdict(False, offered.username, "its digest algorithm is not allowed here")
        known = secret is not None
        expected = response_of(
            algorithm,
            secret or self._dummies[algorithm],
            method,
            offered.uri,
            offered.nonce,
            offered.nc,
            offered.cnonce,
            "auth",
        )
        matches = hmac.compare_digest(expected.encode(), offered.response.lower().encode("utf-8", "surrogateescape"))
        freshness = self._issuer.check(offered.nonce, now)
        if freshness is NonceVerdict.FORGED:
            # A nonce of before a restart cannot be told from a forged one: right credentials deserve another try.
            return Verdict(False, offered.username, "unknown nonce", stale=matches and known)
        if offered.qop != "auth" or not offered.cnonce:
            return Verdict(False, offered.username, "its answer lacks qop=auth")
        if not (matches and known):
            return Verdict(False, offered.username, "wrong password")
        if not _same_target(offered.uri, request_uri):
            return Verdict(False, offered.username, "its credentials are for another address")
        if freshness is NonceVerdict.OK:
            freshness = self._issuer.use(offered.nonce, _count(offered.nc))
        if freshness is NonceVerdict.OK:
            return Verdict(True, offered.username, "accepted")
        return Verdict(False, offered.username, freshness.value, stale=True)

    def _ours(self, values: Sequence[str]) -> Authorization | None:
        for value in values:
            try:
                offered = Authorization.parse(value)
            except RemoteProtocolError:
                continue
            if offered.realm == self.realm:
                return offered
        return None


class DigestClient:
    """The client's side: answers challenges with one user's password, or its HA1 per algorithm and realm-less."""

    def __init__(self, username: str, password: str, *, cnonce: Callable[[], str] = lambda: random_hex(8)) -> None:
        self.username = username
        self._password = password
        self._cnonce = cnonce
        self._last: Challenge | None = None
        self._count = 0

    def __repr__(self) -> str:
        return f"DigestClient({self.username!r})"

    def answer(
        self, challenges: Sequence[Challenge], method: str, uri: str, body: bytes = b""
    ) -> tuple[str, str] | None:
        """Header name and value for the strongest challenge that we speak, None when there is none."""
        spoken = [challenge for challenge in challenges if challenge.algorithm is not None]
        if not spoken:
            return None
        best = min(spoken, key=lambda challenge: ALGORITHMS.index(challenge.algorithm or Algorithm.MD5))
        if self._last is None or self._last.nonce != best.nonce:
            self._count = 0
        self._last = best
        return self._header(best, method, uri)

    def again(self, method: str, uri: str) -> tuple[str, str] | None:
        """Credentials for the last challenge once more, which spares a round trip; None before the first one."""
        if self._last is None or not self._last.qop:
            return None
        return self._header(self._last, method, uri)

    def _header(self, challenge: Challenge, method: str, uri: str) -> tuple[str, str]:
        algorithm = challenge.algorithm or Algorithm.MD5
        self._count += 1
        nc = f"{self._count:08x}" if challenge.qop else ""
        cnonce = self._cnonce() if challenge.qop else ""
        secret = ha1(algorithm, self.username, challenge.realm, self._password)
        response = response_of(algorithm, secret, method, uri, challenge.nonce, nc, cnonce, challenge.qop)
        authorization = Authorization(
            self.username,
            challenge.realm,
            challenge.nonce,
            uri,
            response,
            algorithm,
            challenge.qop,
            cnonce,
            nc,
            challenge.opaque,
        )
        return ("proxy-authorization" if challenge.proxy else "authorization"), authorization.header_value()


def _count(nc: str) -> int:
    try:
        count = int(nc, 16)
    except ValueError:
        return 0
    return count if 0 < count <= MAX_NC else 0


def _same_target(one: str, other: str) -> bool:
    return one == other or _host_of(one) == _host_of(other)


def _host_of(uri: str) -> str:
    rest = uri.partition(":")[2]
    rest = rest.rpartition("@")[2]
    return rest.partition("?")[0].partition(";")[0].removesuffix(":5060").lower()

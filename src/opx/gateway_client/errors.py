"""What can go wrong between a client and the gateway: a class for each thing that a caller may want to act on."""

from collections.abc import Mapping
from typing import Any


class GatewayError(Exception):
    """Something went wrong; the text says what, for people."""


class Unreachable(GatewayError):
    """No gateway answered there, or not in time. Whether it has carried out the request is not known."""


class NotTrusted(GatewayError):
    """Whoever answered has no certificate of the authority that was given."""


class CertificateChanged(NotTrusted):
    """Whoever answered has another certificate than the pinned one; `fingerprint` is its SHA-256 in hex."""

    def __init__(self, text: str, fingerprint: str) -> None:
        super().__init__(text)
        self.fingerprint = fingerprint


class NotUnderstood(GatewayError):
    """The answer is none of a gateway's web services."""


class Stopped(GatewayError):
    """The web services are stopped, or what the request needs is not running."""


class Slower(GatewayError):
    """Too many requests, or too many refused ones; to be tried again after `retry_after` seconds."""

    def __init__(self, text: str, retry_after: float) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class NotAuthorised(GatewayError):
    """The gateway does not know who asks: a wrong ConsumerID, secret or token, and it does not say which."""


class Denied(GatewayError):
    """The gateway knows who asks, and refuses. `code` is its word for why, `status` that of HTTP."""

    def __init__(self, text: str, code: str, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(text)
        self.code = code
        self.status = status
        self.problem = problem

    @property
    def field(self) -> str:
        """What of the request is at fault, "" when that is not said."""
        return str(self.problem.get("field") or "")

    @property
    def id(self) -> int | None:
        """Of what is stored already, where that is the reason."""
        return self.problem.get("id")

    @property
    def version(self) -> int | None:
        """The version that is stored, where another one is the reason."""
        return self.problem.get("version")


class ClockSkew(Denied):
    """This machine's clock and the gateway's are too far apart."""

    @property
    def server_time(self) -> int:
        """Seconds since 1970."""
        return int(self.problem.get("server_time") or 0)


class Repeated(Denied):
    """The same request was taken before."""


class NotApproved(Denied):
    """No administrator has approved the request for access yet."""


class VerifierWrong(Denied):
    """The verifier is not the one that the gateway shows."""


class TokenEnded(Denied):
    """The token has expired, was revoked, used or voided; a new one has to be asked for, or this one renewed."""


class ConsumerInactive(Denied):
    """An administrator has set the consumer to not active."""


class PermissionMissing(Denied):
    """The consumer's permissions do not reach so far."""


class NotFound(Denied):
    """There is no such thing, or not any more."""


class Exists(Denied):
    """There is one of that name that differs; `id` and `version` say which."""


class Taken(Denied):
    """Another one has what there is only once."""


class InUse(Denied):
    """It cannot go as long as others use it."""


class Outdated(Denied):
    """Somebody else has changed it since; `version` is the one there is now."""


class NotAllowed(Denied):
    """What was sent cannot be; `field` or `problem["mistakes"]` say where."""


class WeakPassword(NotAllowed):
    """The set-side password is quickly guessed."""


class Failed(Denied):
    """The gateway could not do it; its log says why."""


BY_CODE: Mapping[str, type[Denied]] = {
    "clock_skew": ClockSkew,
    "nonce_used": Repeated,
    "not_approved": NotApproved,
    "verifier_wrong": VerifierWrong,
    "token_void": TokenEnded,
    "token_used": TokenEnded,
    "token_expired": TokenEnded,
    "token_revoked": TokenEnded,
    "consumer_inactive": ConsumerInactive,
    "permission_missing": PermissionMissing,
    "not_found": NotFound,
    "exists": Exists,
    "taken": Taken,
    "in_use": InUse,
    "version_other": Outdated,
    "not_allowed": NotAllowed,
    "weak_password": WeakPassword,
    "failed": Failed,
}
"""By the word that the gateway has for it; another word is a plain `Denied`."""


def denied(status: int, problem: Mapping[str, Any]) -> GatewayError:
    """The error for a refusal's body, or for an entry of a bulk write."""
    code, text = str(problem["error"]), str(problem["message"])
    if code in ("not_running", "not_answered", "not_known", "database_away"):
        return Stopped(text)
    return BY_CODE.get(code, Denied)(text, code, status, problem)

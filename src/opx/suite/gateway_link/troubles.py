"""What stands between suite and gateway as a whole, in words; what is wrong with one request stays a GatewayError."""

import time
from datetime import UTC, datetime
from enum import StrEnum

from opx.gateway_client import errors
from opx.gateway_client.errors import GatewayError
from opx.gateway_client.models import Server

MIN_LEVEL = 10
"""The guide's: "the MBG must be running v10 or higher and be configured in Gateway mode"."""
GATEWAY_MODE = "gateway"
WEB_SERVICES_PAGE = "the gateway's page Administration > Web services"
GATEWAY_PAGE = "Configuration > Site Settings > Phone Systems > MiVoice Border Gateway"


class Reason(StrEnum):
    """For programs; the text of a LinkError is for people."""

    OFF = "off"
    NO_ADDRESS = "no-address"
    NOT_PINNED = "not-pinned"
    CERTIFICATE_CHANGED = "certificate-changed"
    NO_TOKEN = "no-token"
    TOKEN_ENDED = "token-ended"
    NOT_ACCEPTED = "not-accepted"
    CONSUMER_INACTIVE = "consumer-inactive"
    NOT_PERMITTED = "not-permitted"
    CLOCK_SKEW = "clock-skew"
    TOO_OLD = "too-old"
    NOT_GATEWAY_MODE = "not-gateway-mode"
    STOPPED = "stopped"
    SLOWER = "slower"
    UNREACHABLE = "unreachable"
    NOT_UNDERSTOOD = "not-understood"

    @property
    def needs_somebody(self) -> bool:
        """It does not pass by itself."""
        return self not in _PASSING


_PASSING = frozenset({Reason.STOPPED, Reason.SLOWER, Reason.UNREACHABLE, Reason.NOT_UNDERSTOOD})


class LinkError(GatewayError):
    """Nothing can be asked of the gateway now. `retry_after`: seconds that the gateway wants to be left alone."""

    def __init__(self, reason: Reason, text: str, retry_after: float = 0.0) -> None:
        super().__init__(text)
        self.reason = reason
        self.retry_after = retry_after


def check_server(server: Server) -> None:
    """LinkError when it is no gateway that the suite can work with."""
    if server.compatibility_level < MIN_LEVEL:
        text = f"the gateway is at level {server.compatibility_level}; expected version {MIN_LEVEL} or higher"
        raise LinkError(Reason.TOO_OLD, text)
    if server.mode != GATEWAY_MODE:
        text = f"the gateway works in {server.mode} mode; expected it to be configured in Gateway mode"
        raise LinkError(Reason.NOT_GATEWAY_MODE, text)


def in_words(error: GatewayError, now: float | None = None) -> GatewayError:
    """The LinkError for what concerns everything that is asked; any other error as it is.

    `now` is this machine's time in seconds since 1970.
    """
    match error:
        case LinkError():
            return error
        case errors.CertificateChanged():
            return LinkError(Reason.CERTIFICATE_CHANGED, certificate_changed())
        case errors.NotTrusted():
            return LinkError(Reason.CERTIFICATE_CHANGED, str(error))
        case errors.Unreachable():
            return LinkError(Reason.UNREACHABLE, str(error))
        case errors.Stopped():
            return LinkError(Reason.STOPPED, f"{error}; they are started on {WEB_SERVICES_PAGE}")
        case errors.Slower():
            return LinkError(Reason.SLOWER, f"the gateway wants fewer requests: {error}", error.retry_after)
        case errors.NotUnderstood():
            return LinkError(Reason.NOT_UNDERSTOOD, f"whoever answered is no gateway of this kind: {error}")
        case errors.NotAuthorised():
            text = f"{error}; compare Consumer ID and Shared Secret with {WEB_SERVICES_PAGE}, and request a new token"
            return LinkError(Reason.NOT_ACCEPTED, text)
        case errors.TokenEnded():
            return LinkError(Reason.TOKEN_ENDED, f"{error}; press Request Access Token on {GATEWAY_PAGE}")
        case errors.ConsumerInactive():
            return LinkError(Reason.CONSUMER_INACTIVE, f"{error}; set Active to Yes on {WEB_SERVICES_PAGE}")
        case errors.PermissionMissing():
            return LinkError(Reason.NOT_PERMITTED, f"{error}; grant it on {WEB_SERVICES_PAGE}")
        case errors.ClockSkew():
            return LinkError(Reason.CLOCK_SKEW, _clocks(error.server_time, time.time() if now is None else now))
        case errors.Failed() | errors.Repeated():
            return LinkError(Reason.UNREACHABLE, str(error))
        case _:
            return error


def certificate_changed() -> str:
    return (
        "the gateway shows another certificate than the trusted one: compare its fingerprint with the one on "
        f"{WEB_SERVICES_PAGE}, and trust it on {GATEWAY_PAGE}; nothing is asked of the gateway until then"
    )


def _clocks(gateway: int, here: float) -> str:
    ahead = here - gateway
    says = datetime.fromtimestamp(gateway, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    side = "ahead of" if ahead > 0 else "behind"
    return f"this machine's clock is {abs(ahead):.0f} s {side} the gateway's, which says {says}; set the wrong one"

"""Settings of registrations, ICPs, calls and what passes beside them; times in seconds unless a field differs."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from opx.settings_fields import EventName, NameServer, Seconds, Table
from opx.sip.session_timer import LOWEST


class Timers(Table):
    """Timers of SIP transactions."""

    t1: Annotated[float, Field(ge=0.1, le=5)] = 0.5
    """An estimate of the round trip, from which the pauses of retransmissions follow (RFC 3261 section 17.1.1.1)."""


class Registration(Table):
    """Gapped registration: sets register often, the ICP hears of it seldom."""

    set_min_expires: Annotated[int, Field(ge=10)] = 60
    set_default_expires: Annotated[int, Field(ge=10)] = 120
    set_max_expires: Annotated[int, Field(ge=10)] = 300
    icp_expires: Annotated[int, Field(ge=60)] = 3600
    icp_retry_min: Annotated[float, Field(gt=0)] = 2.0
    """Back-off at an ICP that does not answer: the first pause, doubled with each failure."""
    icp_retry_max: Seconds = 300.0
    """Back-off at an ICP that does not answer: the longest pause."""
    icp_patience: Seconds = 20.0
    """How long a set's first REGISTER waits for the ICP."""
    spread: Annotated[float, Field(gt=0)] = 50.0
    """Registrations a second after an ICP came back."""
    contacts_per_device: Annotated[int, Field(ge=1, le=10)] = 1
    """With 1 the newest registration replaces the one before."""

    @field_validator("set_default_expires", "set_max_expires", "icp_retry_max")
    @classmethod
    def _rising(cls, value: float, info: ValidationInfo) -> float:
        below = {
            "set_default_expires": "set_min_expires",
            "set_max_expires": "set_default_expires",
            "icp_retry_max": "icp_retry_min",
        }[info.field_name or ""]
        least = info.data.get(below)
        if least is not None and value < least:
            raise ValueError(f"{value:g} is below {below}; expected at least {least:g}")
        return value

    @field_validator("icp_expires")
    @classmethod
    def _gap(cls, value: int, info: ValidationInfo) -> int:
        most = info.data.get("set_max_expires")
        if most is not None and value <= most:
            raise ValueError(
                f"{value} leaves no gap; expected far more than set_max_expires, which is {most}: "
                "sets register often, the ICP hears of it seldom"
            )
        return value


class KeepAlive(Table):
    """What keeps a way to a set open, through its NAT."""

    kind: Literal["OPTIONS", "CRLF"] = "OPTIONS"
    """CRLF asks for less, but over UDP nothing comes back."""
    interval: Annotated[float, Field(ge=0, le=180)] = 20.0
    """0 sends none."""
    idle_limit: Annotated[float, Field(ge=30)] = 300.0
    """A set that nothing was heard of for so long is out of service."""

    @field_validator("idle_limit")
    @classmethod
    def _longer(cls, value: float, info: ValidationInfo) -> float:
        interval = info.data.get("interval")
        if interval is not None and value <= interval:
            raise ValueError(f"{value:g} is not above interval; expected more than {interval:g}")
        return value


class Digest(Table):
    """How devices prove who they are (RFC 7616, RFC 8760)."""

    realm: Annotated[str, Field(max_length=255)] = ""
    """Fixed at the first start; made up when empty. A later change here has no effect on stored passwords."""
    algorithms: tuple[Literal["MD5", "SHA-256"], ...] = ("MD5",)
    """In the order of the challenges (RFC 8760). Phones of before it fail when SHA-256 comes first, some when it comes
    at all; add it where all devices know it. Stored passwords serve both."""
    nonce_lifetime: Annotated[float, Field(ge=10)] = 300.0
    nonces_tracked: Annotated[int, Field(ge=100)] = 100_000
    """Accepted nonces whose counts are remembered, against replay."""

    @field_validator("realm")
    @classmethod
    def _printable(cls, value: str) -> str:
        if not value.isascii() or (value and not value.isprintable()) or '"' in value or "\\" in value:
            raise ValueError("is no realm; expected plain ASCII text without quotes and backslashes")
        return value

    @field_validator("algorithms")
    @classmethod
    def _some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError('none, or one twice; expected "SHA-256", "MD5" or both, each once')
        return value


class Icps(Table):
    """How the gateway watches its ICPs."""

    probe_interval: Annotated[float, Field(ge=1)] = 10.0
    """Between two OPTIONS."""
    probe_patience: Annotated[float, Field(gt=0)] = 4.0
    """How long an OPTIONS waits for its answer until the ICP counts as gone."""
    retry_after: Annotated[int, Field(ge=1)] = 30
    """What sets are told while their ICP is gone."""
    max_retry_after: Annotated[int, Field(ge=1)] = 3600
    """A Retry-After of an ICP counts at most so much: for the node that sent it, and toward sets."""
    failback_after: Seconds = 60.0
    """A node that was gone serves again when it has answered for so long; at once while no other node does."""
    node_patience: Annotated[float, Field(ge=1)] = 5.0
    """A node that has not answered a call or a registration at all in this time is passed over for the next one."""
    call_tries: Annotated[int, Field(ge=1, le=10)] = 4
    """Nodes that one call tries."""
    redirects: Annotated[int, Field(ge=0, le=10)] = 3
    """Redirections that one call follows, at its own ICP only; 0 follows none."""

    @field_validator("probe_patience")
    @classmethod
    def _shorter(cls, value: float, info: ValidationInfo) -> float:
        interval = info.data.get("probe_interval")
        if interval is not None and value > interval:
            raise ValueError(f"{value:g} is above probe_interval; expected at most {interval:g}")
        return value


class Dns(Table):
    """How host names of ICPs are looked up: SRV where no port is given, then A (RFC 3263)."""

    nameservers: tuple[NameServer, ...] = ()
    """ADDRESS or ADDRESS:PORT. Without any those of this machine serve, and its hosts file."""
    timeout: Annotated[float, Field(gt=0)] = 5.0
    """For one question, however many name servers are asked."""
    min_ttl: Annotated[float, Field(ge=1)] = 30.0
    """An answer is used for at least so long, whatever its TTL."""
    max_ttl: Annotated[float, Field(ge=1)] = 3600.0
    """And for at most so long."""
    retry: Annotated[float, Field(ge=1)] = 10.0
    """The pause when a question came to nothing."""
    keep: Seconds = 86400.0
    """While DNS is away, its last good answer holds for so long beyond its TTL."""

    @field_validator("max_ttl")
    @classmethod
    def _rising(cls, value: float, info: ValidationInfo) -> float:
        least = info.data.get("min_ttl")
        if least is not None and value < least:
            raise ValueError(f"{value:g} is below min_ttl; expected at least {least:g}")
        return value


class CallSettings(Table):
    """Session timers (RFC 4028): how a call whose far end is gone without a word is noticed, on each leg by itself."""

    session_expires: Annotated[int, Field(ge=LOWEST)] = 1800
    """What the gateway asks for and at most grants; a call is refreshed after half of it."""
    min_se: Annotated[int, Field(ge=LOWEST)] = LOWEST
    """Whoever asks for less gets 422."""

    @field_validator("min_se")
    @classmethod
    def _not_above(cls, value: int, info: ValidationInfo) -> int:
        most = info.data.get("session_expires")
        if most is not None and value > most:
            raise ValueError(f"{value} is above session_expires; expected at most {most}")
        return value


_EVENTS = ("check-sync", "resync", "reboot", "message-summary", "aastra-xml", "talk", "hold")


class Subscriptions(Table):
    """What passes between phones and ICPs beside calls: subscriptions, notifications, text messages."""

    packages: tuple[Literal["message-summary", "dialog", "presence"], ...] = ("message-summary", "dialog", "presence")
    """Event packages that sets may subscribe to: those whose bodies can be written anew."""
    min_expires: Annotated[int, Field(ge=10, le=3600)] = 60
    default_expires: Annotated[int, Field(ge=10)] = 600
    max_expires: Annotated[int, Field(ge=10)] = 1800
    """After a crash of the gateway a lamp stays as it is until its phone refreshes: at most so long."""
    icp_expires: Annotated[int, Field(ge=60)] = 3600
    """What the gateway asks its ICPs for."""
    spread: Annotated[float, Field(gt=0)] = 50.0
    """Subscriptions a second after an ICP came back."""
    events: tuple[EventName, ...] = _EVENTS
    """Events that an ICP may notify a phone of without a subscription."""
    xml_bytes: Annotated[int, Field(ge=0, le=32768)] = 10_000
    """Longest body of an aastra-xml notification; the phones take no more."""
    inside_links: bool = False
    """Lets aastra-xml bodies pass that name hosts of the inside: for phones that reach those by another way."""

    @field_validator("default_expires", "max_expires")
    @classmethod
    def _rising(cls, value: int, info: ValidationInfo) -> int:
        below = "min_expires" if info.field_name == "default_expires" else "default_expires"
        least = info.data.get(below)
        if least is not None and value < least:
            raise ValueError(f"{value} is below {below}; expected at least {least}")
        return value

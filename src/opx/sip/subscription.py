"""What both ends of a subscription share (RFC 6665): its headers, and what is notified."""

from dataclasses import dataclass
from enum import StrEnum

from opx.sip.errors import RemoteProtocolError
from opx.sip.grammar import Params, format_params, is_token, param_of, parse_params
from opx.sip.message import Request

MAX_SECONDS = 2**31 - 1
"""Largest number of seconds taken from a peer's parameter."""

LEG_FAILED = frozenset((404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604))
"""Answers that end a subscription even where it stood before (RFC 5057 section 5.1)."""


class State(StrEnum):
    """RFC 6665 section 4.1.3; a state that is not listed there counts as active."""

    PENDING = "pending"
    ACTIVE = "active"
    TERMINATED = "terminated"


class Reason(StrEnum):
    """Why a notifier ended a subscription (RFC 6665 section 4.1.3)."""

    DEACTIVATED = "deactivated"
    PROBATION = "probation"
    REJECTED = "rejected"
    TIMEOUT = "timeout"
    GIVEUP = "giveup"
    NORESOURCE = "noresource"
    INVARIANT = "invariant"


FOR_GOOD = frozenset((Reason.REJECTED, Reason.NORESOURCE, Reason.INVARIANT))
"""Reasons after which asking again makes no sense."""


@dataclass(frozen=True, slots=True)
class EventType:
    """The Event header (section 8.2.1): package with template, in lower case as met; `params` hold the id, too."""

    package: str
    params: Params = ()

    @classmethod
    def parse(cls, text: str) -> "EventType":
        """RemoteProtocolError when it names no package."""
        package, semicolon, params = text.partition(";")
        package = package.strip()
        if not is_token(package):
            raise RemoteProtocolError("malformed Event")
        return cls(package.lower(), parse_params(params) if semicolon else ())

    @classmethod
    def of(cls, request: Request) -> "EventType":
        """RemoteProtocolError(489) without one: a SUBSCRIBE or NOTIFY has to say what it is about."""
        text = request.get("event")
        if text is None:
            raise RemoteProtocolError("Event is missing", status=489)
        return cls.parse(text)

    def __str__(self) -> str:
        return f"{self.package}{format_params(self.params)}"

    @property
    def id(self) -> str:
        return param_of(self.params, "id") or ""

    def matches(self, other: "EventType") -> bool:
        """Whether both speak of one subscription: package and id decide (section 8.2.1)."""
        return self.package == other.package and self.id == other.id


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """The Subscription-State header (section 8.2.3). `expires` and `retry_after` in seconds, None when absent."""

    state: State
    expires: int | None = None
    reason: str = ""
    retry_after: int | None = None

    @classmethod
    def of(cls, request: Request) -> "SubscriptionState":
        """RemoteProtocolError when a NOTIFY lacks it or it cannot be read."""
        name, _, text = request.need("subscription-state").partition(";")
        name = name.strip().lower()
        if not is_token(name):
            raise RemoteProtocolError("malformed Subscription-State")
        params = parse_params(text)
        state = _STATES.get(name, State.ACTIVE)
        reason = (param_of(params, "reason") or "").lower()
        return cls(state, _seconds(params, "expires"), reason, _seconds(params, "retry-after"))

    def __str__(self) -> str:
        params: list[tuple[str, str | None]] = []
        if self.expires is not None:
            params.append(("expires", str(self.expires)))
        if self.reason:
            params.append(("reason", self.reason))
        if self.retry_after is not None:
            params.append(("retry-after", str(self.retry_after)))
        return f"{self.state.value}{format_params(tuple(params))}"


@dataclass(frozen=True, slots=True)
class Content:
    """A body and its Content-Type, "" when there is none."""

    content_type: str = ""
    body: bytes = b""

    @classmethod
    def of(cls, request: Request) -> "Content":
        return cls(request.content_type, request.body) if request.body else cls()

    @property
    def media_type(self) -> str:
        """The type without parameters, in lower case."""
        return self.content_type.partition(";")[0].strip().lower()

    def attach(self, request: Request) -> None:
        if self.body:
            request.set("content-type", self.content_type)
            request.body = self.body


def _seconds(params: Params, name: str) -> int | None:
    value = param_of(params, name)
    if value is None or not (value.isascii() and value.isdigit()) or len(value) > 10:
        return None
    return min(int(value), MAX_SECONDS)


_STATES = {state.value: state for state in State}

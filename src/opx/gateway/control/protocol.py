"""What can be asked of a running gateway.

One JSON object a line, both ways. A question is `{"id": 7, "ask": "calls", "with": {...}}`, its answer
`{"id": 7, "answer": {...}}` or `{"id": 7, "error": "not-found", "text": "..."}`. Answers to one connection may come in
any order. A question's name is its version: what changes in meaning gets another name, and a question that the other
side does not know is answered with the error `unknown-question`. Answers may gain fields. Times are seconds since 1970.
"""

from typing import ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

MAX_QUESTION = 128 * 1024
"""Bytes of a question's line; the largest holds the body of a notification."""
MAX_ANSWER = 8 * 1024 * 1024
"""Bytes of an answer's line; the largest holds the messages of one call."""
PAGE = 200
"""Items of a page that is not asked for with another number: less than 2 ms of signalling's time."""
MAX_PAGE = 500

Event = Literal["check-sync", "reboot", "aastra-xml"]


class ControlError(Exception):
    """A question that got no answer; the text says why."""


class NobodyThere(ControlError):
    """No gateway listens on the socket, or it ended meanwhile."""


class NotAnswered(ControlError):
    """The gateway took the question and did not answer in time."""


class Refused(ControlError):
    """The gateway answered with an error. `code` is one of the protocol's words."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class NotFound(Refused):
    """What was asked about is not there, or not any more."""

    def __init__(self, text: str) -> None:
        super().__init__("not-found", text)


class NotAllowed(Refused):
    """What was asked cannot be done; the text says why."""

    def __init__(self, text: str) -> None:
        super().__init__("not-allowed", text)


class Part(BaseModel):
    """A question, an answer, or a part of one."""

    model_config = ConfigDict(frozen=True)


class Question(Part):
    model_config = ConfigDict(frozen=True, extra="forbid")
    name: ClassVar[str]


class Done(Part):
    """It was carried out."""


# --- the database has changed


class Changed(Question):
    """ICPs or devices in the database are others now; answered when signalling has taken them over."""

    name = "changed"


class TakeSettings(Question):
    """The settings file was changed: take over what changes at once. NotAllowed when it cannot be taken over."""

    name = "take-settings"


# --- live state


class AskStatus(Question):
    name = "status"


class NodeHealth(Part):
    """One node of an ICP. `state`: "up", "down" or "unknown" while it has not been asked yet."""

    address: str
    state: Literal["up", "down", "unknown"]
    settling: bool = False
    """It answers again, but not for long enough to be trusted."""
    left_alone: float = 0.0
    """Seconds for which it asked to be left alone."""


class IcpHealth(Part):
    id: int
    name: str
    available: bool
    registrations: int
    """Devices that are registered there."""
    nodes: tuple[NodeHealth, ...]


class Status(Part):
    """The gateway as a whole. `licences` None: unlimited. `lag`: how late the event loop was at worst lately, s."""

    started_at: float
    now: float
    registered: int
    """Devices in service."""
    calls: int
    licences_used: int
    licences: int | None
    icps: tuple[IcpHealth, ...]
    lag: float = 0.0
    unwritten: int = 0
    """Changes that wait to be written to the database."""


class AskRegistrations(Question):
    """Those of `device_ids`, or all, in the order of their devices, from behind device `after` on."""

    name = "registrations"
    after: int = 0
    limit: int = Field(default=PAGE, ge=1, le=MAX_PAGE)
    device_ids: tuple[int, ...] | None = Field(default=None, max_length=MAX_PAGE)


class Registration(Part):
    """One phone of a device."""

    device_id: int
    contact: str
    host: str
    port: int
    transport: str
    user_agent: str
    """What the phone says that it is."""
    registered_at: float
    expires_at: float
    last_seen: float
    reachable: bool
    """False while its connection is gone."""
    at_icp: bool
    """Whether the ICP has it registered."""
    node: str = ""
    """The ICP's node that it is registered at."""


class RegistrationPage(Part):
    """`following` is the next question's `after`, None when this is the last page."""

    items: tuple[Registration, ...]
    following: int | None = None


class AskCalls(Question):
    """Calls under way, the oldest first, those of `device_ids` or all, from where a page before said `following`."""

    name = "calls"
    after: str = Field(default="", max_length=64)
    limit: int = Field(default=PAGE, ge=1, le=MAX_PAGE)
    device_ids: tuple[int, ...] | None = Field(default=None, max_length=MAX_PAGE)


class LiveCall(Part):
    """`direction` as the phone sees it. `rang_at` and `answered_at` are 0 until then."""

    call_id: str
    device_id: int
    device: str
    icp: str
    direction: Literal["outgoing", "incoming"]
    caller: str
    callee: str
    state: Literal["calling", "ringing", "answered"]
    started_at: float
    rang_at: float
    answered_at: float
    phone: str
    """Where the phone is: transport, address and port."""
    node: str
    """The ICP's node."""
    codec: str
    held: bool


class CallPage(Part):
    items: tuple[LiveCall, ...]
    following: str | None = None


class AskCall(Question):
    """A call under way, with what the media relay has counted. NotFound."""

    name = "call"
    call_id: str = Field(max_length=64)


class StreamFigures(Part):
    """What came from one side. `lost` and `jitter` as the relay sees them; `told_...` as that side reports in RTCP
    about what it hears, None when it reported nothing. Jitter in milliseconds."""

    local: str
    """The gateway's address and port on that side."""
    remote: str
    """Where the packets come from; "" when none came."""
    packets: int = 0
    octets: int = 0
    rtcp: int = 0
    lost: int = 0
    jitter: float = 0.0
    told_lost: int | None = None
    told_jitter: float | None = None
    strangers: int = 0
    unready: int = 0
    garbage: int = 0
    unsent: int = 0


class MediaFigures(Part):
    codec: str
    set_side: StreamFigures
    icp_side: StreamFigures


class CallDetails(Part):
    call: LiveCall
    media: MediaFigures | None


class AskLadder(Question):
    """The SIP messages of a call under way or just over, secrets masked. NotFound."""

    name = "ladder"
    call_id: str = Field(max_length=64)


class TracedMessage(Part):
    """A SIP message as it was sent (`sent`) or read by the gateway on one of its sides."""

    at: float
    side: Literal["set", "icp"]
    sent: bool
    transport: str
    local: tuple[str, int]
    remote: tuple[str, int]
    text: str
    """Bytes that are no UTF-8 stand as backslash escapes."""


class Ladder(Part):
    """`left_out`: messages in the middle that were too many to keep."""

    messages: tuple[TracedMessage, ...]
    left_out: int = 0


class AskCounters(Question):
    name = "counters"


class Counter(Part):
    """A number for the metrics. `kind` "counter" only rises, "gauge" does as it likes."""

    name: str
    value: float
    kind: Literal["counter", "gauge"] = "gauge"
    labels: dict[str, str] = {}


class Counters(Part):
    items: tuple[Counter, ...]


# --- orders


class HangUp(Question):
    """End a call. `reason` stands on the device's timeline. NotFound."""

    name = "hang-up"
    call_id: str = Field(max_length=64)
    reason: str = Field(max_length=200)


class Notify(Question):
    """Send a NOTIFY to a device's phone. NotFound without such a device, NotAllowed for what cannot be sent."""

    name = "notify"
    device_id: int
    event: Event
    body: str = ""
    """XML for aastra-xml, nothing for the others."""


class Notified(Part):
    """`status` is the phone's; 480: it is not registered, or did not answer."""

    status: int


class SetAlarm(Question):
    """Raise an alarm or clear it, for another process of the gateway. NotAllowed for a kind that is not known."""

    name = "set-alarm"
    kind: str = Field(max_length=40)
    subject: str = Field(default="", max_length=200)
    """Which one of its kind it is about, such as the name of an ICP."""
    cause: str = Field(default="", max_length=500)
    raised: bool = True


class TryAlarm(Question):
    """Send a trial alarm by every way that is configured."""

    name = "test-alarm"


class Sent(Part):
    """What came of each way: "" for success, else what went wrong. Empty when no way is configured."""

    ways: dict[str, str]


class Control(Protocol):
    """The running gateway as its other processes see it. Every method raises ControlError."""

    async def changed(self) -> None: ...
    async def take_settings(self) -> None: ...
    async def status(self) -> Status: ...
    async def registrations(
        self, *, after: int = 0, limit: int = PAGE, device_ids: tuple[int, ...] | None = None
    ) -> RegistrationPage: ...
    async def calls(
        self, *, after: str = "", limit: int = PAGE, device_ids: tuple[int, ...] | None = None
    ) -> CallPage: ...
    async def call(self, call_id: str) -> CallDetails: ...
    async def ladder(self, call_id: str) -> Ladder: ...
    async def counters(self) -> Counters: ...
    async def hang_up(self, call_id: str, reason: str) -> None: ...
    async def notify(self, device_id: int, event: Event, body: str = "") -> int: ...
    async def set_alarm(self, kind: str, subject: str, cause: str, *, raised: bool = True) -> None: ...
    async def test_alarm(self) -> dict[str, str]: ...

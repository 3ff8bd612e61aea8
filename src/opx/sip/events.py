"""What a session tells its owner: small typed events, never a SIP message.

Two sessions that make up one call through a back-to-back user agent share these and nothing else, so that nothing of
one side's messages can reach the other by mistake. `sdp` is a session description as it came, b"" when there was none.
"""

from dataclasses import dataclass
from enum import Enum


class Cause(Enum):
    """What the other end did, or failed to do, that ended an established session."""

    BYE = "hung up"
    NO_ACK = "never acknowledged the answer"
    LOST = "no longer knew the call"
    TRANSPORT = "could not be reached any more"


@dataclass(frozen=True, slots=True)
class Progress:
    """A provisional answer to our INVITE, 101 to 199."""

    status: int
    sdp: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """A 2xx to our INVITE. When we made no offer, `sdp` is one and `Session.acknowledge` must answer it."""

    sdp: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """Our INVITE came to nothing. `local`: no answer came from the peer, the status is our own (408 or 503)."""

    status: int
    retry_after: int | None = None
    local: bool = False


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The peer gave up before we answered its INVITE."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The peer acknowledged our 2xx. `sdp` is its answer when the offer was ours."""

    sdp: bytes


@dataclass(frozen=True, slots=True)
class Offered:
    """A re-INVITE of the peer: `Session.answer_offer` or `Session.refuse_offer` must follow.

    With `sdp` empty the peer asks for our offer.
    """

    sdp: bytes


@dataclass(frozen=True, slots=True)
class OfferWithdrawn:
    """The peer cancelled its re-INVITE before we answered."""


@dataclass(frozen=True, slots=True)
class OfferAnswered:
    """A 2xx to our re-INVITE. When that made no offer, `Session.acknowledge` must answer `sdp`."""

    sdp: bytes


@dataclass(frozen=True, slots=True)
class OfferRefused:
    """Our re-INVITE was refused; the session goes on as it was."""

    status: int


@dataclass(frozen=True, slots=True)
class Ended:
    """An established session is over."""

    cause: Cause


SessionEvent = (
    Progress
    | Answered
    | Refused
    | Cancelled
    | Confirmed
    | Offered
    | OfferWithdrawn
    | OfferAnswered
    | OfferRefused
    | Ended
)

"""What a session tells its owner: small typed events, never a SIP message.

Two sessions that make up one call through a back-to-back user agent share these and nothing else, so that nothing of
one side's messages can reach the other by mistake. `sdp` is a session description as it came, b"" when there was none.
"""

from dataclasses import dataclass
from enum import Enum

from opx.sip.replaces import ReferTo


class Cause(Enum):
    """What the other end did, or failed to do, that ended an established session."""

    BYE = "hung up"
    NO_ACK = "never acknowledged the answer"
    LOST = "no longer knew the call"
    TRANSPORT = "could not be reached any more"
    EXPIRED = "did not refresh the session in time"


@dataclass(frozen=True, slots=True)
class Progress:
    """A provisional answer to our INVITE, 101 to 199.

    `reliable`: it was acknowledged with PRACK (RFC 3262). With `offers` our INVITE made no offer and `sdp` is one:
    `Session.acknowledge` must answer it.
    """

    status: int
    sdp: bytes
    reliable: bool = False
    offers: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """A 2xx to our INVITE. When we made no offer, `sdp` is one and `Session.acknowledge` must answer it."""

    sdp: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """Our INVITE came to nothing. `local`: no answer came from the peer, the status is our own (408 or 503).

    `targets` are the URIs that a 3xx names, the most wanted first.
    """

    status: int
    retry_after: int | None = None
    local: bool = False
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The peer gave up before we answered its INVITE. `elsewhere`: another phone took the call (RFC 3326)."""

    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The peer acknowledged our 2xx, or a provisional answer with our offer. `sdp` is its answer to such an offer."""

    sdp: bytes


@dataclass(frozen=True, slots=True)
class Offered:
    """A new offer of the peer: `Session.answer_offer` or `Session.refuse_offer` must follow.

    It came in a re-INVITE, or with `update` in an UPDATE (RFC 3311), which wants its answer at once and is possible
    before the call is answered. With `sdp` empty the peer asks for our offer.
    """

    sdp: bytes
    update: bool = False


@dataclass(frozen=True, slots=True)
class OfferWithdrawn:
    """The peer cancelled its re-INVITE before we answered."""


@dataclass(frozen=True, slots=True)
class OfferAnswered:
    """A 2xx to our re-INVITE or UPDATE. When that made no offer, `Session.acknowledge` must answer `sdp`."""

    sdp: bytes


@dataclass(frozen=True, slots=True)
class OfferRefused:
    """Our re-INVITE or UPDATE was refused; the session goes on as it was."""

    status: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that carries something to the other end, such as INFO: `Session.answer_request` must follow."""

    id: int
    method: str
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class TransferAsked:
    """REFER: the peer wants its partner to call somebody else. `Session.answer_transfer` must follow (RFC 3515)."""

    id: int
    refer_to: ReferTo


@dataclass(frozen=True, slots=True)
class TransferProgress:
    """What came of our REFER so far: the status that the new call met with. With `over` it is the last word."""

    status: int
    over: bool


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
    | Asked
    | TransferAsked
    | TransferProgress
    | Ended
)


def unheard(event: SessionEvent) -> None:
    """The listener of a session that nobody waits for any more."""

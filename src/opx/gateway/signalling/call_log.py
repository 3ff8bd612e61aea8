"""Who hears what becomes of calls, to write it down."""

from dataclasses import dataclass
from typing import Protocol

from opx.gateway.media.interface import RelayStats, Side
from opx.gateway.signalling.call import Call
from opx.sip.bridge import CallReport
from opx.sip.flow import Flow
from opx.sip.message import Request


@dataclass(frozen=True, slots=True)
class RefusedCall:
    """A call that was turned away before it had a second leg. `number` is the far party's, "" when unreadable."""

    device_id: int
    caller: Side
    number: str
    status: int
    reason: str
    flow: Flow
    request: Request


class CallLog(Protocol):
    """Called in the middle of signalling's work: take what is given and go."""

    def began(self, call: Call) -> None: ...
    def over(self, call: Call, report: CallReport) -> None:
        """A call has ended; what the relay counted follows, unless it never had ports or lost its relay."""

    def counted(self, call_id: str, stats: RelayStats) -> None: ...
    def refused(self, refusal: RefusedCall) -> None: ...


class NoCallLog:
    """Nobody writes calls down."""

    def began(self, call: Call) -> None:
        """Nothing is kept of it."""

    def over(self, call: Call, report: CallReport) -> None:
        """Nothing is kept of it."""

    def counted(self, call_id: str, stats: RelayStats) -> None:
        """Nothing is kept of it."""

    def refused(self, refusal: RefusedCall) -> None:
        """Nothing is kept of it."""

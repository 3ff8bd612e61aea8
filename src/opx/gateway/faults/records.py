"""Call records as the rest of this room sees them."""

from dataclasses import dataclass, field
from typing import Any

from opx.gateway.control.protocol import MediaFigures
from opx.sip.reasons import REASONS

COLUMNS = (
    "call_id",
    "device_id",
    "device",
    "icp",
    "direction",
    "caller",
    "callee",
    "started_at",
    "rang_at",
    "answered_at",
    "ended_at",
    "outcome",
    "ended_by",
    "status",
    "reason",
    "phone",
    "user_agent",
    "node",
    "codec",
)
"""Of a record, in the order of its table, without the figures of its media."""


@dataclass(slots=True)
class CallRecord:
    """One call that is over. Times in seconds since 1970, 0 for what did not happen.

    `direction`: "outgoing" (the phone called) or "incoming". `outcome`: "answered", "refused", "cancelled", "failed".
    `ended_by`: "phone", "icp" or "gateway". `status` is the SIP status that the caller got, 0 when it was answered or
    cancelled. `phone` and `node` are the places of both sides.
    """

    call_id: str
    device_id: int
    device: str
    icp: str
    direction: str
    caller: str
    callee: str
    started_at: float
    rang_at: float
    answered_at: float
    ended_at: float
    outcome: str
    ended_by: str
    status: int
    reason: str
    phone: str
    user_agent: str
    node: str
    codec: str
    media: MediaFigures | None = field(default=None)

    @property
    def failed(self) -> bool:
        """It was to be a call and came to nothing, and nobody wanted it so."""
        return self.outcome in ("refused", "failed")

    @property
    def talked(self) -> float:
        """Seconds."""
        return self.ended_at - self.answered_at if self.answered_at else 0.0

    @property
    def status_text(self) -> str:
        """Status and the words that belong to it, "" without one."""
        return f"{self.status} {REASONS.get(self.status, '')}".rstrip() if self.status else ""

    def values(self) -> dict[str, Any]:
        """Everything in plain values, as a webhook and a JSON answer give it."""
        plain: dict[str, Any] = {name: getattr(self, name) for name in COLUMNS}
        plain["talked"] = round(self.talked, 3)
        plain["media"] = self.media.model_dump() if self.media is not None else None
        return plain

"""What is known of extensions at the gateway, as the rest of the suite sees it."""

from dataclasses import dataclass, field
from enum import StrEnum


class ProvisionState(StrEnum):
    """Of one extension at the gateway."""

    PENDING = "pending"
    """It is to be written, and was not yet."""
    PROVISIONED = "provisioned"
    """The gateway has it as the suite wants it."""
    FAILED = "failed"
    """It could not be written; the error says why."""
    REMOVING = "removing"
    """It was unticked, and the gateway still has it; an error says what is in the way."""
    LEFT = "left"
    """It was unticked and stays on the gateway, where somebody added it by hand."""
    BY_HAND = "by-hand"
    """It is ticked, and the Rest API is off: an administrator keeps it on the gateway."""

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {
    ProvisionState.PENDING: "Waiting to be written",
    ProvisionState.PROVISIONED: "On the gateway",
    ProvisionState.FAILED: "Not on the gateway as wanted",
    ProvisionState.REMOVING: "Waiting to be removed",
    ProvisionState.LEFT: "Left on the gateway",
    ProvisionState.BY_HAND: "Kept by hand",
}


def amiss(rest_api: bool) -> tuple[ProvisionState, ...]:
    """The states of which an administrator wants to know the reason."""
    ended = (ProvisionState.REMOVING, ProvisionState.LEFT)
    return (ProvisionState.FAILED, ProvisionState.PENDING, *ended) if rest_api else ended


@dataclass(frozen=True, slots=True)
class State:
    """One extension's, for pages. `device_id` is the gateway's id, None when it has none that is known.

    `owned`: the suite has created it there, and will remove it. `next_try` in seconds since 1970.
    """

    extension_id: int
    state: ProvisionState
    device_id: int | None = None
    owned: bool = False
    error: str = ""
    tries: int = 0
    next_try: float | None = None
    set_username: str = ""
    number: str = ""

    @property
    def on_gateway(self) -> bool:
        """Whether a phone outside may use it; as far as the suite can know when it is kept by hand."""
        return self.state in (ProvisionState.PROVISIONED, ProvisionState.BY_HAND)


@dataclass(frozen=True, slots=True)
class Provisioned:
    """A row of the own record.

    `gateway` is the fingerprint of the gateway's certificate when the device was last seen there: another one may be
    another gateway, whose ids mean nothing. `creating`: the device is or was about to be made as `set_username`, and
    the answer is not known. `digest` is of what was written, `device_*` what the gateway said of it then.
    """

    extension_id: int
    number: str
    state: ProvisionState = ProvisionState.PENDING
    error: str = ""
    tries: int = 0
    next_try: float | None = None
    changed_at: float = 0.0
    gateway: str = ""
    device_id: int | None = None
    owned: bool = False
    creating: bool = False
    set_username: str = ""
    digest: str = ""
    device_revision: int = 0
    device_version: int = 0

    @property
    def for_pages(self) -> State:
        return State(
            self.extension_id,
            self.state,
            self.device_id,
            self.owned,
            self.error,
            self.tries,
            self.next_try,
            self.set_username,
            self.number,
        )


@dataclass(frozen=True, slots=True)
class Run:
    """The work as a whole. Times in seconds since 1970.

    `reason` and `trouble` say what is in the way of everything, "" when nothing is, `since` since when; `next_try` is
    when the gateway is asked again. `token_note` is what is to be said of the token. `total`, `done`, `started_at` and
    `ended_at` are of the last piece of work; `ended_at` None: it goes on.
    """

    reason: str = ""
    trouble: str = ""
    since: float | None = None
    next_try: float | None = None
    looked_at: float | None = None
    token_note: str = ""
    total: int = field(default=0, compare=False)
    done: int = field(default=0, compare=False)
    started_at: float | None = field(default=None, compare=False)
    ended_at: float | None = field(default=None, compare=False)

    @property
    def working(self) -> bool:
        return self.started_at is not None and self.ended_at is None

    def rate(self, now: float) -> float:
        """Extensions per second of the last piece of work; 0 when there is none to tell from."""
        if self.started_at is None or not self.done:
            return 0.0
        return self.done / max((self.ended_at or now) - self.started_at, 0.001)

"""One node of a PBX as signalling sees it: where it is, whether it answers, and whether it may serve again."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from opx.gateway.repository import NodeAddress
from opx.sip.agent import UserAgent, new_call_id, new_tag
from opx.sip.answering import retry_after_of
from opx.sip.dialog import MAX_FORWARDS
from opx.sip.exchange import Outcome
from opx.sip.flow import Destination, host_port
from opx.sip.grammar import format_host
from opx.sip.locating import Candidate
from opx.sip.message import Request, Response
from opx.sip.timers import Timer

OUT_OF_SERVICE = "says that it is out of service (503)"


class Health(Enum):
    UNKNOWN = "not asked yet"
    UP = "answers"
    DOWN = "does not answer"


@dataclass(frozen=True, slots=True)
class ProbePolicy:
    """Seconds. A node is asked every `interval`; two questions in a row without an answer within `patience`: down."""

    interval: float = 10.0
    patience: float = 4.0
    retry_after: int = 30
    """What sets are told while an ICP is down."""
    failback_after: float = 60.0
    """A node that was down serves again only when it has answered for so long, unless no other one is left."""
    max_retry_after: int = 3600
    """A Retry-After counts at most so much, toward the node that sent it and toward sets."""


class Node:
    """Its health comes from OPTIONS, and from what calls and registrations meet with.

    `rank` sorts the nodes of an ICP. `on_change` hears that it is down, that it came back (`recovered`) and that it
    has been back for long enough. `note` writes down what happens to it.
    """

    def __init__(
        self,
        address: NodeAddress,
        candidate: Candidate,
        rank: tuple[int, int],
        *,
        agent: UserAgent,
        policy: ProbePolicy,
        on_change: Callable[["Node", bool], None],
        note: Callable[["Node", str], None],
    ) -> None:
        self.address = address
        self.candidate = candidate
        self.rank = rank
        self.health = Health.UNKNOWN
        self._agent = agent
        self._policy = policy
        self._on_change = on_change
        self._note = note
        self._probe_timer: Timer | None = None
        self._patience_timer: Timer | None = None
        self._settle_timer: Timer | None = None
        self._missed = 0
        self._asked = 0
        self._quiet_until = 0.0

    def __str__(self) -> str:
        return host_port((self.destination.host, self.destination.port))

    @property
    def destination(self) -> Destination:
        return self.candidate.destination

    @property
    def domain(self) -> str:
        """The host part of addresses at this node, as it was configured; the port where it is not the usual one."""
        port = self.address.port
        if port is None or port in (5060, 5061):
            return format_host(self.address.host)
        return host_port((self.address.host, port))

    @property
    def transport_param(self) -> str:
        return "" if self.address.transport == "UDP" else f";transport={self.address.transport.lower()}"

    @property
    def usable(self) -> bool:
        return self.health is not Health.DOWN

    @property
    def settling(self) -> bool:
        """Whether it is back, but not for long enough to be trusted."""
        return self._settle_timer is not None

    @property
    def left_alone(self) -> float:
        """Seconds for which it asked to be left alone."""
        return max(0.0, self._quiet_until - self._agent.now)

    # --- probing

    def start(self) -> None:
        self._probe()

    def stop(self) -> None:
        for timer in (self._probe_timer, self._patience_timer, self._settle_timer):
            _cancel(timer)
        self._settle_timer = None

    def doubt(self) -> None:
        """It left something unanswered: ask it now instead of at the next turn, and once is enough."""
        self._missed = max(self._missed, 1)
        if self._patience_timer is None or not self._patience_timer.active:
            self._probe()

    def _probe(self) -> None:
        _cancel(self._probe_timer)
        self._probe_timer = self._agent.wheel.schedule(max(self._policy.interval, self.left_alone), self._probe)
        if self.left_alone:
            return
        self._asked += 1
        number = self._asked
        uri = f"sip:{self.domain}{self.transport_param}"
        ours = f"<sip:{host_port(self._agent.local)}>"
        request = Request.new("OPTIONS", uri)
        request.add("max-forwards", MAX_FORWARDS)
        request.add("from", f"{ours};tag={new_tag()}")
        request.add("to", f"<{uri}>")
        request.add("call-id", new_call_id())
        request.add("cseq", "1 OPTIONS")
        request.add("contact", ours)
        _cancel(self._patience_timer)
        self._patience_timer = self._agent.wheel.schedule(self._policy.patience, self._on_no_answer)
        self._agent.exchange(request, self.destination, lambda outcome: self._on_answer(outcome, number))

    def _on_no_answer(self) -> None:
        self._missed += 1
        if self.settling:
            self._settle()
        if self._missed >= 2 or self.health is Health.UNKNOWN:
            self.failed("no answer to OPTIONS")

    def _on_answer(self, outcome: Outcome, number: int) -> None:
        if number != self._asked:
            return
        _cancel(self._patience_timer)
        if not isinstance(outcome, Response):
            self.failed("cannot be reached")
        elif outcome.status == 503:
            self.failed(OUT_OF_SERVICE, retry_after_of(outcome))
        else:
            self.answered()

    # --- what others found out

    def answered(self) -> None:
        """It has answered something. What was on its way when it asked to be left alone does not count."""
        if self.left_alone:
            return
        self._missed = 0
        was, self.health = self.health, Health.UP
        if was is Health.DOWN:
            self._note(self, "answers again")
            if self._policy.failback_after > 0:
                self._settle()
            self._on_change(self, True)

    def failed(self, why: str, retry_after: int | None = None) -> None:
        """It could not be reached, or says that it is out of service, for `retry_after` seconds where it says so."""
        if retry_after is not None:
            self._quiet_until = self._agent.now + min(retry_after, self._policy.max_retry_after)
        _cancel(self._settle_timer)
        self._settle_timer = None
        if self.health is not Health.DOWN:
            self.health = Health.DOWN
            self._note(self, f"is down: {why}")
            self._on_change(self, False)

    def _settle(self) -> None:
        _cancel(self._settle_timer)
        self._settle_timer = self._agent.wheel.schedule(self._policy.failback_after, self._on_settled)

    def _on_settled(self) -> None:
        self._settle_timer = None
        self._on_change(self, False)


def _cancel(timer: Timer | None) -> None:
    if timer is not None:
        timer.cancel()

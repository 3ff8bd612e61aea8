"""The ICPs as signalling sees them: where each is, and whether it answers."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from opx.gateway.repository import IcpRecord
from opx.gateway.signalling.timeline import Kind, Timeline
from opx.sip.agent import UserAgent, new_call_id, new_tag
from opx.sip.answering import retry_after_of
from opx.sip.dialog import MAX_FORWARDS
from opx.sip.exchange import Outcome
from opx.sip.flow import Destination, host_port
from opx.sip.grammar import format_host
from opx.sip.message import Request, Response
from opx.sip.timers import Timer


class Health(Enum):
    UNKNOWN = "not asked yet"
    UP = "answers"
    DOWN = "does not answer"


@dataclass(frozen=True, slots=True)
class ProbePolicy:
    """Seconds. An ICP is asked every `interval`; two questions in a row without an answer within `patience`: down."""

    interval: float = 10.0
    patience: float = 4.0
    retry_after: int = 30
    """What sets are told while an ICP is down."""


class IcpLink:
    """One ICP. Its health comes from OPTIONS, and from what calls and registrations meet with.

    `address` is the ICP's address; None while a host name is not resolved.
    """

    def __init__(
        self,
        record: IcpRecord,
        agent: UserAgent,
        policy: ProbePolicy,
        timeline: Timeline,
        on_recovered: Callable[["IcpLink"], None],
    ) -> None:
        self.record = record
        self.address: str | None = literal_address(record.host)
        self.health = Health.UNKNOWN
        self._agent = agent
        self._policy = policy
        self._timeline = timeline
        self._on_recovered = on_recovered
        self._probe_timer: Timer | None = None
        self._patience_timer: Timer | None = None
        self._started = False
        self._missed = 0
        self._asked = 0
        self._retry_after = 0

    @property
    def destination(self) -> Destination:
        return Destination(self.record.transport, self.address or self.record.host, self.record.port)

    @property
    def domain(self) -> str:
        """The host part of addresses at this ICP; the port only where it is not the usual one."""
        if self.record.port in (5060, 5061):
            return format_host(self.record.host)
        return host_port((self.record.host, self.record.port))

    @property
    def transport_param(self) -> str:
        return "" if self.record.transport == "UDP" else f";transport={self.record.transport.lower()}"

    @property
    def available(self) -> bool:
        return self.health is not Health.DOWN and self.address is not None

    @property
    def retry_after(self) -> int:
        """Seconds after which a set may try again."""
        return self._retry_after or self._policy.retry_after

    def resolved(self, address: str) -> None:
        """Where its host name leads now."""
        if address != self.address:
            self.address = address
            if self._started:
                self.stop()
                self.start()

    # --- probing

    def start(self) -> None:
        self._started = True
        self._probe()

    def stop(self) -> None:
        self._started = False
        for timer in (self._probe_timer, self._patience_timer):
            if timer is not None:
                timer.cancel()

    def _probe(self) -> None:
        self._probe_timer = self._agent.wheel.schedule(self._policy.interval, self._probe)
        if self.address is None:
            self.failed("its host name cannot be resolved")
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
        if self._patience_timer is not None:
            self._patience_timer.cancel()
        self._patience_timer = self._agent.wheel.schedule(self._policy.patience, self._on_no_answer)
        self._agent.exchange(request, self.destination, lambda outcome: self._on_answer(outcome, number))

    def _on_no_answer(self) -> None:
        self._missed += 1
        if self._missed >= 2 or self.health is Health.UNKNOWN:
            self.failed("no answer to OPTIONS")

    def _on_answer(self, outcome: Outcome, number: int) -> None:
        if number != self._asked:
            return
        if self._patience_timer is not None:
            self._patience_timer.cancel()
        if not isinstance(outcome, Response):
            self.failed("cannot be reached")
        elif outcome.status == 503:
            self._retry_after = retry_after_of(outcome) or 0
            self.failed("says that it is out of service (503)")
        else:
            self.answered()

    # --- what others found out

    def answered(self) -> None:
        """The ICP has answered something."""
        self._missed = 0
        self._retry_after = 0
        was, self.health = self.health, Health.UP
        if was is Health.DOWN:
            self._timeline.add(None, Kind.ICP, f"ICP {self.record.name} answers again")
            self._on_recovered(self)

    def failed(self, why: str) -> None:
        """The ICP could not be reached, or says that it is out of service."""
        if self.health is not Health.DOWN:
            self.health = Health.DOWN
            self._timeline.add(None, Kind.ICP, f"ICP {self.record.name} is down: {why}")


def literal_address(host: str) -> str | None:
    """`host` when it is an address already, None for a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None

"""Keeps the way to each set open through its NAT, and notices sets that are gone."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from opx.gateway.signalling.bindings import BindingTable, LiveBinding
from opx.sip.agent import UserAgent, new_call_id, new_tag
from opx.sip.dialog import MAX_FORWARDS
from opx.sip.exchange import Outcome
from opx.sip.flow import host_port
from opx.sip.message import Request, Response

CRLF_PING = b"\r\n\r\n"
"""RFC 5626 section 4.4.1; over UDP it only keeps the NAT's mapping."""


@dataclass(frozen=True, slots=True)
class KeepAlivePolicy:
    """Seconds. `kind` is "OPTIONS" or "CRLF"; an interval of 0 sends nothing."""

    kind: str = "OPTIONS"
    interval: float = 20.0
    idle_limit: float = 300.0


class KeepAlive:
    """Looks after each binding from `watch` on, until it is gone. `on_idle` hears of one too silent."""

    def __init__(
        self,
        agent: UserAgent,
        policy: KeepAlivePolicy,
        bindings: BindingTable,
        on_idle: Callable[[LiveBinding], None],
    ) -> None:
        self._agent = agent
        self._policy = policy
        self._bindings = bindings
        self._on_idle = on_idle

    def take_policy(self, policy: KeepAlivePolicy) -> None:
        """From each binding's next turn on."""
        self._policy = policy

    def watch(self, binding: LiveBinding) -> None:
        interval = self._policy.interval or self._policy.idle_limit
        # Spread over the interval: after a restart thousands are watched in the same moment.
        delay = random.uniform(interval / 2, interval)
        binding.watch = self._agent.wheel.schedule(delay, lambda: self._look(binding))

    def _look(self, binding: LiveBinding) -> None:
        if binding not in self._bindings.of(binding.device_id):
            return
        if self._agent.now - self._bindings.last_heard(binding) > self._policy.idle_limit:
            self._on_idle(binding)
            return
        interval = self._policy.interval or self._policy.idle_limit
        binding.watch = self._agent.wheel.schedule(interval, lambda: self._look(binding))
        if self._policy.interval and binding.open:
            if self._policy.kind == "CRLF":
                self._agent.layer.transmit(binding.flow, CRLF_PING)
            else:
                self._send_options(binding)

    def _send_options(self, binding: LiveBinding) -> None:
        ours = f"<sip:{host_port(self._agent.local)}>"
        request = Request.new("OPTIONS", binding.contact)
        request.add("max-forwards", MAX_FORWARDS)
        request.add("from", f"{ours};tag={new_tag()}")
        request.add("to", f"<{binding.contact}>")
        request.add("call-id", new_call_id())
        request.add("cseq", "1 OPTIONS")
        request.add("contact", ours)

        def on_final(outcome: Outcome) -> None:
            # Whatever it answers, it is there.
            if isinstance(outcome, Response):
                self._bindings.heard(binding.flow)

        self._agent.exchange(request, binding.flow, on_final)

"""The gateway's own registrations at the ICPs, one for each device that is registered at the gateway."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from opx.gateway.repository import DeviceRecord
from opx.gateway.signalling.icps import IcpLink
from opx.gateway.signalling.nodes import OUT_OF_SERVICE, Node
from opx.gateway.signalling.timeline import Kind, Timeline
from opx.sip.agent import UserAgent
from opx.sip.digest import DigestClient
from opx.sip.errors import RemoteProtocolError
from opx.sip.flow import Destination, host_port
from opx.sip.locating import NEXT_SERVER_STATUSES
from opx.sip.registration import (
    ClientRegistration,
    RegistrationPolicy,
    RegistrationResult,
    RegistrationState,
)
from opx.sip.timers import Timer
from opx.sip.uri import Uri

DEVICE_PARAM = "opx"
"""URI parameter of the Contact that we register: tells the device even where an ICP changes the user part."""


@dataclass(frozen=True, slots=True)
class SavedRegistration:
    """What a restart needs to go on with a registration; `remaining` in seconds."""

    call_id: str
    cseq: int
    remaining: float


@dataclass(slots=True, eq=False)
class _Held:
    """A device's registration, and the node that it is at; `tried` are those that failed it since its last result."""

    device: DeviceRecord
    link: IcpLink
    registration: ClientRegistration
    node: Node | None = None
    told: Node | None = None
    tried: list[Node] = field(default_factory=list)


class IcpRegistrations:
    """`on_result` hears of every attempt that no further node can better: device, result.

    `spread` is how many registrations go out per second when many move or an ICP came back. A node that leaves a
    REGISTER unanswered for `patience` seconds is passed over where there is another one.
    """

    def __init__(
        self,
        agent: UserAgent,
        policy: RegistrationPolicy,
        spread: float,
        on_result: Callable[[int, RegistrationResult], None],
        *,
        timeline: Timeline,
        patience: float = 5.0,
    ) -> None:
        self._agent = agent
        self._policy = policy
        self._spread = spread
        self._on_result = on_result
        self._timeline = timeline
        self._patience = patience
        self._held: dict[int, _Held] = {}
        self._refused_until: dict[int, float] = {}
        self._wait_until: dict[int, float] = {}
        self._later: dict[IcpLink, Timer] = {}

    def __len__(self) -> int:
        return len(self._held)

    def of(self, device_id: int) -> ClientRegistration | None:
        held = self._held.get(device_id)
        return held.registration if held is not None else None

    def node_of(self, device_id: int) -> Node | None:
        """The node that a device is registered at, or is just trying."""
        held = self._held.get(device_id)
        return held.node if held is not None else None

    def registered(self, device_id: int) -> bool:
        held = self._held.get(device_id)
        return held is not None and held.registration.registered

    def registered_by_icp(self) -> Counter[int]:
        """How many devices are registered, by the ICP's id."""
        return Counter(held.link.record.id for held in self._held.values() if held.registration.registered)

    def refused(self, device_id: int) -> bool:
        """Whether the ICP refused the device's credentials lately, so that asking again could lock the account."""
        return self._refused_until.get(device_id, 0.0) > self._agent.now

    def wait(self, device_id: int) -> int:
        """Seconds for which the ICP asked that the device be not registered (Retry-After), 0 when it did not."""
        return math.ceil(max(0.0, self._wait_until.get(device_id, 0.0) - self._agent.now))

    def ensure(self, device: DeviceRecord, link: IcpLink) -> None:
        """Have `device` registered at its ICP; its result comes through `on_result`, unless it stands already."""
        held = self._held.get(device.id) or self._make(device, link)
        registration = held.registration
        if not registration.registered and registration.state is not RegistrationState.TRYING:
            held.tried.clear()
            self._start_at(held, link.best(device.id))

    def resume(self, device: DeviceRecord, link: IcpLink, saved: SavedRegistration) -> None:
        """Go on after a restart with what the ICP still has."""
        held = self._make(device, link, saved.call_id, saved.cseq)
        self._point(held, link.best(device.id))
        held.registration.resume(saved.remaining)

    def drop(self, device_id: int) -> None:
        """De-register: the set is gone."""
        held = self._held.pop(device_id, None)
        if held is not None:
            held.registration.stop()

    def abandon(self, device_id: int) -> None:
        """Stop trying for a set that could not be bound."""
        held = self._held.pop(device_id, None)
        if held is not None:
            held.registration.forget()

    def pardon(self, device_id: int) -> None:
        """The device was changed: what was said of it as it was counts no longer."""
        self._refused_until.pop(device_id, None)
        self._wait_until.pop(device_id, None)

    def rebalance(self, link: IcpLink, recovered: Node | None = None) -> None:
        """Other nodes of an ICP may serve than before: move what is not at its best one, with the load spread.

        What was at the `recovered` node registers again in any case, for that may have forgotten everything. Those
        that nobody has registered yet go first: their sets are waiting.
        """
        delay = 0.0
        at_icp = [held for held in self._held.values() if held.link is link and not held.tried]
        for held in sorted(at_icp, key=lambda held: held.registration.registered):
            best = link.best(held.device.id)
            if best is None:
                break
            registration = held.registration
            if held.node is None and registration.registered:
                self._point(held, best)
                registration.resume(registration.expires_at - self._agent.now)
            elif held.node is not best or held.node is recovered:
                self._start_at(held, best, delay)
                delay += 1 / self._spread

    # --- attempts

    def _point(self, held: _Held, node: Node | None) -> None:
        if node is None or node is held.node:
            return
        held.node = node
        held.registration.move(
            node.destination,
            aor=f"sip:{held.device.icp_username}@{node.domain}",
            registrar=f"sip:{node.domain}{node.transport_param}",
            contact=icp_contact(held.device, node, self._agent),
        )

    def _start_at(self, held: _Held, node: Node | None, delay: float = 0.0) -> None:
        self._point(held, node)
        held.registration.start(delay)
        if node is not None and len(held.link.nodes) > 1:
            self._agent.wheel.schedule(delay + self._patience, lambda: self._on_patience_over(held, node))

    def _on_patience_over(self, held: _Held, node: Node) -> None:
        if self._held.get(held.device.id) is held and held.node is node and held.registration.under_way:
            other = self._next(held, node)
            if other is not None:
                node.doubt()
                self._start_at(held, other)

    def _next(self, held: _Held, failed: Node) -> Node | None:
        """Another node that has not failed this registration yet; takes note that `failed` did."""
        if failed not in held.tried:
            held.tried.append(failed)
        return next((node for node in held.link.in_order(held.device.id) if node not in held.tried), None)

    def _on_attempt(self, held: _Held, result: RegistrationResult) -> None:
        node = held.node
        if node is not None and result.state is RegistrationState.UNREACHABLE:
            other = self._redirected(held, node, result)
            if other is None and (result.status in NEXT_SERVER_STATUSES or not result.status):
                other = self._next(held, node)
            if other is not None:
                self._start_at(held, other)
            self._judge(held, node, result)
            if other is not None:
                return
            best = held.link.best(held.device.id)
            if best is not None and best is not node:
                self._point(held, best)
                held.registration.start(result.retry_in)
        elif node is not None:
            node.answered()
        held.tried.clear()
        if result.state is RegistrationState.REGISTERED and held.told is not node:
            held.told = node
            if len(held.link.nodes) > 1:
                text = f"registered at node {node} of ICP {held.link.record.name}"
                self._timeline.add(held.device.id, Kind.ICP, text)
        if result.state is RegistrationState.REFUSED:
            self._refused_until[held.device.id] = self._agent.now + result.retry_in
        else:
            self._refused_until.pop(held.device.id, None)
        self._wait_until.pop(held.device.id, None)
        if result.state is RegistrationState.UNREACHABLE and result.retry_after is not None:
            self._wait_until[held.device.id] = self._agent.now + result.retry_in
        self._on_result(held.device.id, result)

    def _redirected(self, held: _Held, node: Node, result: RegistrationResult) -> Node | None:
        """The node that a redirection means: only one of the ICP's own is followed, and none a second time."""
        if result.status not in (301, 302):
            return None
        for target in result.targets:
            try:
                uri = Uri.parse(target)
            except RemoteProtocolError:
                continue
            other = held.link.node_named(uri.host, uri.port)
            if other is not None and other.usable and other is not node and other not in held.tried:
                held.tried.append(node)
                return other
        return None

    def _judge(self, held: _Held, node: Node, result: RegistrationResult) -> None:
        """What a failed attempt says of its node."""
        if not result.status:
            node.doubt()
        elif result.status == 503 and result.retry_after is not None:
            node.failed(OUT_OF_SERVICE, result.retry_after)
        else:
            node.answered()
            self._look_later(held.link)

    def _look_later(self, link: IcpLink) -> None:
        """Devices whose best node refused them with 5xx try it again, not too soon, although it never went down."""

        def look() -> None:
            del self._later[link]
            self.rebalance(link)

        if link not in self._later and len(link.nodes) > 1:
            self._later[link] = self._agent.wheel.schedule(self._policy.retry_max, look)

    def _make(self, device: DeviceRecord, link: IcpLink, call_id: str = "", cseq: int = 0) -> _Held:
        first = link.record.addresses[0]
        registration = ClientRegistration(
            self._agent,
            # Nowhere, until a node is known: an attempt fails at once and is made again.
            Destination(first.transport, first.host, 0),
            aor=f"sip:{device.icp_username}@{first.host}",
            registrar=f"sip:{first.host}",
            contact=f"sip:{device.icp_username}@{host_port(self._agent.local)}",
            credentials=DigestClient(device.icp_username, device.icp_password),
            on_result=lambda result: self._on_attempt(held, result),
            policy=self._policy,
            call_id=call_id,
            cseq=cseq,
        )
        held = _Held(device, link, registration)
        self._held[device.id] = held
        return held


def icp_contact(device: DeviceRecord, node: Node, agent: UserAgent) -> str:
    """The Contact of a device toward a node of its ICP: the gateway's inside address, and which device it is."""
    address = host_port(agent.local)
    return f"sip:{device.icp_username}@{address}{node.transport_param};{DEVICE_PARAM}={device.id}"

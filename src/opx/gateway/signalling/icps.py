"""The ICPs as signalling sees them: the nodes of each, and which of them serves."""

from collections.abc import Callable, Sequence

from opx.gateway.repository import IcpRecord, NodeAddress
from opx.gateway.signalling.nodes import Node, ProbePolicy
from opx.gateway.signalling.timeline import Kind, Timeline
from opx.sip.agent import UserAgent
from opx.sip.flow import Address, Destination, Flow
from opx.sip.locating import Candidate, from_addresses, race

__all__ = ["IcpLink", "ProbePolicy"]


class IcpLink:
    """One ICP. `on_change` hears when other nodes may serve than before, with the node that came back, if one did."""

    def __init__(
        self,
        record: IcpRecord,
        agent: UserAgent,
        policy: ProbePolicy,
        timeline: Timeline,
        on_change: Callable[["IcpLink", Node | None], None],
    ) -> None:
        self.record = record
        self.nodes: list[Node] = []
        self._agent = agent
        self._policy = policy
        self._timeline = timeline
        self._on_change = on_change
        self._started = False
        self._was_available = True
        self._located = _literal(record)
        self._rebuild()

    # --- where it is

    @property
    def names(self) -> list[NodeAddress]:
        """Its nodes whose host names must be looked up."""
        return [address for address in self.record.addresses if address.is_name]

    @property
    def hosts(self) -> set[str]:
        """All names and addresses of its nodes."""
        return {address.host for address in self.record.addresses} | {node.destination.host for node in self.nodes}

    def located(self, address: NodeAddress, candidates: Sequence[Candidate]) -> None:
        """Where a host name of its leads now; nowhere when there is no candidate."""
        if self._located.get(address, ()) != tuple(candidates):
            self._located[address] = tuple(candidates)
            self._rebuild()
            self._on_change(self, None)

    def changed(self, record: IcpRecord) -> None:
        """Its further nodes, its name or its type were changed; what was found out about nodes that stay is kept."""
        self.record = record
        kept = {address: self._located[address] for address in record.addresses if address in self._located}
        self._located = _literal(record) | kept
        self._rebuild()
        self._on_change(self, None)

    def _rebuild(self) -> None:
        before = {(node.address, node.candidate): node for node in self.nodes}
        nodes: dict[Destination, Node] = {}
        for position, address in enumerate(self.record.addresses):
            for candidate in self._located.get(address, ()):
                node = before.get((address, candidate)) or self._node(address, candidate)
                node.rank = (position, candidate.priority)
                nodes.setdefault(node.destination, node)
        fresh, kept = list(nodes.values()), self.nodes
        self.nodes = fresh
        for node in kept:
            if node not in fresh:
                node.stop()
        if self._started:
            for node in fresh:
                if node not in kept:
                    node.start()

    def _node(self, address: NodeAddress, candidate: Candidate) -> Node:
        return Node(
            address,
            candidate,
            (0, 0),
            agent=self._agent,
            policy=self._policy,
            on_change=self._on_node_change,
            note=self._note,
        )

    def node_at(self, remote: Address) -> Node | None:
        """The node that something came from: by address and port, else by the address alone."""
        at = [node for node in self.nodes if node.destination.host == remote[0]]
        return next((node for node in at if node.destination.port == remote[1]), at[0] if at else None)

    def node_named(self, host: str, port: int | None) -> Node | None:
        """The node that a URI of the PBX's own means."""
        for node in self.nodes:
            if host.lower() in (node.destination.host, node.address.host.lower()) and port in (
                None,
                node.destination.port,
            ):
                return node
        return None

    def node_of(self, route: Flow | Destination, device_id: int) -> Node:
        """The node that a call goes on at: the one it is at, else the one that serves. There must be one at all."""
        at = next((node for node in self.nodes if node.destination == route and node.usable), None)
        return at or self.any_node(device_id)[0]

    # --- which one serves

    def in_order(self, device_id: int) -> list[Node]:
        """The nodes that may serve a device now, the one to try first at the head.

        One that was down and is not back for long comes behind the others.
        """
        usable = [node for node in self.nodes if node.usable]
        if len(usable) > 1:
            usable.sort(key=lambda node: (node.settling, node.rank, race(node.candidate, device_id)))
        return usable

    def best(self, device_id: int = 0) -> Node | None:
        """The node that serves a device now."""
        return next(iter(self.in_order(device_id)), None)

    def any_node(self, device_id: int) -> list[Node]:
        """As `in_order`, and those that are down behind, for what must be tried whatever it takes."""
        return [*self.in_order(device_id), *(node for node in self.nodes if not node.usable)]

    @property
    def available(self) -> bool:
        return any(node.usable for node in self.nodes)

    @property
    def retry_after(self) -> int:
        """Seconds after which a set may try again."""
        waits = [node.left_alone for node in self.nodes]
        return max(1, round(min(waits))) if waits and all(waits) else self._policy.retry_after

    def bounded(self, retry_after: int | None) -> int | None:
        """A Retry-After of the ICP's as a set is told it."""
        return None if retry_after is None else min(retry_after, self._policy.max_retry_after)

    # --- health

    def start(self) -> None:
        self._started = True
        for node in self.nodes:
            node.start()

    def stop(self) -> None:
        self._started = False
        for node in self.nodes:
            node.stop()

    def _on_node_change(self, node: Node, recovered: bool) -> None:
        if self._was_available and not self.available and len(self.nodes) > 1:
            self._timeline.add(None, Kind.ICP, f"ICP {self.record.name} is down: none of its nodes answers")
        self._was_available = self.available
        self._on_change(self, node if recovered else None)

    def _note(self, node: Node, what: str) -> None:
        which = f"ICP {self.record.name}" if len(self.nodes) == 1 else f"ICP {self.record.name}, node {node},"
        self._timeline.add(None, Kind.ICP, f"{which} {what}")


def _literal(record: IcpRecord) -> dict[NodeAddress, tuple[Candidate, ...]]:
    """What is known without asking DNS."""
    return {
        address: from_addresses(address.transport, address.port, [address.host])
        for address in record.addresses
        if not address.is_name
    }

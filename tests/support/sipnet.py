"""A SIP network in memory: user agents, the flows between them, and a clock that the test turns."""

from collections.abc import Callable
from dataclasses import dataclass, field

from opx.sip.agent import UserAgent
from opx.sip.errors import RemoteProtocolError
from opx.sip.flow import Address, Destination, Flow
from opx.sip.message import Request, Response
from opx.sip.parser import parse
from opx.sip.timers import TimerWheel
from opx.sip.transactions import ServerTransaction, Timing


class Wire:
    """All datagrams of a test. Nodes are found by address; what is sent to nobody is kept in `lost`."""

    def __init__(self) -> None:
        self.wheel = TimerWheel(0.0)
        self.nodes: dict[Address, "Node"] = {}
        self.log: list[tuple[Address, Address, Request | Response]] = []
        self.lost: list[tuple[Flow, bytes]] = []
        self.drop: Callable[[Address, Address, Request | Response], bool] = lambda source, target, message: False
        self.double = False

    def deliver(self) -> None:
        """Carry messages until nothing moves any more."""
        moved = True
        while moved:
            moved = False
            for node in list(self.nodes.values()):
                for flow, data in node.agent.take_outgoing():
                    moved = True
                    self._carry(node, flow, data)

    def _carry(self, node: "Node", flow: Flow, data: bytes) -> None:
        if not data.strip():
            return
        message = parse(data)
        self.log.append((node.address, flow.remote, message))
        target = self.nodes.get(flow.remote)
        if target is None or self.drop(node.address, flow.remote, message):
            self.lost.append((flow, data))
            return
        for _ in range(2 if self.double else 1):
            target.agent.receive(data, Flow(flow.transport, target.address, node.address))

    def advance(self, seconds: float, step: float = 0.1) -> None:
        """Let time pass, delivering as it does."""
        end = self.wheel.now + seconds
        self.deliver()
        while self.wheel.now < end - 1e-9:
            self.wheel.advance(min(end, self.wheel.now + step))
            self.deliver()

    def methods(self) -> list[str]:
        """What was said, in order: methods and status codes."""
        return [m.method if isinstance(m, Request) else str(m.status) for _, _, m in self.log]


@dataclass
class Node:
    """A user agent at an address. Requests outside dialogs go to `on_request`."""

    wire: Wire
    address: Address
    timing: Timing | None = None
    on_request_do: Callable[[ServerTransaction], None] | None = None
    refused: list[RemoteProtocolError] = field(default_factory=list)
    requests: list[ServerTransaction] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.agent = UserAgent(self, self.wire.wheel, self, timing=self.timing)
        self.wire.nodes[self.address] = self

    def wake(self) -> None:
        """The wire looks by itself."""

    def flow_to(self, destination: Destination) -> Flow | None:
        return Flow(destination.transport, self.address, (destination.host, destination.port))

    def on_request(self, transaction: ServerTransaction) -> None:
        self.requests.append(transaction)
        if self.on_request_do is not None:
            self.on_request_do(transaction)

    def on_refused(self, flow: Flow, error: RemoteProtocolError) -> None:
        self.refused.append(error)

    def on_connection_lost(self, flow: Flow) -> None:
        pass

    def on_keepalive(self, flow: Flow) -> None:
        pass

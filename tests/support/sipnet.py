"""A SIP network in memory: user agents, the datagrams between them, and a clock that the test turns."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field

from opx.sip.agent import ALLOW, UserAgent
from opx.sip.errors import RemoteProtocolError
from opx.sip.flow import Address, Destination, Flow
from opx.sip.message import Request, Response
from opx.sip.parser import parse
from opx.sip.timers import TimerWheel
from opx.sip.transactions import ServerTransaction, Timing

Message = Request | Response


@dataclass(frozen=True)
class Carried:
    """One datagram on its way."""

    source: Address
    target: Address
    data: bytes
    message: Message

    @property
    def what(self) -> str:
        """Method or status code."""
        return self.message.method if isinstance(self.message, Request) else str(self.message.status)


class Face:
    """A FlowSource at an address of the wire."""

    def __init__(self, address: Address) -> None:
        self.address = address

    def wake(self) -> None:
        """The wire looks by itself."""

    def flow_to(self, destination: Destination) -> Flow | None:
        return Flow(destination.transport, self.address, (destination.host, destination.port))


class Wire:
    """All datagrams of a test. `lose` says which do not arrive; with `double` each arrives twice.

    `rewrite` is what a box on the way makes of one, by source and target; the log has what was sent.
    """

    def __init__(self) -> None:
        self.wheel = TimerWheel(0.0)
        self.agents: dict[Address, UserAgent] = {}
        self.names: dict[Address, str] = {}
        self.log: list[Carried] = []
        self.lose: Callable[[Carried], bool] = lambda carried: False
        self.rewrite: Callable[[Address, Address, bytes], bytes] = lambda source, target, data: data
        self.double = False
        self._told = 0

    def attach(self, name: str, address: Address, agent: UserAgent) -> None:
        self.agents[address] = agent
        self.names[address] = name

    def deliver(self) -> None:
        """Carry messages until nothing moves any more."""
        moved = True
        while moved:
            moved = False
            for address, agent in list(self.agents.items()):
                for flow, data in agent.take_outgoing():
                    moved = True
                    self._carry(address, flow, data)

    def _carry(self, source: Address, flow: Flow, data: bytes) -> None:
        if not data.strip():
            return
        carried = Carried(source, flow.remote, data, parse(data))
        self.log.append(carried)
        agent = self.agents.get(flow.remote)
        if agent is None or self.lose(carried):
            return
        data = self.rewrite(source, flow.remote, data)
        for _ in range(2 if self.double else 1):
            agent.receive(data, Flow(flow.transport, flow.remote, source, flow.serial))

    def advance(self, seconds: float, step: float = 0.1) -> None:
        """Let time pass, delivering as it does."""
        end = self.wheel.now + seconds
        self.deliver()
        while self.wheel.now < end - 1e-9:
            self.wheel.advance(min(end, self.wheel.now + step))
            self.deliver()

    def expect(self, table: str) -> None:
        """Compare with what went over the wire since the last look: who to whom, what, and whether with SDP.

        OPTIONS and their answers are left out: keep-alives and probes come when they come.
        """
        self.deliver()
        fresh, self._told = self.log[self._told :], len(self.log)
        seen = [self._line(carried) for carried in fresh if carried.message.cseq.method != "OPTIONS"]
        wanted = [" ".join(line.split()) for line in table.splitlines() if line.strip()]
        assert seen == wanted, "\n".join(difflib.ndiff(wanted, seen))

    def _line(self, carried: Carried) -> str:
        sdp = " sdp" if carried.message.body else ""
        target = self.names.get(carried.target, "nobody")
        return f"{self.names[carried.source]} -> {target}: {carried.what}{sdp}"


@dataclass
class Node:
    """A user agent on the wire whose requests outside dialogs a test answers with `on_request_do`.

    `local` is the address that it knows itself by when it stands behind NAT, and `address` its public one.
    """

    wire: Wire
    name: str
    address: Address
    timing: Timing | None = None
    on_request_do: Callable[[ServerTransaction], None] | None = None
    local: Address | None = None
    on_options_do: Callable[[ServerTransaction], None] | None = None
    refused: list[RemoteProtocolError] = field(default_factory=list)
    requests: list[ServerTransaction] = field(default_factory=list)
    allow: str = ALLOW

    def __post_init__(self) -> None:
        face = Face(self.local or self.address)
        self.agent = UserAgent(self, self.wire.wheel, face, timing=self.timing, allow=self.allow)
        self.wire.attach(self.name, self.address, self.agent)

    def serve(self, methods: str) -> None:
        """Take these methods within calls, besides what a session understands by itself; "" takes no others."""
        self.agent.allow = f"{ALLOW}, {methods}" if methods else ALLOW
        self.agent.serves = frozenset(method.strip() for method in self.agent.allow.split(","))

    def on_request(self, transaction: ServerTransaction) -> None:
        self.requests.append(transaction)
        if transaction.method == "OPTIONS":
            (self.on_options_do or self.agent.answer_options)(transaction)
        elif self.on_request_do is not None:
            self.on_request_do(transaction)

    def on_refused(self, flow: Flow, error: RemoteProtocolError) -> None:
        self.refused.append(error)

    def on_connection_lost(self, flow: Flow) -> None:
        """Nothing in a test's node depends on it."""

    def on_keepalive(self, flow: Flow) -> None:
        """Nothing in a test's node depends on it."""

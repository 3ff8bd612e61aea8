"""Two user agents that call each other, on a wire in memory."""

from dataclasses import dataclass, field

from opx import sdp
from opx.sip.agent import ALLOW, UserAgent
from opx.sip.events import SessionEvent
from opx.sip.flow import Destination
from opx.sip.session import Session
from opx.sip.session_timer import SessionTimerPolicy
from opx.sip.transactions import ServerTransaction
from support.sipnet import Face, Node, Wire

EVERYTHING = f"{ALLOW}, INFO, MESSAGE, REFER, NOTIFY"


def description(host: str, version: int = 1, direction: sdp.Direction = sdp.Direction.SENDRECV) -> bytes:
    return sdp.encode(sdp.offer(host, 6000, origin=sdp.Origin.of(host, 7, version), direction=direction))


@dataclass
class Party:
    """One of the two; `last` is its newest session, `events` what all of its sessions said."""

    wire: Wire
    name: str
    host: str
    allow: str = EVERYTHING
    supported: tuple[str, ...] = ("100rel", "timer", "replaces")
    timer: SessionTimerPolicy | None = None
    events: list[SessionEvent] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.node = Node(self.wire, self.name, (self.host, 5060), on_request_do=self._on_request)
        self.node.agent = self.agent = UserAgent(
            self.node,
            self.wire.wheel,
            Face((self.host, 5060)),
            allow=self.allow,
            supported=self.supported,
            session_timer=self.timer,
        )
        self.wire.attach(self.name, (self.host, 5060), self.agent)

    @property
    def last(self) -> Session:
        return self.sessions[-1]

    def sdp(self, version: int = 1, direction: sdp.Direction = sdp.Direction.SENDRECV) -> bytes:
        return description(self.host, version, direction)

    def call(self, other: "Party", offer: bytes | None = None, headers: tuple[tuple[str, str], ...] = ()) -> Session:
        session = Session.call(
            self.agent,
            self.events.append,
            Destination("UDP", other.host, 5060),
            uri=f"sip:{other.name}@{other.host}",
            from_=f"<sip:{self.name}@{self.host}>",
            to=f"<sip:{other.name}@{other.host}>",
            contact=f"sip:{self.name}@{self.host}",
            sdp=self.sdp() if offer is None else offer,
            headers=headers,
        )
        self.sessions.append(session)
        self.wire.deliver()
        return session

    def _on_request(self, transaction: ServerTransaction) -> None:
        if transaction.method == "INVITE":
            self.sessions.append(
                Session.incoming(self.agent, self.events.append, transaction, contact=f"sip:{self.name}@{self.host}")
            )


class Pair:
    """alice and bob; `between` of them a call is answered."""

    def __init__(self, **bobs: object) -> None:
        self.wire = Wire()
        self.alice = Party(self.wire, "alice", "192.0.2.1")
        self.bob = Party(self.wire, "bob", "192.0.2.2", **bobs)  # type: ignore[arg-type]

    def connect(self) -> "Pair":
        self.alice.call(self.bob)
        self.bob.last.accept(self.bob.sdp())
        self.wire.deliver()
        self.wire._told = len(self.wire.log)
        self.alice.events.clear()
        self.bob.events.clear()
        return self

    def close(self) -> None:
        """Hang up and let everything linger out: nothing may be left."""
        self.alice.last.hang_up()
        self.wire.advance(200, step=0.5)
        for party in (self.alice, self.bob):
            assert party.agent.dialogs == 0
            assert len(party.agent.layer) == 0

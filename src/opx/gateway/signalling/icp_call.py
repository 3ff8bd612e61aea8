"""The ICP's leg of a call from a set: placed at one node after the other, and where a redirection says, until one
takes it."""

from dataclasses import dataclass, replace

from opx.gateway.media.interface import Side
from opx.gateway.repository import DeviceRecord
from opx.gateway.signalling.call import Call
from opx.gateway.signalling.icps import IcpLink
from opx.gateway.signalling.identity import MAX_NUMBER
from opx.gateway.signalling.legs import call_icp
from opx.gateway.signalling.nodes import OUT_OF_SERVICE, Node
from opx.gateway.signalling.refusals import CREDENTIALS
from opx.gateway.signalling.timeline import Kind, Timeline
from opx.sip.agent import UserAgent
from opx.sip.errors import RemoteProtocolError
from opx.sip.events import Progress, Refused, SessionEvent
from opx.sip.locating import NEXT_SERVER_STATUSES
from opx.sip.session import Headers, Session
from opx.sip.uri import Uri, is_user

FOLLOWED = frozenset((300, 301, 302))
"""Redirections to other addresses; 305 names a proxy and 380 another service (RFC 3261 section 21.3)."""


@dataclass(frozen=True, slots=True)
class IcpCallPolicy:
    """`patience` in seconds: a node that has not answered anything in it is passed over where there is another one."""

    patience: float = 5.0
    max_tries: int = 4
    """INVITEs of one call that fail before the set hears of it; those that a redirection asks for do not count."""
    max_redirects: int = 3
    """0 follows none."""


class IcpCall:
    """Give `place` to `Call.start`. Once a node has begun to ring, no other one is tried.

    A redirection is followed by its user part, at the device's own ICP only, and not when there is early media. For an
    `emergency` nodes that are down are tried, too, behind the others.
    """

    def __init__(
        self,
        agent: UserAgent,
        call: Call,
        device: DeviceRecord,
        link: IcpLink,
        *,
        display: str,
        headers: Headers,
        reliable: bool,
        emergency: bool,
        timeline: Timeline,
        policy: IcpCallPolicy,
    ) -> None:
        self._agent = agent
        self._call = call
        self._device = device
        self._link = link
        self._emergency = emergency
        self._nodes = link.any_node(device.id) if emergency else link.in_order(device.id)
        self._display = display
        self._headers = headers
        self._reliable = reliable
        self._timeline = timeline
        self._policy = policy
        self._listener = call.listener(Side.ICP)
        self._number = call.number
        self._targets: list[tuple[str, Node]] = []
        self._visited: set[tuple[str, Node]] = set()
        self._tried: list[Node] = []
        self._redirects = 0
        self._offer = b""
        self._rings = False
        self._speaks = False
        self._tries = 0
        self._session: Session | None = None

    def place(self, offer: bytes) -> Session:
        """Call the number that the set dialled. A node that fails at once is followed by the next one right here."""
        self._offer = offer
        self._try(self._nodes[0])
        assert self._session is not None
        return self._session

    def _try(self, node: Node) -> None:
        self._tries += 1
        this_try = self._tries
        self._visited.add((self._number, node))
        if node not in self._tried:
            self._tried.append(node)
        last = self._next_node() is None
        session = call_icp(
            self._agent,
            lambda event: self._hear(node, event),
            self._device,
            node,
            self._number,
            offer=self._offer,
            display=self._display,
            headers=self._headers,
            reliable=self._reliable,
            patience=None if last else self._policy.patience,
        )
        self._call.trace(Side.ICP, session.call_id)
        # When it failed at once, a later try has been made inside of this one.
        if this_try == self._tries:
            self._session = self._call.bridge.callee = session

    def _next_node(self) -> Node | None:
        if len(self._tried) >= self._policy.max_tries:
            return None
        untried = (node for node in self._nodes if node not in self._tried)
        return next((node for node in untried if node.usable or self._emergency), None)

    # --- what becomes of a try

    def _hear(self, node: Node, event: SessionEvent) -> None:
        if not isinstance(event, Refused):
            self._rings = True
            self._speaks = self._speaks or not isinstance(event, Progress) or event.sdp != b""
            node.answered()
            self._listener(event)
            return
        going_on = not self._call.bridge.over and self._again(node, event)
        self._judge(node, event)
        if not going_on:
            self._listener(self._final(event))

    def _again(self, node: Node, event: Refused) -> bool:
        """Whether the call was placed anew."""
        if event.status in FOLLOWED:
            self._targets = self._targets_of(node, event) + self._targets
            return self._follow(event)
        if self._targets and 400 <= event.status < 600 and not event.local:
            return self._follow(event)
        if self._rings or not _another_may_do(event) or (other := self._next_node()) is None:
            return False
        what = "gave no answer" if event.local else f"answered {event.status}"
        self._note(f"node {node} {what}, trying node {other}")
        self._try(other)
        return True

    def _follow(self, event: Refused) -> bool:
        """Try the next one of those that the ICP named (RFC 3261 section 8.1.3.4)."""
        while self._targets and not self._speaks and self._redirects < self._policy.max_redirects:
            number, target = self._targets.pop(0)
            if (number, target) not in self._visited:
                self._redirects += 1
                self._note(f"redirected to {number} ({event.status})")
                self._number, self._tried = number, []
                self._try(target)
                return True
        return False

    def _targets_of(self, node: Node, event: Refused) -> list[tuple[str, Node]]:
        """Numbers and nodes of a redirection. A host that is no node of the ICP's is not gone to: the ICP is asked."""
        found: list[tuple[str, Node]] = []
        for target in event.targets:
            try:
                uri = Uri.parse(target)
            except RemoteProtocolError:
                continue
            number = (uri.user or "") if uri.scheme in ("sip", "sips") else uri.opaque.partition(";")[0]
            named = self._link.node_named(uri.host, uri.port)
            if uri.scheme in ("sip", "sips", "tel") and 0 < len(number) <= MAX_NUMBER and is_user(number):
                found.append((number, named if named is not None and named.usable else node))
        return found

    def _judge(self, node: Node, event: Refused) -> None:
        """What the refusal of a call says of its node."""
        if event.local and event.status == 408:
            node.doubt()
        elif event.local and event.status == 503:
            node.failed("a call could not reach it")
        elif event.status == 503 and event.retry_after is not None:
            node.failed(OUT_OF_SERVICE, event.retry_after)
        else:
            node.answered()

    def _final(self, event: Refused) -> Refused:
        """The refusal with a time to try again, where the set needs one and where the ICP's may be passed on."""
        if (event.local and event.status == 503) or event.status in CREDENTIALS:
            return replace(event, retry_after=self._link.retry_after)
        return replace(event, retry_after=self._link.bounded(event.retry_after))

    def _note(self, what: str) -> None:
        self._timeline.add(self._device.id, Kind.CALL, f"call to {self._call.number}: {what}")


def _another_may_do(event: Refused) -> bool:
    return event.status in (408, 503) if event.local else event.status in NEXT_SERVER_STATUSES

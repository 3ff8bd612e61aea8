"""A request of ours from its first sending to its final answer, with a challenge answered on the way."""

from collections.abc import Callable
from typing import Protocol

from opx.sip.dialog import Dialog
from opx.sip.digest import Challenge, DigestClient
from opx.sip.errors import RemoteProtocolError
from opx.sip.flow import Address, Destination, Flow
from opx.sip.layer import TransactionLayer
from opx.sip.machines import State
from opx.sip.message import Request, Response
from opx.sip.transactions import ClientTransaction, Failure

MAX_CHALLENGES = 2
"""Challenges answered per request: one, and one more for a nonce that went stale on the way."""

UDP_LIMIT = 1300
"""Bytes; a larger request goes by TCP where it may (RFC 3261 section 18.1.1)."""

VIA_ALLOWANCE = 120
"""Bytes that the Via adds after the size was measured."""

Outcome = Response | Failure


class FlowSource(Protocol):
    """Gives the way to a destination; connections are made on first use."""

    address: Address
    """Where the owner listens."""

    def wake(self) -> None:
        """The agent has something to send."""

    def flow_to(self, destination: Destination) -> Flow | None:
        """The flow to use, None where there is no way, such as a host name or a transport that is not served."""


class Exchange:
    """Sends `request` (without Via) along `route` and reports through `on_final`, once unless the peer repeats a 2xx.

    `next_cseq` gives the number of a request that is sent again with credentials, where a dialog counts them.
    """

    def __init__(
        self,
        layer: TransactionLayer,
        flows: FlowSource,
        request: Request,
        route: Flow | Destination,
        *,
        on_final: Callable[[Outcome], None],
        on_provisional: Callable[[Response], None] | None = None,
        credentials: DigestClient | None = None,
        next_cseq: Callable[[], int] | None = None,
    ) -> None:
        self.request = request
        self.transaction: ClientTransaction | None = None
        self.heard = False
        """Whether the peer has answered anything yet, a 100 or a challenge included."""
        self._layer = layer
        self._flows = flows
        self._route = route
        self._on_final = on_final
        self._on_provisional = on_provisional
        self._credentials = credentials
        self._next_cseq = next_cseq
        self._challenges = 0
        self._too_large_for_udp = False
        self._cancelled = False
        self._cancel_reason = ""
        self._proceeding = False

    @property
    def flow(self) -> Flow | None:
        """The flow that the request last went out on."""
        return self.transaction.flow if self.transaction else None

    def start(self) -> "Exchange":
        if self._credentials is not None:
            header = self._credentials.again(self.request.method, self.request.uri)
            if header is not None:
                self.request.set(*header)
        self._send(self._choose_flow())
        return self

    def cancel(self, reason: str = "") -> None:
        """Give an INVITE up: at once when the peer has begun to answer, else as soon as it does (section 9.1).

        `reason` is a Reason header (RFC 3326), "" for none.
        """
        if self._cancelled:
            return
        self._cancelled = True
        self._cancel_reason = reason
        if self._proceeding and self.transaction is not None:
            self._send_cancel(self.transaction)

    def _send_cancel(self, transaction: ClientTransaction) -> None:
        self._layer.cancel(transaction, _Ignore(), self._cancel_reason)
        # A peer that answers neither may not keep the transaction alive (section 9.1).
        self._layer.wheel.schedule(self._layer.timing.timeout, lambda: self._abandon(transaction))

    def _abandon(self, transaction: ClientTransaction) -> None:
        if transaction.state is State.PROCEEDING:
            transaction.abandon()
            self._on_final(Failure.TIMEOUT)

    def _choose_flow(self) -> Flow | None:
        route = self._route
        if isinstance(route, Flow):
            return route
        if route.transport == "UDP" and len(self.request.encode()) > UDP_LIMIT - VIA_ALLOWANCE:
            flow = self._flows.flow_to(route._replace(transport="TCP"))
            if flow is not None:
                self._too_large_for_udp = True
                return flow
        return self._flows.flow_to(route)

    def _send(self, flow: Flow | None) -> None:
        if flow is None:
            self._on_final(Failure.TRANSPORT)
            return
        self._proceeding = False
        self.transaction = self._layer.request(self.request, flow, self)

    # --- what the transaction reports

    def on_response(self, transaction: ClientTransaction, response: Response) -> None:
        if transaction is not self.transaction:
            return
        self.heard = True
        status = response.status
        if status < 200:
            first, self._proceeding = not self._proceeding, True
            if self._cancelled and first:
                self._send_cancel(transaction)
            if self._on_provisional is not None and status > 100:
                self._on_provisional(response)
        elif status in (401, 407) and not self._cancelled and self._answer_challenge(response):
            self._again()
        else:
            self._on_final(response)

    def on_failure(self, transaction: ClientTransaction, failure: Failure) -> None:
        if transaction is not self.transaction:
            return
        if failure is Failure.TRANSPORT and self._too_large_for_udp and isinstance(self._route, Destination):
            # The peer takes no TCP: a large datagram is still better than none (section 18.1.1).
            self._too_large_for_udp = False
            self.request.remove("via")
            self._send(self._flows.flow_to(self._route))
        else:
            self._on_final(failure)

    def _answer_challenge(self, response: Response) -> bool:
        if self._credentials is None or self._challenges >= MAX_CHALLENGES:
            return False
        name = "proxy-authenticate" if response.status == 407 else "www-authenticate"
        challenges = []
        for value in response.get_all(name):
            try:
                challenges.append(Challenge.parse(value, proxy=response.status == 407))
            except RemoteProtocolError:
                continue
        if self._challenges and not any(challenge.stale for challenge in challenges):
            return False
        answer = self._credentials.answer(challenges, self.request.method, self.request.uri, self.request.body)
        if answer is None:
            return False
        self._challenges += 1
        self.request.set(*answer)
        return True

    def _again(self) -> None:
        number = self._next_cseq() if self._next_cseq else self.request.cseq.number + 1
        self.request.remove("via")
        self.request.set("cseq", f"{number} {self.request.method}")
        flow = self.flow
        self._send(flow)


class _Ignore:
    """The user of a CANCEL: what matters is the answer to the INVITE."""

    def on_response(self, transaction: ClientTransaction, response: Response) -> None:
        pass

    def on_failure(self, transaction: ClientTransaction, failure: Failure) -> None:
        pass


def route_within(dialog: Dialog, route: Flow | Destination, flows: FlowSource) -> Flow | Destination:
    """Where a request of `dialog` goes: on the set's own flow where `route` is one; else where the dialog says.

    A next hop that is no address we can reach leaves the destination that the dialog began with.
    """
    if isinstance(route, Flow):
        return route
    hop = dialog.next_hop()
    destination = Destination((hop.transport or "UDP").upper(), hop.host, hop.port or 5060)
    return destination if flows.flow_to(destination) is not None else route

"""The transaction layer: matches messages to transactions and holds them (RFC 3261 sections 17.1.3 and 17.2.3)."""

from collections.abc import Callable
from itertools import count

from opx.sip.answered import Answered
from opx.sip.entropy import random_hex
from opx.sip.errors import LocalProtocolError
from opx.sip.flow import Flow, host_port
from opx.sip.machines import Input
from opx.sip.message import Request, Response
from opx.sip.timers import TimerWheel
from opx.sip.transactions import (
    ClientTransaction,
    ClientUser,
    Failure,
    ServerTransaction,
    ServerUser,
    Timing,
    hop_request,
)

MAGIC = "z9hG4bK"
"""RFC 3261 section 8.1.1.7: a branch that begins so is unique and the whole transaction key."""


class TransactionLayer:
    """Takes messages and the time; what is to be sent collects in `outgoing`.

    `wake` is called when `outgoing` goes from empty to filled, so that a shell knows to look even when the cause was
    not a message.
    """

    def __init__(
        self,
        user: ServerUser,
        wheel: TimerWheel,
        timing: Timing | None = None,
        *,
        wake: Callable[[], None] = lambda: None,
        sent_by: Callable[[Flow], str] = lambda flow: host_port(flow.local),
    ) -> None:
        self.wheel = wheel
        self.timing = timing or Timing()
        self.outgoing: list[tuple[Flow, bytes]] = []
        self.answered = Answered(self.timing.timeout)
        """For whoever answers without a transaction."""
        self._user = user
        self._wake = wake
        self._sent_by = sent_by
        self._clients: dict[tuple[str, ...], ClientTransaction] = {}
        self._servers: dict[tuple[str, ...], ServerTransaction] = {}
        self._by_connection: dict[Flow, set[ClientTransaction | ServerTransaction]] = {}
        # Responses find their way by the branch alone, so nobody may be able to guess one.
        self._branch_stem = MAGIC + random_hex(10)
        self._branches = count(1)

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    # --- towards the network

    def take_outgoing(self) -> list[tuple[Flow, bytes]]:
        """What is to be sent, in order; empties `outgoing`."""
        taken, self.outgoing = self.outgoing, []
        return taken

    def transmit(self, flow: Flow, data: bytes) -> None:
        if not self.outgoing:
            self._wake()
        self.outgoing.append((flow, data))

    def request(self, request: Request, flow: Flow, user: ClientUser) -> ClientTransaction:
        """Send `request` on `flow`: adds the Via and starts its transaction. An ACK has none: see `send_ack`."""
        if request.method == "ACK":
            raise LocalProtocolError("an ACK is no transaction")
        branch = self.stamp_via(request, flow)
        transaction = ClientTransaction(self, request, branch, flow, user)
        self._start(transaction)
        return transaction

    def stamp_via(self, request: Request, flow: Flow) -> str:
        """Put our Via with a fresh branch on top; returns the branch."""
        branch = f"{self._branch_stem}{next(self._branches):x}"
        request.prepend("via", f"SIP/2.0/{flow.transport} {self._sent_by(flow)};branch={branch};rport")
        return branch

    def send_ack(self, ack: Request, flow: Flow) -> bytes:
        """Send the ACK of a 2xx, a transaction of its own that nobody answers; returns its bytes for repeats."""
        self.stamp_via(ack, flow)
        data = ack.encode()
        self.transmit(flow, data)
        return data

    def cancel(self, invite: ClientTransaction, user: ClientUser, reason: str = "") -> None:
        """CANCEL an INVITE that has had a provisional answer (RFC 3261 section 9.1). `reason` is a Reason header."""
        cancel = hop_request("CANCEL", invite.request)
        if reason:
            cancel.add("reason", reason)
        self._start(ClientTransaction(self, cancel, invite.key[0], invite.flow, user))

    def _start(self, transaction: ClientTransaction) -> None:
        self._clients[transaction.key] = transaction
        if transaction.flow.reliable:
            self._by_connection.setdefault(transaction.flow, set()).add(transaction)
        transaction.start()

    # --- from the network

    def receive(self, message: Request | Response, flow: Flow) -> None:
        """Take a message that was read, validated and stamped with its source."""
        if isinstance(message, Response):
            client = self._clients.get((message.branch, message.cseq.method))
            # With a second Via it is another's, who would have taken his own away (RFC 3261 section 8.1.3.3).
            if client is not None and message.names.count("via") == 1 and "," not in message.need("via"):
                client.receive(message)
            return
        method = message.method
        key = self._server_key(message, "INVITE" if method == "ACK" else method)
        server = self._servers.get(key)
        if server is not None:
            server.happen(Input.ACK if method == "ACK" else Input.REQUEST, message)
        elif self.repeat(key):
            return
        elif method == "ACK":
            self._user.on_ack(message, flow)
        elif method == "CANCEL":
            self._on_cancel(message, key, flow)
        else:
            self._user.on_request(self._serve(message, key, flow))

    def repeat(self, key: tuple[str, ...]) -> bool:
        """Whether a request was answered without a transaction: then the same answer goes out again."""
        known = self.answered.find(key, self.wheel.now)
        if known is None:
            return False
        self.transmit(*known)
        return True

    def serves(self, key: tuple[str, ...]) -> bool:
        """Whether a request with this key has come before: branch, the Via up to its parameters, and method."""
        return key in self._servers

    def _serve(self, request: Request, key: tuple[str, ...], flow: Flow) -> ServerTransaction:
        transaction = ServerTransaction(self, request, key, flow, self._user)
        self._servers[key] = transaction
        if flow.reliable:
            self._by_connection.setdefault(flow, set()).add(transaction)
        return transaction

    def _on_cancel(self, cancel: Request, key: tuple[str, ...], flow: Flow) -> None:
        invite = self._servers.get((*key[:-1], "INVITE"))
        transaction = self._serve(cancel, key, flow)
        # Who cancels must be where the INVITE came from, lest a stranger who saw it end the call.
        if invite is None or invite.flow.remote[0] != flow.remote[0]:
            transaction.reply(481, to_tag=random_hex(4))
            return
        transaction.reply(200, to_tag=random_hex(4))
        if not invite.answered:
            self._user.on_cancel(invite, cancel)

    @staticmethod
    def _server_key(request: Request, method: str) -> tuple[str, ...]:
        branch = request.branch
        via = request.get("via") or ""
        if branch.startswith(MAGIC) and branch != MAGIC:
            return (branch, via.partition(";")[0], method)
        # RFC 2543 peers: an ACK's To tag is ours and so cannot be part of the key.
        cseq = request.cseq.number
        return (request.uri, request.call_id, request.from_tag, str(cseq), via, method)

    # --- failures and ends

    def connection_lost(self, flow: Flow) -> None:
        """A connection is gone, or could not be made: its transactions cannot end well any more."""
        for transaction in list(self._by_connection.pop(flow, ())):
            transaction.happen(Input.BROKEN)

    def unreachable(self, flow: Flow) -> None:
        """The network refused a datagram on `flow`: requests that wait for their first answer there fail."""
        for transaction in list(self._clients.values()):
            if transaction.flow == flow:
                transaction.happen(Input.BROKEN)

    def forget_client(self, transaction: ClientTransaction) -> None:
        if self._clients.get(transaction.key) is transaction:
            del self._clients[transaction.key]
        self._leave_connection(transaction)

    def forget_server(self, transaction: ServerTransaction) -> None:
        if self._servers.get(transaction.key) is transaction:
            del self._servers[transaction.key]
        self._leave_connection(transaction)

    def _leave_connection(self, transaction: ClientTransaction | ServerTransaction) -> None:
        if transaction.flow.reliable and (held := self._by_connection.get(transaction.flow)) is not None:
            held.discard(transaction)
            if not held:
                del self._by_connection[transaction.flow]


__all__ = ["MAGIC", "Failure", "TransactionLayer"]

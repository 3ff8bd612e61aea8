"""Transactions: they carry out the tables of `machines.py` (RFC 3261 section 17, RFC 6026)."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from opx.sip.errors import LocalProtocolError
from opx.sip.flow import Flow
from opx.sip.machines import (
    CLIENT_INVITE,
    CLIENT_NON_INVITE,
    SERVER_INVITE,
    SERVER_NON_INVITE,
    Action,
    Input,
    State,
    Table,
)
from opx.sip.message import Request, Response
from opx.sip.timers import Timer, TimerWheel


@dataclass(frozen=True, slots=True)
class Timing:
    """RFC 3261 table 4, in seconds."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    ring_limit: float = 180.0
    """Timer C's job at an endpoint: how long an INVITE may go on ringing after its last provisional answer."""

    @property
    def timeout(self) -> float:
        """64*T1: timers B, F, H, J, L and M."""
        return 64 * self.t1

    @property
    def linger_d(self) -> float:
        """Timer D: at least 32 s over an unreliable transport."""
        return max(32.0, self.timeout)


class Failure(Enum):
    """Why a transaction ended without the message it waited for."""

    TIMEOUT = "timeout"
    TRANSPORT = "transport"


class Host(Protocol):
    """What a transaction needs of the layer that holds it."""

    wheel: TimerWheel
    timing: Timing

    def transmit(self, flow: Flow, data: bytes) -> None: ...
    def forget_client(self, transaction: "ClientTransaction") -> None: ...
    def forget_server(self, transaction: "ServerTransaction") -> None: ...


class ClientUser(Protocol):
    """Whoever sent a request and waits for what comes of it."""

    def on_response(self, transaction: "ClientTransaction", response: Response) -> None: ...
    def on_failure(self, transaction: "ClientTransaction", failure: Failure) -> None: ...


class ServerUser(Protocol):
    """Whoever answers requests."""

    def on_request(self, transaction: "ServerTransaction") -> None: ...
    def on_cancel(self, transaction: "ServerTransaction", cancel: Request) -> None: ...
    def on_ack(self, ack: Request, flow: Flow) -> None: ...
    def on_unanswered(self, transaction: "ServerTransaction", failure: Failure) -> None: ...


class Transaction:
    """What the four kinds share: state, timers, and the walk through the table."""

    __slots__ = ("_host", "_interval", "_linger", "_retransmit", "_sent", "_table", "_timeout", "flow", "key", "state")

    def __init__(self, host: Host, table: Table, state: State, key: tuple[str, ...], flow: Flow) -> None:
        self._host = host
        self._table = table
        self.state = state
        self.key = key
        self.flow = flow
        self._sent = b""
        self._interval = 0.0
        self._retransmit: Timer | None = None
        self._timeout: Timer | None = None
        self._linger: Timer | None = None

    @property
    def terminated(self) -> bool:
        return self.state is State.TERMINATED

    def happen(self, what: Input, message: Request | Response | None = None) -> None:
        """Walk one step of the table; what the state does not know is ignored."""
        transition = self._table.get(self.state, {}).get(what)
        if transition is None:
            return
        self.state = transition.state
        for action in transition.actions:
            self._perform(action, message)
        if self.state is State.TERMINATED:
            self._stop()
            self._forget()

    def _perform(self, action: Action, message: Request | Response | None) -> None:
        if action is Action.RESEND:
            if self._sent:
                self._host.transmit(self.flow, self._sent)
        elif action is Action.START_RETRANSMIT:
            self._start_retransmit()
        elif action is Action.START_TIMEOUT:
            self._start_timeout()
        elif action is Action.STOP_RETRANSMIT:
            if self._retransmit is not None:
                self._retransmit.cancel()
                self._retransmit = None
        elif action is Action.STOP_TIMEOUT:
            if self._timeout is not None:
                self._timeout.cancel()
                self._timeout = None
        elif action is Action.BACK_OFF:
            self._back_off()
        elif action is Action.SLOW_RETRANSMIT:
            if self._retransmit is not None:
                self._interval = self._host.timing.t2
        elif action is Action.LINGER_ACKED:
            self._linger_for(0.0 if self.flow.reliable else self._host.timing.t4)
        elif action is Action.LINGER_ANSWERED:
            self._linger_for(0.0 if self.flow.reliable else self._answered_linger())
        elif action is Action.LINGER_ACCEPTED:
            self._linger_for(self._host.timing.timeout)
        else:
            self._perform_own(action, message)

    def _perform_own(self, action: Action, message: Request | Response | None) -> None:
        raise LocalProtocolError(f"no {action.name} in this kind of transaction")

    def _answered_linger(self) -> float:
        return self._host.timing.timeout

    def _start_retransmit(self) -> None:
        self._interval = self._host.timing.t1
        if not self.flow.reliable:
            self._retransmit = self._host.wheel.schedule(self._interval, self._on_retransmit)

    def _start_timeout(self) -> None:
        self._timeout = self._host.wheel.schedule(self._host.timing.timeout, self._on_timeout)

    def _back_off(self) -> None:
        self._interval = self._next_interval(self._interval)
        self._retransmit = self._host.wheel.schedule(self._interval, self._on_retransmit)

    def _next_interval(self, interval: float) -> float:
        return min(2 * interval, self._host.timing.t2)

    def _linger_for(self, seconds: float) -> None:
        if seconds == 0.0:
            self.state = State.TERMINATED
        else:
            self._linger = self._host.wheel.schedule(seconds, self._on_linger)

    def _on_retransmit(self) -> None:
        self.happen(Input.RETRANSMIT)

    def _on_timeout(self) -> None:
        self.happen(Input.TIMEOUT)

    def _on_linger(self) -> None:
        self.happen(Input.LINGER)

    def _stop(self) -> None:
        for timer in (self._retransmit, self._timeout, self._linger):
            if timer is not None:
                timer.cancel()
        self._retransmit = self._timeout = self._linger = None

    def _forget(self) -> None:
        raise LocalProtocolError("a transaction is a client's or a server's")


class ClientTransaction(Transaction):
    """A request that we sent. `user` hears of its responses and of its failure."""

    __slots__ = ("_ack", "invite", "method", "request", "user")

    def __init__(self, host: Host, request: Request, branch: str, flow: Flow, user: ClientUser) -> None:
        self.method = request.method
        self.invite = self.method == "INVITE"
        table = CLIENT_INVITE if self.invite else CLIENT_NON_INVITE
        state = State.CALLING if self.invite else State.TRYING
        super().__init__(host, table, state, (branch, self.method), flow)
        self.request = request
        self.user = user
        self._ack: bytes = b""
        self._sent = request.encode()

    def start(self) -> None:
        self._host.transmit(self.flow, self._sent)
        self._start_retransmit()
        self._start_timeout()

    def receive(self, response: Response) -> None:
        status = response.status
        if status < 200:
            self.happen(Input.PROVISIONAL, response)
        elif status < 300:
            self.happen(Input.SUCCESS, response)
        else:
            self.happen(Input.FAILURE, response)

    def abandon(self) -> None:
        """Forget the request at once; nothing more is delivered to its user."""
        self.state = State.TERMINATED
        self._stop()
        self._forget()

    def _next_interval(self, interval: float) -> float:
        # Timer A doubles without a ceiling, timer E stops at T2 (RFC 3261 sections 17.1.1.2 and 17.1.2.2).
        return 2 * interval if self.invite else min(2 * interval, self._host.timing.t2)

    def _answered_linger(self) -> float:
        return self._host.timing.linger_d

    def _perform_own(self, action: Action, message: Request | Response | None) -> None:
        if action is Action.DELIVER and isinstance(message, Response):
            self.user.on_response(self, message)
        elif action is Action.ACKNOWLEDGE and isinstance(message, Response):
            self._acknowledge(message)
        elif action is Action.FAIL_TIMEOUT:
            self.user.on_failure(self, Failure.TIMEOUT)
        elif action is Action.FAIL_TRANSPORT:
            self.user.on_failure(self, Failure.TRANSPORT)
        else:
            super()._perform_own(action, message)

    def _acknowledge(self, response: Response) -> None:
        if not self._ack:
            self._ack = hop_request("ACK", self.request, to=response.get("to")).encode()
        self._host.transmit(self.flow, self._ack)

    def _forget(self) -> None:
        self._host.forget_client(self)


class ServerTransaction(Transaction):
    """A request that we received; `respond` answers it."""

    __slots__ = ("_request", "_user", "answered", "invite", "method")

    def __init__(self, host: Host, request: Request, key: tuple[str, ...], flow: Flow, user: ServerUser) -> None:
        self.method = request.method
        self.invite = self.method == "INVITE"
        if self.invite:
            super().__init__(host, SERVER_INVITE, State.PROCEEDING, key, flow)
        else:
            super().__init__(host, SERVER_NON_INVITE, State.TRYING, key, flow)
        self._request: Request | None = request
        self._user = user
        self.answered = False

    @property
    def request(self) -> Request:
        """The request, until its final answer was sent; tens of thousands of answered ones linger without it."""
        if self._request is None:
            raise LocalProtocolError("an answered transaction no longer holds its request")
        return self._request

    def respond(self, response: Response) -> None:
        """Send a response. A second final one is our own mistake: LocalProtocolError.

        The 2xx of an INVITE may be repeated: its retransmission is the user's part (RFC 6026 section 7.1).
        """
        status = response.status
        if status >= 200:
            if self.answered and not (self.state is State.ACCEPTED and status < 300):
                raise LocalProtocolError(f"{self.method} has had its final answer")
            self.answered = True
            self.happen(Input.SUCCESS if status < 300 else Input.FAILURE, response)
            self._request = None
        else:
            self.happen(Input.PROVISIONAL, response)

    def reply(self, status: int, reason: str | None = None, *, to_tag: str = "") -> None:
        """Answer with a response that has nothing but the mandatory headers."""
        self.respond(self.request.reply(status, reason, to_tag=to_tag))

    def _perform_own(self, action: Action, message: Request | Response | None) -> None:
        if action is Action.SEND and isinstance(message, Response):
            self._sent = message.encode()
            self._host.transmit(self.flow, self._sent)
        elif action is Action.DELIVER and isinstance(message, Request):
            self._user.on_ack(message, self.flow)
        elif action is Action.FAIL_TIMEOUT:
            self._user.on_unanswered(self, Failure.TIMEOUT)
        elif action is Action.FAIL_TRANSPORT:
            self._user.on_unanswered(self, Failure.TRANSPORT)
        else:
            super()._perform_own(action, message)

    def _forget(self) -> None:
        self._host.forget_server(self)


def hop_request(method: str, invite: Request, *, to: str | None = None) -> Request:
    """The CANCEL of `invite`, or the ACK of its refusal: same hop, branch and CSeq number.

    RFC 3261 sections 9.1 and 17.1.1.3. `to` is the To of the response that an ACK answers.
    """
    request = Request.new(method, invite.uri)
    request.add("via", invite.get("via") or "")
    for route in invite.get_all("route"):
        request.add("route", route)
    request.add("max-forwards", "70")
    request.add("from", invite.get("from") or "")
    request.add("to", to or invite.get("to") or "")
    request.add("call-id", invite.call_id)
    request.add("cseq", f"{invite.cseq.number} {method}")
    return request

"""Transactions: they carry out the tables of `machines.py` (RFC 3261 section 17, RFC 6026)."""

from collections.abc import Callable, Mapping
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


Message = Request | Response
Steps = list[list[tuple[State, tuple[Callable[..., None], ...]] | None]]
"""A table of `machines.py` made ready: by state and input the next state and the methods that carry its actions out."""


def _steps(table: Table, methods: Mapping[Action, Callable[..., None]]) -> Steps:
    # Lists, for the hash of an enumeration's member is computed in Python each time.
    steps: Steps = [[None] * len(Input) for _ in State]
    for state, row in table.items():
        for what, transition in row.items():
            steps[state][what] = (transition.state, tuple(methods[action] for action in transition.actions))
    return steps


class Transaction:
    """What the four kinds share: state, timers, and the walk through the table."""

    __slots__ = ("_host", "_interval", "_linger", "_retransmit", "_sent", "_steps", "_timeout", "flow", "key", "state")

    def __init__(self, host: Host, steps: Steps, state: State, key: tuple[str, ...], flow: Flow) -> None:
        self._host = host
        self._steps = steps
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

    def happen(self, what: Input, message: Message | None = None) -> None:
        """Walk one step of the table; what the state does not know is ignored."""
        step = self._steps[self.state][what]
        if step is None:
            return
        self.state, methods = step
        for method in methods:
            method(self, message)
        if self.state is State.TERMINATED:
            self._stop()
            self._forget()

    # --- actions

    def _resend(self, message: Message | None) -> None:
        if self._sent:
            self._host.transmit(self.flow, self._sent)

    def _start_retransmit(self, message: Message | None = None) -> None:
        self._interval = self._host.timing.t1
        if not self.flow.reliable:
            self._retransmit = self._host.wheel.schedule(self._interval, self._on_retransmit)

    def _stop_retransmit(self, message: Message | None) -> None:
        if self._retransmit is not None:
            self._retransmit.cancel()
            self._retransmit = None

    def _back_off(self, message: Message | None) -> None:
        self._interval = self._next_interval(self._interval)
        self._retransmit = self._host.wheel.schedule(self._interval, self._on_retransmit)

    def _slow_retransmit(self, message: Message | None) -> None:
        if self._retransmit is not None:
            self._interval = self._host.timing.t2

    def _start_timeout(self, message: Message | None = None) -> None:
        self._timeout = self._host.wheel.schedule(self._host.timing.timeout, self._on_timeout)

    def _stop_timeout(self, message: Message | None) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None

    def _linger_acked(self, message: Message | None) -> None:
        self._linger_for(0.0 if self.flow.reliable else self._host.timing.t4)

    def _linger_answered(self, message: Message | None) -> None:
        self._linger_for(0.0 if self.flow.reliable else self._answered_linger())

    def _linger_accepted(self, message: Message | None) -> None:
        self._linger_for(self._host.timing.timeout)

    # --- timers

    def _answered_linger(self) -> float:
        return self._host.timing.timeout

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


_SHARED: Mapping[Action, Callable[..., None]] = {
    Action.RESEND: Transaction._resend,
    Action.START_RETRANSMIT: Transaction._start_retransmit,
    Action.STOP_RETRANSMIT: Transaction._stop_retransmit,
    Action.BACK_OFF: Transaction._back_off,
    Action.SLOW_RETRANSMIT: Transaction._slow_retransmit,
    Action.START_TIMEOUT: Transaction._start_timeout,
    Action.STOP_TIMEOUT: Transaction._stop_timeout,
    Action.LINGER_ACKED: Transaction._linger_acked,
    Action.LINGER_ANSWERED: Transaction._linger_answered,
    Action.LINGER_ACCEPTED: Transaction._linger_accepted,
}


class ClientTransaction(Transaction):
    """A request that we sent. `user` hears of its responses and of its failure."""

    __slots__ = ("_ack", "invite", "method", "request", "user")

    def __init__(self, host: Host, request: Request, branch: str, flow: Flow, user: ClientUser) -> None:
        self.method = request.method
        self.invite = self.method == "INVITE"
        steps = _CLIENT_INVITE if self.invite else _CLIENT_NON_INVITE
        state = State.CALLING if self.invite else State.TRYING
        super().__init__(host, steps, state, (branch, self.method), flow)
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

    def _deliver(self, response: Response) -> None:
        self.user.on_response(self, response)

    def _fail_timeout(self, message: Message | None) -> None:
        self.user.on_failure(self, Failure.TIMEOUT)

    def _fail_transport(self, message: Message | None) -> None:
        self.user.on_failure(self, Failure.TRANSPORT)

    def _acknowledge(self, response: Response) -> None:
        if not self._ack:
            self._ack = hop_request("ACK", self.request, to=response.get("to")).encode()
        self._host.transmit(self.flow, self._ack)

    def _forget(self) -> None:
        self._host.forget_client(self)
        # Its user holds it, so that each would keep the other until the garbage collector comes by.
        self.user = _NOBODY


class _Nobody:
    """The user of a transaction that is over."""

    def on_response(self, transaction: ClientTransaction, response: Response) -> None:
        """Too late."""

    def on_failure(self, transaction: ClientTransaction, failure: Failure) -> None:
        """Too late."""


_NOBODY = _Nobody()


class ServerTransaction(Transaction):
    """A request that we received; `respond` answers it."""

    __slots__ = ("_request", "_user", "answered", "invite", "method")

    def __init__(self, host: Host, request: Request, key: tuple[str, ...], flow: Flow, user: ServerUser) -> None:
        self.method = request.method
        self.invite = self.method == "INVITE"
        if self.invite:
            super().__init__(host, _SERVER_INVITE, State.PROCEEDING, key, flow)
        else:
            super().__init__(host, _SERVER_NON_INVITE, State.TRYING, key, flow)
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

    def _send(self, response: Response) -> None:
        self._sent = response.encode()
        self._host.transmit(self.flow, self._sent)

    def _deliver(self, ack: Request) -> None:
        self._user.on_ack(ack, self.flow)

    def _fail_timeout(self, message: Message | None) -> None:
        self._user.on_unanswered(self, Failure.TIMEOUT)

    def _fail_transport(self, message: Message | None) -> None:
        self._user.on_unanswered(self, Failure.TRANSPORT)

    def _forget(self) -> None:
        self._host.forget_server(self)


_CLIENT_METHODS: Mapping[Action, Callable[..., None]] = {
    **_SHARED,
    Action.DELIVER: ClientTransaction._deliver,
    Action.ACKNOWLEDGE: ClientTransaction._acknowledge,
    Action.FAIL_TIMEOUT: ClientTransaction._fail_timeout,
    Action.FAIL_TRANSPORT: ClientTransaction._fail_transport,
}
_SERVER_METHODS: Mapping[Action, Callable[..., None]] = {
    **_SHARED,
    Action.SEND: ServerTransaction._send,
    Action.DELIVER: ServerTransaction._deliver,
    Action.FAIL_TIMEOUT: ServerTransaction._fail_timeout,
    Action.FAIL_TRANSPORT: ServerTransaction._fail_transport,
}
_CLIENT_INVITE = _steps(CLIENT_INVITE, _CLIENT_METHODS)
_CLIENT_NON_INVITE = _steps(CLIENT_NON_INVITE, _CLIENT_METHODS)
_SERVER_INVITE = _steps(SERVER_INVITE, _SERVER_METHODS)
_SERVER_NON_INVITE = _steps(SERVER_NON_INVITE, _SERVER_METHODS)


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

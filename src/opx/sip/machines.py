"""The four transaction machines of RFC 3261 section 17 with RFC 6026, as tables.

Every transition lives here and nowhere else. A table maps a state and an input to the next state and what is done on
the way. An input without an entry is ignored in that state. `transactions.py` carries the tables out; documentation
diagrams are drawn from them.
"""

from enum import IntEnum
from typing import NamedTuple


class State(IntEnum):
    CALLING = 0
    TRYING = 1
    PROCEEDING = 2
    COMPLETED = 3
    ACCEPTED = 4
    CONFIRMED = 5
    TERMINATED = 6


class Input(IntEnum):
    """What happens to a transaction: a message class, a timer of RFC 3261 table 4, or a broken transport.

    PROVISIONAL, SUCCESS and FAILURE are responses: received by a client, sent by the user of a server transaction.
    """

    PROVISIONAL = 0
    SUCCESS = 1
    FAILURE = 2
    REQUEST = 3
    ACK = 4
    RETRANSMIT = 5
    TIMEOUT = 6
    LINGER = 7
    BROKEN = 8


class Action(IntEnum):
    SEND = 0
    """Send the response that the user gave and keep it for retransmissions."""
    RESEND = 1
    """Send again what was sent last."""
    DELIVER = 2
    """Hand the message to the transaction's user."""
    ACKNOWLEDGE = 3
    """Send the ACK of a refused INVITE (RFC 3261 section 17.1.1.3)."""
    STOP_RETRANSMIT = 4
    START_RETRANSMIT = 5
    BACK_OFF = 6
    """Arm the retransmission timer again, later than the last time."""
    SLOW_RETRANSMIT = 7
    """A provisional answer to a non-INVITE request: retransmit every T2 from now on."""
    STOP_TIMEOUT = 8
    START_TIMEOUT = 9
    LINGER_ACKED = 10
    """Wait T4 for late messages; over a reliable transport not at all (timers I and K)."""
    LINGER_ANSWERED = 11
    """Wait for retransmissions; over a reliable transport not at all (timers D and J)."""
    LINGER_ACCEPTED = 12
    """Wait 64*T1 whatever the transport (timers L and M of RFC 6026)."""
    FAIL_TIMEOUT = 13
    FAIL_TRANSPORT = 14


class Transition(NamedTuple):
    state: State
    actions: tuple[Action, ...]


Table = dict[State, dict[Input, Transition]]

_T = Transition
_S = State
_I = Input
_A = Action

CLIENT_INVITE: Table = {
    _S.CALLING: {
        _I.RETRANSMIT: _T(_S.CALLING, (_A.RESEND, _A.BACK_OFF)),
        _I.TIMEOUT: _T(_S.TERMINATED, (_A.FAIL_TIMEOUT,)),
        _I.BROKEN: _T(_S.TERMINATED, (_A.FAIL_TRANSPORT,)),
        _I.PROVISIONAL: _T(_S.PROCEEDING, (_A.STOP_RETRANSMIT, _A.STOP_TIMEOUT, _A.DELIVER)),
        _I.SUCCESS: _T(_S.ACCEPTED, (_A.STOP_RETRANSMIT, _A.STOP_TIMEOUT, _A.LINGER_ACCEPTED, _A.DELIVER)),
        _I.FAILURE: _T(
            _S.COMPLETED, (_A.STOP_RETRANSMIT, _A.STOP_TIMEOUT, _A.ACKNOWLEDGE, _A.LINGER_ANSWERED, _A.DELIVER)
        ),
    },
    _S.PROCEEDING: {
        _I.PROVISIONAL: _T(_S.PROCEEDING, (_A.DELIVER,)),
        _I.SUCCESS: _T(_S.ACCEPTED, (_A.LINGER_ACCEPTED, _A.DELIVER)),
        _I.FAILURE: _T(_S.COMPLETED, (_A.ACKNOWLEDGE, _A.LINGER_ANSWERED, _A.DELIVER)),
        _I.BROKEN: _T(_S.TERMINATED, (_A.FAIL_TRANSPORT,)),
    },
    _S.COMPLETED: {
        _I.FAILURE: _T(_S.COMPLETED, (_A.ACKNOWLEDGE,)),
        _I.LINGER: _T(_S.TERMINATED, ()),
        _I.BROKEN: _T(_S.TERMINATED, ()),
    },
    _S.ACCEPTED: {
        _I.SUCCESS: _T(_S.ACCEPTED, (_A.DELIVER,)),
        _I.LINGER: _T(_S.TERMINATED, ()),
    },
}
"""RFC 3261 figure 5 as corrected by RFC 6026 figure 6; timers A (RETRANSMIT), B (TIMEOUT), D and M (LINGER)."""

CLIENT_NON_INVITE: Table = {
    _S.TRYING: {
        _I.RETRANSMIT: _T(_S.TRYING, (_A.RESEND, _A.BACK_OFF)),
        _I.TIMEOUT: _T(_S.TERMINATED, (_A.FAIL_TIMEOUT,)),
        _I.BROKEN: _T(_S.TERMINATED, (_A.FAIL_TRANSPORT,)),
        _I.PROVISIONAL: _T(_S.PROCEEDING, (_A.SLOW_RETRANSMIT, _A.DELIVER)),
        _I.SUCCESS: _T(_S.COMPLETED, (_A.STOP_RETRANSMIT, _A.STOP_TIMEOUT, _A.LINGER_ACKED, _A.DELIVER)),
        _I.FAILURE: _T(_S.COMPLETED, (_A.STOP_RETRANSMIT, _A.STOP_TIMEOUT, _A.LINGER_ACKED, _A.DELIVER)),
    },
    _S.PROCEEDING: {
        _I.RETRANSMIT: _T(_S.PROCEEDING, (_A.RESEND, _A.BACK_OFF)),
        _I.TIMEOUT: _T(_S.TERMINATED, (_A.FAIL_TIMEOUT,)),
        _I.BROKEN: _T(_S.TERMINATED, (_A.FAIL_TRANSPORT,)),
        _I.PROVISIONAL: _T(_S.PROCEEDING, (_A.DELIVER,)),
        _I.SUCCESS: _T(_S.COMPLETED, (_A.STOP_RETRANSMIT, _A.STOP_TIMEOUT, _A.LINGER_ACKED, _A.DELIVER)),
        _I.FAILURE: _T(_S.COMPLETED, (_A.STOP_RETRANSMIT, _A.STOP_TIMEOUT, _A.LINGER_ACKED, _A.DELIVER)),
    },
    _S.COMPLETED: {
        _I.LINGER: _T(_S.TERMINATED, ()),
        _I.BROKEN: _T(_S.TERMINATED, ()),
    },
}
"""RFC 3261 figure 6; timers E (RETRANSMIT), F (TIMEOUT) and K (LINGER)."""

SERVER_INVITE: Table = {
    _S.PROCEEDING: {
        _I.REQUEST: _T(_S.PROCEEDING, (_A.RESEND,)),
        _I.PROVISIONAL: _T(_S.PROCEEDING, (_A.SEND,)),
        _I.SUCCESS: _T(_S.ACCEPTED, (_A.SEND, _A.LINGER_ACCEPTED)),
        _I.FAILURE: _T(_S.COMPLETED, (_A.SEND, _A.START_RETRANSMIT, _A.START_TIMEOUT)),
        _I.BROKEN: _T(_S.PROCEEDING, (_A.FAIL_TRANSPORT,)),
    },
    _S.COMPLETED: {
        _I.REQUEST: _T(_S.COMPLETED, (_A.RESEND,)),
        _I.RETRANSMIT: _T(_S.COMPLETED, (_A.RESEND, _A.BACK_OFF)),
        _I.TIMEOUT: _T(_S.TERMINATED, (_A.FAIL_TIMEOUT,)),
        _I.ACK: _T(_S.CONFIRMED, (_A.STOP_RETRANSMIT, _A.STOP_TIMEOUT, _A.LINGER_ACKED)),
        _I.BROKEN: _T(_S.TERMINATED, (_A.FAIL_TRANSPORT,)),
    },
    _S.ACCEPTED: {
        _I.ACK: _T(_S.ACCEPTED, (_A.DELIVER,)),
        _I.SUCCESS: _T(_S.ACCEPTED, (_A.SEND,)),
        _I.LINGER: _T(_S.TERMINATED, ()),
    },
    _S.CONFIRMED: {
        _I.LINGER: _T(_S.TERMINATED, ()),
        _I.BROKEN: _T(_S.TERMINATED, ()),
    },
}
"""RFC 3261 figure 7 as corrected by RFC 6026 figure 5; timers G (RETRANSMIT), H (TIMEOUT), I and L (LINGER)."""

SERVER_NON_INVITE: Table = {
    _S.TRYING: {
        _I.PROVISIONAL: _T(_S.PROCEEDING, (_A.SEND,)),
        _I.SUCCESS: _T(_S.COMPLETED, (_A.SEND, _A.LINGER_ANSWERED)),
        _I.FAILURE: _T(_S.COMPLETED, (_A.SEND, _A.LINGER_ANSWERED)),
        _I.BROKEN: _T(_S.TRYING, (_A.FAIL_TRANSPORT,)),
    },
    _S.PROCEEDING: {
        _I.REQUEST: _T(_S.PROCEEDING, (_A.RESEND,)),
        _I.PROVISIONAL: _T(_S.PROCEEDING, (_A.SEND,)),
        _I.SUCCESS: _T(_S.COMPLETED, (_A.SEND, _A.LINGER_ANSWERED)),
        _I.FAILURE: _T(_S.COMPLETED, (_A.SEND, _A.LINGER_ANSWERED)),
        _I.BROKEN: _T(_S.PROCEEDING, (_A.FAIL_TRANSPORT,)),
    },
    _S.COMPLETED: {
        _I.REQUEST: _T(_S.COMPLETED, (_A.RESEND,)),
        _I.LINGER: _T(_S.TERMINATED, ()),
        _I.BROKEN: _T(_S.TERMINATED, ()),
    },
}
"""RFC 3261 figure 8; timer J (LINGER)."""

MACHINES: dict[str, Table] = {
    "client INVITE": CLIENT_INVITE,
    "client non-INVITE": CLIENT_NON_INVITE,
    "server INVITE": SERVER_INVITE,
    "server non-INVITE": SERVER_NON_INVITE,
}

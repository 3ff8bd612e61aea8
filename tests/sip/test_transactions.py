"""Transactions: the tables, and their timers over a network that loses what it likes."""

import gc

import pytest

from opx.sip.errors import LocalProtocolError
from opx.sip.exchange import UDP_LIMIT, Exchange, Outcome
from opx.sip.flow import Destination, Flow
from opx.sip.machines import MACHINES, SERVER_INVITE, Input, State, Table
from opx.sip.message import Request, Response
from opx.sip.transactions import Failure, ServerTransaction
from support.sipnet import Carried, Face, Node, Wire

ONE, TWO = ("192.0.2.1", 5060), ("192.0.2.2", 5060)


def request(method: str = "OPTIONS", number: int = 1) -> Request:
    made = Request.new(method, "sip:two@192.0.2.2")
    for name, value in (
        ("max-forwards", "70"),
        ("from", "<sip:one@192.0.2.1>;tag=1"),
        ("to", "<sip:two@192.0.2.2>"),
        ("call-id", f"c{number}"),
        ("cseq", f"{number} {method}"),
        ("contact", "<sip:one@192.0.2.1>"),
    ):
        made.add(name, value)
    return made


class Pair:
    """Two user agents; the second answers with `answer`."""

    def __init__(self, transport: str = "UDP") -> None:
        self.wire = Wire()
        self.one = Node(self.wire, "one", ONE)
        self.two = Node(self.wire, "two", TWO, on_request_do=self._answer)
        self.flow = Flow(transport, ONE, TWO, 1 if transport == "TCP" else 0)
        self.outcomes: list[Outcome] = []
        self.answers: list[int] = [200]

    def send(self, method: str = "MESSAGE") -> None:
        self.one.agent.exchange(request(method), self.flow, self.outcomes.append)
        self.wire.deliver()

    def _answer(self, transaction: ServerTransaction) -> None:
        for status in self.answers:
            transaction.reply(status, to_tag="2")

    def sent(self, what: str) -> list[float]:
        return [0.0 for carried in self.wire.log if carried.what == what]

    @property
    def left(self) -> int:
        return len(self.one.agent.layer) + len(self.two.agent.layer)


@pytest.mark.parametrize("table", MACHINES.values(), ids=MACHINES.keys())
def test_every_state_of_a_table_is_reached_and_every_one_ends(table: Table) -> None:
    first = next(iter(table))
    reached, open_ = {first}, [first]
    while open_:
        for transition in table.get(open_.pop(), {}).values():
            if transition.state not in reached:
                reached.add(transition.state)
                open_.append(transition.state)
    assert reached == {*table, State.TERMINATED}
    assert State.TERMINATED not in table


def test_a_retransmitted_invite_is_absorbed_after_its_2xx() -> None:
    assert Input.REQUEST not in SERVER_INVITE[State.ACCEPTED]


@pytest.mark.parametrize("lost", range(4))
def test_a_request_gets_through_whatever_is_lost(lost: int) -> None:
    pair = Pair()
    dropped: list[Carried] = []

    def lose(carried: Carried) -> bool:
        if len(dropped) < lost:
            dropped.append(carried)
            return True
        return False

    pair.wire.lose = lose
    pair.send()
    pair.wire.advance(10)
    assert [o.status for o in pair.outcomes if isinstance(o, Response)] == [200]
    assert len(pair.two.requests) == 1
    pair.wire.advance(40)
    assert pair.left == 0


def test_a_request_that_nobody_answers_is_repeated_with_growing_pauses_and_fails_after_32_seconds() -> None:
    pair = Pair()
    del pair.wire.agents[TWO]
    times = []
    pair.send()
    for _ in range(400):
        before = len(pair.wire.log)
        pair.wire.advance(0.1)
        times += [round(pair.wire.wheel.now, 1)] * (len(pair.wire.log) - before)
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert pair.outcomes == [Failure.TIMEOUT]
    assert pair.left == 0


def test_over_a_connection_nothing_is_repeated_and_nothing_lingers() -> None:
    pair = Pair("TCP")
    pair.send()
    assert [o.status for o in pair.outcomes if isinstance(o, Response)] == [200]
    assert pair.left == 0
    assert len(pair.wire.log) == 2


def test_a_lost_connection_fails_what_waits_on_it() -> None:
    pair = Pair("TCP")
    pair.answers = []
    pair.send()
    pair.one.agent.connection_lost(pair.flow)
    assert pair.outcomes == [Failure.TRANSPORT]


def test_a_refused_invite_is_acknowledged_on_the_way_and_again_when_the_refusal_is_repeated() -> None:
    pair = Pair()
    pair.answers = [486]
    pair.wire.lose = lambda carried: carried.what == "ACK" and len(pair.sent("ACK")) < 3
    pair.send("INVITE")
    pair.wire.advance(5)
    assert len(pair.sent("ACK")) == 3
    assert len(pair.sent("486")) == 3
    assert [o.status for o in pair.outcomes if isinstance(o, Response)] == [486]
    pair.wire.advance(40)
    assert pair.left == 0


def test_a_second_final_answer_is_our_own_mistake() -> None:
    pair = Pair()
    pair.answers = []
    pair.send()
    transaction = pair.two.requests[0]
    transaction.reply(200, to_tag="2")
    with pytest.raises(LocalProtocolError):
        transaction.respond(request().reply(404))


def test_no_two_requests_share_a_branch() -> None:
    pair = Pair()
    for _ in range(50):
        pair.send()
    branches = {c.message.branch for c in pair.wire.log if c.source == ONE}
    assert len(branches) == 50


class BothWays(Face):
    """Takes UDP, and TCP where `tcp` says so."""

    tcp = True

    def flow_to(self, destination: Destination) -> Flow | None:
        if destination.transport == "TCP" and not self.tcp:
            return None
        serial = 1 if destination.transport == "TCP" else 0
        return Flow(destination.transport, self.address, (destination.host, destination.port), serial)


def large() -> Request:
    made = request("MESSAGE")
    made.body = b"x" * UDP_LIMIT
    return made


@pytest.mark.parametrize(("tcp", "transport"), [(True, "TCP"), (False, "UDP")])
def test_a_request_too_large_for_udp_goes_by_tcp_where_that_is_served(tcp: bool, transport: str) -> None:
    pair = Pair()
    face = BothWays(ONE)
    face.tcp = tcp
    pair.one.agent.flows = face
    pair.one.agent.exchange(large(), Destination("UDP", *TWO), pair.outcomes.append)
    assert [flow.transport for flow, _ in pair.one.agent.layer.outgoing] == [transport]
    assert pair.one.agent.layer.outgoing[0][1].split(b"\r\n")[1].startswith(b"Via: SIP/2.0/" + transport.encode())


def test_a_peer_that_takes_no_tcp_gets_the_large_request_by_udp() -> None:
    pair = Pair()
    pair.one.agent.flows = BothWays(ONE)
    pair.one.agent.exchange(large(), Destination("UDP", *TWO), pair.outcomes.append)
    pair.one.agent.take_outgoing()
    pair.one.agent.connection_lost(Flow("TCP", ONE, TWO, 1))
    pair.wire.deliver()
    assert [o.status for o in pair.outcomes if isinstance(o, Response)] == [200]
    assert pair.wire.log[0].message.via.transport == "UDP"


def test_a_small_request_stays_with_udp() -> None:
    pair = Pair()
    pair.one.agent.flows = BothWays(ONE)
    pair.one.agent.exchange(request("MESSAGE"), Destination("UDP", *TWO), pair.outcomes.append)
    assert [flow.transport for flow, _ in pair.one.agent.layer.outgoing] == ["UDP"]


def test_a_response_with_a_guessed_branch_goes_nowhere() -> None:
    pair = Pair()
    pair.answers = []
    pair.send()
    forged = pair.two.requests[0].request.reply(200, to_tag="2").encode()
    branch = pair.two.requests[0].request.branch.encode()
    pair.one.agent.receive(forged.replace(branch, branch[:-1] + b"0"), Flow("UDP", ONE, TWO))
    assert pair.outcomes == []


def exchanges() -> int:
    """How many there are in memory."""
    return sum(isinstance(found, Exchange) for found in gc.get_objects())


def test_an_exchange_that_is_over_goes_without_the_garbage_collector() -> None:
    pair = Pair()
    gc.collect()
    gc.disable()
    try:
        before = exchanges()
        pair.one.agent.exchange(request(), pair.flow, pair.outcomes.append)
        pair.wire.deliver()
        assert exchanges() == before + 1
        pair.wire.advance(40.0)
        assert pair.left == 0
        assert exchanges() == before
    finally:
        gc.enable()

"""Whatever becomes of a torture message on its way: no exception, at most one answer, and that a clean one."""

from hypothesis import given, settings
from hypothesis import strategies as st

from opx.sip.flow import Flow
from support.torture import MESSAGES, Subject

NAMES = st.sampled_from(sorted(MESSAGES))
CONTROL = frozenset(range(0x20)) - {0x09} | {0x7F}


def assert_well_behaved(data: bytes) -> None:
    subject = Subject()
    subject.agent.receive(data, subject.flow)
    sent = subject.agent.take_outgoing()
    finals = [answer for _, answer in sent if not answer.startswith(b"SIP/2.0 1")]
    assert len(finals) <= 1
    for flow, answer in sent:
        assert flow == subject.flow
        assert answer.startswith(b"SIP/2.0 ")
        head = answer.partition(b"\r\n\r\n")[0]
        assert all(CONTROL.isdisjoint(line) for line in head.split(b"\r\n"))


@settings(max_examples=400)
@given(NAMES, st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8))
def test_bytes_that_were_turned(name: str, turns: list[tuple[float, int]]) -> None:
    data = bytearray(MESSAGES[name].data)
    for place, value in turns:
        data[int(place * len(data))] = value
    assert_well_behaved(bytes(data))


@settings(max_examples=200)
@given(NAMES, st.floats(0, 1), st.floats(0, 1))
def test_a_piece_that_was_cut_out(name: str, start: float, end: float) -> None:
    data = MESSAGES[name].data
    first, last = sorted((int(start * len(data)), int(end * len(data))))
    assert_well_behaved(data[first:last])
    assert_well_behaved(data[:first] + data[last:])


@settings(max_examples=200)
@given(NAMES, st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 1)), min_size=1, max_size=4))
def test_headers_that_stand_twice_or_elsewhere(name: str, moves: list[tuple[float, float]]) -> None:
    lines = MESSAGES[name].data.split(b"\r\n")
    for source, target in moves:
        lines.insert(1 + int(target * (len(lines) - 1)), lines[int(source * len(lines))])
    assert_well_behaved(b"\r\n".join(lines))


@settings(max_examples=200)
@given(NAMES, NAMES, st.floats(0, 1), st.floats(0, 1))
def test_two_messages_that_were_joined(one: str, other: str, end: float, start: float) -> None:
    first, second = MESSAGES[one].data, MESSAGES[other].data
    assert_well_behaved(first[: int(end * len(first))] + second[int(start * len(second)) :])


@settings(max_examples=100)
@given(st.lists(st.tuples(NAMES, st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=20))
def test_one_after_another_at_the_same_agent(turned: list[tuple[str, float, int]]) -> None:
    subject = Subject()
    for number, (name, place, value) in enumerate(turned):
        data = bytearray(MESSAGES[name].data)
        data[int(place * len(data))] = value
        before = subject.wire.wheel.now
        subject.agent.receive(bytes(data), Flow("UDP", subject.flow.local, ("192.0.2.77", 5000 + number)))
        finals = [sent for _, sent in subject.agent.take_outgoing() if not sent.startswith(b"SIP/2.0 1")]
        assert len(finals) <= 1
        assert subject.wire.wheel.now == before
    subject.wire.wheel.advance(subject.wire.wheel.now + 200)

"""Who may fix a stream's source, and who never may."""

from hypothesis import given
from hypothesis import strategies as st

from opx.gateway.media.latch import Latch, Verdict
from opx.gateway.media.ports import PortPool, slices

HOSTS = st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.3"])
SOURCES = st.tuples(HOSTS, st.integers(1024, 1030))


@given(st.lists(st.tuples(SOURCES, st.floats(0, 30))))
def test_only_the_expected_address_is_learnt_and_nobody_after_it(packets: list[tuple[tuple[str, int], float]]) -> None:
    latch = Latch(10.0)
    latch.expect("192.0.2.1", 0.0)
    first = None
    for source, now in packets:
        verdict = latch.judge(source, now)
        if first is None and source[0] == "192.0.2.1" and now <= 10.0:
            first = source
            assert verdict is Verdict.LEARN
        else:
            assert verdict is (Verdict.PASS if source == first else Verdict.STRANGER)


def test_after_the_window_nothing_is_learnt_until_signalling_says_so_again() -> None:
    latch = Latch(10.0)
    latch.expect("192.0.2.1", 0.0)
    assert latch.judge(("192.0.2.1", 4000), 10.1) is Verdict.STRANGER
    latch.expect("192.0.2.1", 20.0)
    assert latch.judge(("192.0.2.1", 4000), 25.0) is Verdict.LEARN


def test_the_same_address_told_again_keeps_the_latch() -> None:
    latch = Latch(10.0)
    latch.expect("192.0.2.1", 0.0)
    latch.judge(("192.0.2.1", 4000), 1.0)
    latch.expect("192.0.2.1", 100.0)
    assert latch.judge(("192.0.2.1", 4001), 101.0) is Verdict.STRANGER
    assert latch.judge(("192.0.2.1", 4000), 101.0) is Verdict.PASS


def test_another_address_ends_the_latch() -> None:
    latch = Latch(10.0)
    latch.expect("192.0.2.1", 0.0)
    latch.judge(("192.0.2.1", 4000), 1.0)
    latch.expect("192.0.2.2", 2.0)
    assert latch.judge(("192.0.2.1", 4000), 3.0) is Verdict.STRANGER
    assert latch.judge(("192.0.2.2", 5000), 3.0) is Verdict.LEARN


@given(st.integers(1024, 60000), st.integers(3, 400), st.integers(1, 8))
def test_slices_share_the_range_and_no_port(first: int, size: int, workers: int) -> None:
    parts = slices(first, first + size, workers)
    ports = [port for begin, end in parts for port in range(begin, end + 1)]
    assert len(ports) == len(set(ports))
    assert all(begin % 2 == 0 for begin, _ in parts)
    assert all(first <= port <= first + size for port in ports)


def test_a_freed_port_rests_before_it_is_used_again() -> None:
    pool = PortPool(20000, 20003, 5.0)
    first = pool.take(0.0)
    pool.take(0.0)
    pool.give_back(first, 1.0)
    try:
        pool.take(2.0)
    except Exception as error:
        assert "in use" in str(error)
    else:
        raise AssertionError("a resting port was given")
    assert pool.take(6.0) == first

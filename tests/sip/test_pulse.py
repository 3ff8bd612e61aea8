"""When sockets are read: at once while little arrives, by the beat under load."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from opx.sip.transport.pulse import Pulse


class Loop:
    """What a pulse needs of an event loop, turned by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.readers: dict[int, tuple[object, ...]] = {}
        self.due: list[tuple[float, asyncio.Handle]] = []
        self.real = asyncio.new_event_loop()

    def time(self) -> float:
        return self.now

    def add_reader(self, descriptor: int, callback: object, *arguments: object) -> None:
        self.readers[descriptor] = (callback, *arguments)

    def remove_reader(self, descriptor: int) -> None:
        self.readers.pop(descriptor, None)

    def call_later(self, delay: float, callback: object, *arguments: object) -> asyncio.Handle:
        handle = asyncio.Handle(callback, arguments, self.real)  # type: ignore[arg-type]
        self.due.append((self.now + delay, handle))
        return handle

    def call_soon(self, callback: object, *arguments: object) -> asyncio.Handle:
        return self.call_later(0.0, callback, *arguments)

    def ready(self, descriptor: int) -> None:
        callback, *arguments = self.readers[descriptor]
        callback(*arguments)  # type: ignore[operator]

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for at, handle in list(self.due):
            if at <= self.now + 1e-9:
                self.due.remove((at, handle))
                if not handle.cancelled():
                    handle._run()

    @property
    def waiting(self) -> int:
        return sum(not handle.cancelled() for _, handle in self.due)


class Source:
    """Messages that wait at a descriptor."""

    def __init__(self) -> None:
        self.messages = 0
        self.taken: list[int] = []

    def drain(self) -> int:
        count, self.messages = min(self.messages, 4), max(self.messages - 4, 0)
        self.taken.append(count)
        return count


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.real.close()


def made(loop: Loop, sources: int = 1) -> tuple[Pulse, list[Source]]:
    pulse = Pulse(loop, gap=0.01)  # type: ignore[arg-type]
    made = [Source() for _ in range(sources)]
    for descriptor, source in enumerate(made):
        pulse.add(descriptor, source.drain, 4)
    return pulse, made


def arrive(loop: Loop, source: Source, descriptor: int = 0) -> None:
    source.messages += 1
    if descriptor in loop.readers:
        loop.ready(descriptor)


def test_a_lone_message_is_read_at_once(loop: Loop) -> None:
    _, (source,) = made(loop)
    for _ in range(3):
        arrive(loop, source)
        loop.advance(0.02)
    assert source.taken == [1, 1, 1]
    assert not loop.waiting


def test_messages_that_follow_closely_wait_for_the_next_beat_and_are_read_together(loop: Loop) -> None:
    _, (source,) = made(loop)
    for _ in range(4):
        arrive(loop, source)
    assert source.taken == [1]
    loop.advance(0.01)
    assert source.taken == [1, 3]


def test_all_sockets_are_read_by_one_beat(loop: Loop) -> None:
    _, (one, other) = made(loop, 2)
    arrive(loop, one, 0)
    arrive(loop, one, 0)
    arrive(loop, other, 1)
    assert not loop.readers
    loop.advance(0.01)
    assert (one.taken, other.taken) == ([1, 1], [1])


def test_a_beat_that_finds_nothing_is_the_last(loop: Loop) -> None:
    _, (source,) = made(loop)
    arrive(loop, source)
    arrive(loop, source)
    loop.advance(0.01)
    loop.advance(0.01)
    assert source.taken == [1, 1, 0]
    assert list(loop.readers) == [0] and not loop.waiting
    loop.advance(0.01)
    arrive(loop, source)
    assert source.taken[-1] == 1


def test_what_is_left_of_a_full_read_is_not_kept_waiting(loop: Loop) -> None:
    _, (source,) = made(loop)
    arrive(loop, source)
    for _ in range(6):
        arrive(loop, source)
    loop.advance(0.01)
    assert source.taken == [1, 4]
    loop.advance(0.0)
    assert source.taken == [1, 4, 2]


def test_a_source_that_raises_does_not_end_the_beat(loop: Loop) -> None:
    pulse, (source,) = made(loop)
    failed: list[BaseException] = []

    def broken() -> int:
        raise RuntimeError

    pulse.add(7, broken, 1)
    arrive(loop, source)
    arrive(loop, source)
    loop.real.set_exception_handler(lambda _, context: failed.append(context["exception"]))
    loop.advance(0.01)
    assert [type(failure) for failure in failed] == [RuntimeError]
    assert source.taken == [1, 1]
    assert loop.waiting == 1


def test_sources_come_and_go_while_it_beats(loop: Loop) -> None:
    pulse, (source,) = made(loop)
    arrive(loop, source)
    arrive(loop, source)
    late = Source()
    pulse.add(9, late.drain, 4)
    late.messages = 1
    loop.advance(0.01)
    assert late.taken == [1]
    pulse.remove(9)
    pulse.remove(0)
    assert not loop.waiting and not loop.readers


async def test_with_a_gap_of_none_every_message_is_read_at_once() -> None:
    ours, theirs = socket.socketpair()
    taken: list[bytes] = []
    ours.setblocking(False)
    pulse = Pulse(asyncio.get_running_loop(), gap=0.0)

    def drain() -> int:
        taken.append(ours.recv(1))
        return 1

    pulse.add(ours.fileno(), drain, 2)
    theirs.send(b"abc")
    async with asyncio.timeout(5):
        while len(taken) < 3:
            await asyncio.sleep(0)
    pulse.remove(ours.fileno())
    ours.close()
    theirs.close()

"""Loss and jitter as the relay measures them, against what was really lost and late."""

import random
import struct

import pytest

from opx.gateway.media.interface import DirectionStats
from opx.gateway.media.quality import SAMPLE_MASK, StreamMeter

PCMA = 8


class Stream:
    """A sender whose packets a test drops and delays on their way to the meter, as the relay would show them to it."""

    def __init__(self, rate: int = 8000, sequence: int = 0, kind: int = PCMA) -> None:
        self.meter = StreamMeter(DirectionStats())
        self.rate = rate
        self.kind = kind
        self.sequence = sequence
        self.stamp = 4_294_960_000
        self.source = 7
        self.now = 1000.0

    @property
    def stats(self) -> DirectionStats:
        return self.meter.stats

    def send(self, *, arrives: bool = True, delay: float = 0.05, kind: int | None = None) -> None:
        payload_type = self.kind if kind is None else kind
        header = struct.pack("!BBHII", 0x80, payload_type, self.sequence & 0xFFFF, self.stamp, self.source)
        self.sequence += 1
        self.stamp = (self.stamp + self.rate // 50) & 0xFFFFFFFF
        self.now += 0.02
        if arrives:
            self.stats.packets += 1
            if self.stats.packets & SAMPLE_MASK == 1:
                self.meter.look(bytearray(header + bytes(160)), 172, self.now + delay)


def test_a_clean_stream_has_neither_loss_nor_jitter() -> None:
    stream = Stream()
    for _ in range(2000):
        stream.send()
    assert stream.stats.lost == 0
    assert stream.stats.jitter == pytest.approx(0.0, abs=1e-6)
    assert stream.meter.rate == 8000


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("first", [0, 65_500])
def test_loss_is_counted_across_the_end_of_the_sequence_numbers(share: float, first: int) -> None:
    chance = random.Random(4)
    stream = Stream(sequence=first)
    lost = 0
    stream.send()
    for _ in range(3000):
        arrives = chance.random() >= share
        lost += not arrives
        stream.send(arrives=arrives)
    for _ in range(SAMPLE_MASK + 1):
        stream.send()
    assert stream.stats.lost == lost


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_jitter_comes_near_what_a_look_at_each_packet_would_give(rate: int) -> None:
    chance = random.Random(5)
    delays = [0.05 + chance.uniform(0.0, 0.02) for _ in range(6000)]
    stream = Stream(rate, kind=96)
    each = 0.0
    for before, delay in zip([delays[0], *delays], delays, strict=False):
        stream.send(delay=delay)
        each += (abs(delay - before) * 1000 - each) / 16
    # The mean of |a - b| for two delays spread evenly over 20 ms is a third of that.
    assert 4.0 < each < 10.0
    assert 4.0 < stream.stats.jitter < 10.0
    assert stream.meter.rate == rate


def test_key_presses_pauses_and_a_new_source_make_no_jitter_and_no_loss() -> None:
    stream = Stream()
    for turn in range(40):
        for _ in range(50):
            stream.send()
        for _ in range(10):
            stamp = stream.stamp
            stream.send(kind=101)
            stream.stamp = stamp
        stream.now += 30.0
        if turn % 2:
            stream.source += 1
            stream.sequence = turn * 1000
            stream.stamp = turn * 77_777
        else:
            stream.sequence += 20_000
    assert stream.stats.lost == 0
    assert stream.stats.jitter < 20.0


def test_packets_that_overtake_each_other_are_no_loss() -> None:
    stream = Stream()
    for _ in range(100):
        for _ in range(30):
            stream.send()
        stream.sequence -= 2
        stream.send()
        stream.sequence += 1
    assert stream.stats.lost <= 1


def test_a_packet_too_short_for_a_header_is_not_looked_at() -> None:
    stream = Stream()
    stream.meter.look(bytearray(2048), 11, 0.0)
    for _ in range(100):
        stream.send()
    assert stream.stats.lost == 0


def report(kind: int, blocks: int, lost: int, jitter: int) -> bytearray:
    head = struct.pack("!BBHI", 0x80 | blocks, kind, 7, 1) + (bytes(20) if kind == 200 else b"")
    block = struct.pack("!IB", 2, 12) + lost.to_bytes(3, "big", signed=True) + struct.pack("!IIII", 9, jitter, 0, 0)
    return bytearray(head + block * blocks)


@pytest.mark.parametrize("kind", [200, 201])
@pytest.mark.parametrize("lost", [0, 5000, -3])
def test_what_the_far_end_reports_is_taken(kind: int, lost: int) -> None:
    meter = StreamMeter(DirectionStats())
    packet = report(kind, 1, lost, 160)
    meter.report(packet, len(packet), 16000)
    assert (meter.stats.told_lost, meter.stats.told_jitter) == (lost, 10.0)


def test_rtcp_without_a_report_says_nothing() -> None:
    meter = StreamMeter(DirectionStats())
    for packet in (report(201, 0, 0, 0), report(202, 1, 9, 9), report(200, 1, 9, 9)[:40], bytearray(8)):
        meter.report(packet, len(packet), 8000)
    assert (meter.stats.told_lost, meter.stats.told_jitter) == (None, None)

"""RTP for endpoints: codecs, tones, packets, files, and a real exchange."""

import asyncio
import contextlib
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opx.rtp import g711, tones, wav
from opx.rtp.endpoint import RtpEndpoint
from opx.rtp.packets import Packet, Reception
from support.network import LoopbackNetwork
from support.programs import PATIENCE

ENCODINGS = ("PCMU/8000", "PCMA/8000")


@pytest.mark.parametrize(
    ("encoding", "code", "sample"),
    [
        ("PCMU/8000", 0xFF, 0),
        ("PCMU/8000", 0x80, 32124),
        ("PCMU/8000", 0x00, -32124),
        ("PCMA/8000", 0xD5, 8),
        ("PCMA/8000", 0xAA, 32256),
        ("PCMA/8000", 0x2A, -32256),
    ],
)
def test_known_codes_of_g711(encoding: str, code: int, sample: int) -> None:
    assert g711.decode(bytes([code]), encoding)[0] == sample


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_code_comes_back_from_its_sample(encoding: str) -> None:
    # 0x7F and 0xFF of the mu law both mean silence.
    codes = bytes(code for code in range(256) if (encoding, code) != ("PCMU/8000", 0x7F))
    assert g711.encode(g711.decode(codes, encoding), encoding) == codes


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=50))
def test_coding_loses_no_more_than_a_step(encoding: str, samples: list[int]) -> None:
    again = g711.decode(g711.encode(array("h", samples), encoding), encoding)
    for before, after in zip(samples, again, strict=True):
        assert abs(before - after) <= max(16, abs(before) // 16 + 16, abs(before) - 32124)


def test_a_tone_is_told_from_others_and_from_silence() -> None:
    tone = tones.sine(440, 1600)
    assert tones.strength(tone, 440) > 0.99
    assert tones.dominant(tone, (350, 440, 660)) == 440
    assert tones.dominant(tone, (350, 660)) is None
    assert tones.dominant(array("h", bytes(3200)), (440,)) is None


def test_a_tone_goes_on_where_it_was() -> None:
    whole = tones.sine(440, 320)
    assert tones.sine(440, 160) + tones.sine(440, 160, start=160) == whole


@given(st.integers(0, 127), st.integers(0, 65535), st.integers(0, 2**32 - 1), st.binary(max_size=200), st.booleans())
def test_packets_are_written_as_they_are_read(kind: int, sequence: int, stamp: int, data: bytes, mark: bool) -> None:
    packet = Packet(kind, sequence, stamp, 7, data, mark)
    assert Packet.parse(packet.encode()) == packet


@given(st.binary(max_size=40))
def test_nothing_but_a_value_error_comes_of_any_bytes(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        Packet.parse(data)


def test_extensions_contributors_and_padding_are_left_out() -> None:
    head = bytes([0x80 | 0x20 | 0x10 | 1, 0]) + bytes(10) + bytes(4) + b"\xbe\xde\x00\x01abcd"
    assert Packet.parse(head + b"payload" + b"\x00\x00\x03").payload == b"payload"


def test_losses_are_counted_over_the_turn_of_the_sequence_numbers() -> None:
    reception = Reception()
    for index, sequence in enumerate([65533, 65534, 0, 1, 3]):
        reception.note(Packet(0, sequence, index * 160, 7, b""), index * 0.02)
    assert (reception.expected, reception.received, reception.lost) == (7, 5, 2)


def test_even_arrival_has_no_jitter() -> None:
    reception = Reception()
    for index in range(50):
        reception.note(Packet(0, index, index * 160, 7, b""), index * 0.02)
    assert reception.jitter < 0.001


def test_wav_files_hold_what_was_written(tmp_path: Path) -> None:
    samples = tones.sine(440, 800)
    wav.write(tmp_path / "x.wav", samples)
    assert wav.read(tmp_path / "x.wav") == samples
    (tmp_path / "y.wav").write_bytes(b"no wave")
    with pytest.raises(ValueError, match="no WAV file"):
        wav.read(tmp_path / "y.wav")


async def test_two_endpoints_hear_each_other(loopback: LoopbackNetwork) -> None:
    one, two = RtpEndpoint(loopback.at("1.1")), RtpEndpoint(loopback.at("1.2"))
    heard = {one: array("h"), two: array("h")}
    for endpoint, peer, hertz in ((one, two, 440), (two, one, 660)):
        endpoint.connect((peer.rtp.getsockname()[0], peer.port), "PCMA/8000", 8)
        endpoint.sink = heard[endpoint].extend
        endpoint.play(lambda position, hertz=hertz: tones.sine(hertz, 160, start=position))  # type: ignore[misc]
    async with asyncio.timeout(PATIENCE):
        while min(map(len, heard.values())) < 1600:
            await asyncio.sleep(0.01)
    one.close()
    two.close()
    assert tones.dominant(heard[one], (440, 660)) == 660
    assert tones.dominant(heard[two], (440, 660)) == 440

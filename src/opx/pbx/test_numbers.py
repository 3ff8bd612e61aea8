"""The media of the node's test numbers: an echo, and a tone of 1004 Hz at one milliwatt."""

from __future__ import annotations

import secrets
from array import array

from opx import sdp
from opx.rtp import tones
from opx.rtp.endpoint import RtpEndpoint

MILLIWATT_HERTZ = 1004.0
"""The telephone trade's test frequency."""
MILLIWATT_LEVEL = 0.7
"""0 dBm0 is about 3 dB below G.711's full scale."""


class TestNumber:
    """One call to a test number; plays the milliwatt unless it is an echo."""

    __test__ = False

    def __init__(self, address: str, ports: tuple[int, int], *, echo: bool) -> None:
        self._address = address
        self._endpoint = RtpEndpoint(address, ports)
        self._endpoint.echo = echo
        self._origin = secrets.randbits(31)
        self._version = 0
        self._ours: sdp.SessionDescription | None = None

    def answer(self, offer: bytes) -> bytes:
        origin = sdp.Origin.of(self._address, self._origin, self._version)
        self._version += 1
        if not offer:
            self._ours = sdp.offer(self._address, self._endpoint.port, origin=origin)
            return sdp.encode(self._ours)
        offered = sdp.parse(offer)
        answer = sdp.answer(offered, self._address, self._endpoint.port, origin=origin)
        self._start(answer, offered)
        return sdp.encode(answer)

    def answered(self, description: bytes) -> None:
        if self._ours is not None:
            self._start(self._ours, sdp.parse(description))

    def close(self) -> None:
        self._endpoint.close()

    def _start(self, ours: sdp.SessionDescription, theirs: sdp.SessionDescription) -> None:
        agreed = sdp.agree(ours, theirs)
        self._endpoint.connect(agreed.remote, agreed.encoding, agreed.payload)
        self._endpoint.sending = agreed.direction.sends
        if not self._endpoint.echo:
            self._endpoint.play(_milliwatt)


def _milliwatt(position: int) -> array[int]:
    return tones.sine(MILLIWATT_HERTZ, 160, start=position, level=MILLIWATT_LEVEL)

"""The media of calls that the node answers itself: an echo, or a tone."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from opx import sdp
from opx.rtp.endpoint import RtpEndpoint
from opx.rtp.tones import Tone


class LocalMedia:
    """One call's RTP endpoint; sends back what it hears when it is an echo, else the last tone it was told to play."""

    def __init__(self, address: str, ports: tuple[int, int], *, tone: Tone | None = None, echo: bool = False) -> None:
        self.on_digit: Callable[[str], None] = lambda digit: None
        self._address = address
        self._endpoint = RtpEndpoint(address, ports)
        self._endpoint.echo = echo
        self._endpoint.on_key = lambda key: self.on_digit(key)
        self._tone = tone
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

    def play(self, tone: Tone) -> None:
        self._tone = tone
        self._endpoint.play(tone.samples)

    def close(self) -> None:
        self._endpoint.close()

    def _start(self, ours: sdp.SessionDescription, theirs: sdp.SessionDescription) -> None:
        agreed = sdp.agree(ours, theirs)
        self._endpoint.connect(
            agreed.remote, agreed.encoding, agreed.payload, events=agreed.events, own_events=agreed.own_events
        )
        self._endpoint.sending = agreed.direction.sends
        if self._tone is not None:
            self._endpoint.play(self._tone.samples)

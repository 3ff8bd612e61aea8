"""What a call sounds like: its RTP endpoint, and the descriptions that say where it is."""

from __future__ import annotations

import secrets
from array import array
from collections.abc import Callable
from dataclasses import dataclass

from opx import sdp
from opx.rtp.endpoint import RtpEndpoint

Source = Callable[[int], "array[int]"]


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """`source` is what is played; None: silence is not sent. `max_heard` bounds a recording, in samples."""

    local: str
    ports: tuple[int, int] = (20000, 20498)
    source: Source | None = None
    max_heard: int = 8000 * 3600


class PhoneMedia:
    """One call's. `heard` is what came in, as PCM at 8 kHz; `holding` says that we keep the other end on hold."""

    def __init__(self, settings: MediaSettings, on_key: Callable[[str], None]) -> None:
        self.heard: array[int] = array("h")
        self.holding = False
        self.endpoint = RtpEndpoint(settings.local, settings.ports)
        self.endpoint.on_key = on_key
        self.endpoint.sink = self._hear
        self._settings = settings
        self._origin = secrets.randbits(31)
        self._version = 0
        self._offer: sdp.SessionDescription | None = None

    def offer(self) -> bytes:
        """An offer of ours; `accepted` gets its answer."""
        direction = sdp.Direction.SENDONLY if self.holding else sdp.Direction.SENDRECV
        self._offer = sdp.offer(
            self._settings.local, self.endpoint.port, origin=self._next_origin(), direction=direction
        )
        return sdp.encode(self._offer)

    def answer(self, offer: bytes) -> bytes:
        """The answer to an offer, or to none our offer. ValueError when it cannot be used."""
        if not offer:
            return self.offer()
        offered = sdp.parse(offer)
        direction = sdp.Direction.SENDONLY if self.holding else sdp.Direction.SENDRECV
        answer = sdp.answer(
            offered, self._settings.local, self.endpoint.port, origin=self._next_origin(), direction=direction
        )
        self._start(answer, offered)
        return sdp.encode(answer)

    def accepted(self, answer: bytes) -> None:
        """The other end's answer to our offer. ValueError when it cannot be used."""
        if self._offer is not None:
            self._start(self._offer, sdp.parse(answer))

    def close(self) -> None:
        self.endpoint.close()

    def _start(self, ours: sdp.SessionDescription, theirs: sdp.SessionDescription) -> None:
        agreed = sdp.agree(ours, theirs)
        self.endpoint.connect(
            agreed.remote, agreed.encoding, agreed.payload, events=agreed.events, own_events=agreed.own_events
        )
        # Whoever holds has the right to send, and sends nothing.
        self.endpoint.sending = agreed.direction.sends and not self.holding
        if self._settings.source is not None:
            self.endpoint.play(self._settings.source)

    def _hear(self, samples: array[int]) -> None:
        if len(self.heard) < self._settings.max_heard:
            self.heard.extend(samples)

    def _next_origin(self) -> sdp.Origin:
        self._version += 1
        return sdp.Origin.of(self._settings.local, self._origin, self._version)


def puts_on_hold(description: bytes) -> bool:
    """Whether an offer keeps us from hearing or being heard. ValueError when it cannot be read."""
    audio = sdp.parse(description).audio
    return audio is not None and audio.held

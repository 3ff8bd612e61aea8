"""An RTP endpoint: sends a frame every 20 ms from a source and hands what comes to a sink."""

from __future__ import annotations

import asyncio
import random
import socket
from array import array
from collections.abc import Callable

from opx.rtp import g711
from opx.rtp.packets import Packet, Reception
from opx.rtp.telephone_events import KeyReceiver, KeySender

FRAME_SAMPLES = 160
FRAME_SECONDS = 0.02
PORT_TRIES = 64

Address = tuple[str, int]
Source = Callable[[int], "array[int]"]
"""Gives the samples from number n on, FRAME_SAMPLES of them."""
Sink = Callable[["array[int]"], None]


class RtpEndpoint:
    """Bound to an even port of `local` with RTCP's beside it. `play` and `stop_playing` as the call goes.

    `echo` sends every packet's audio back instead of playing. `on_key` hears of every key that the other end presses.
    """

    def __init__(self, local: str, ports: tuple[int, int] = (20000, 20498)) -> None:
        self._loop = asyncio.get_running_loop()
        self.rtp, self.rtcp = _bind_pair(local, ports)
        self.port: int = self.rtp.getsockname()[1]
        self.remote: Address | None = None
        self.encoding = "PCMU/8000"
        self.payload_type = 0
        self.sending = True
        self.echo = False
        self.sink: Sink | None = None
        self.on_key: Callable[[str], None] | None = None
        self.reception = Reception()
        self.sent = 0
        self._source: Source | None = None
        self._events: int | None = None
        self._own_events: int | None = None
        self._keys = KeySender()
        self._heard_keys = KeyReceiver()
        self._sequence = random.randrange(0x10000)
        self._timestamp = random.randrange(0x100000000)
        self._ssrc = random.randrange(0x100000000)
        self._position = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._loop.add_reader(self.rtp.fileno(), self._on_readable)
        self._loop.add_reader(self.rtcp.fileno(), self._on_rtcp)

    def connect(
        self,
        remote: Address,
        encoding: str,
        payload_type: int,
        *,
        events: int | None = None,
        own_events: int | None = None,
    ) -> None:
        """Where packets go and what they hold, as the descriptions agreed.

        `events` is the payload type that the other end wants for telephone events, `own_events` ours; None: it takes
        none.
        """
        self.remote = remote
        self.encoding = encoding
        self.payload_type = payload_type
        self._events = events
        self._own_events = own_events

    @property
    def sends_keys(self) -> bool:
        """Whether the other end takes telephone events."""
        return self._events is not None

    def press(self, keys: str) -> None:
        """Send keys as telephone events, one after the other; the audio waits meanwhile.

        ValueError when one is no key, or the other end takes no telephone events.
        """
        if self._events is None:
            raise ValueError("the other end takes no telephone events")
        self._keys.press(keys)
        self._start_ticking()

    def play(self, source: Source) -> None:
        """Send from `source`, until stopped or closed; goes on where it was when called again."""
        self._source = source
        self._start_ticking()

    def _start_ticking(self) -> None:
        if self._timer is None:
            self._due = self._loop.time()
            self._tick()

    def stop_playing(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        self.stop_playing()
        for sock in (self.rtp, self.rtcp):
            if sock.fileno() >= 0:
                self._loop.remove_reader(sock.fileno())
                sock.close()

    def _tick(self) -> None:
        # By the schedule and not by the delay, so that lateness does not add up.
        self._due += FRAME_SECONDS
        self._timer = self._loop.call_at(self._due, self._tick)
        if self._keys.busy and self._events is not None:
            self._send_key(self._events)
        elif self._source is not None and self.remote is not None and self.sending:
            self._send(g711.encode(self._source(self._position), self.encoding))
        self._position += FRAME_SAMPLES

    def _send(self, payload: bytes) -> None:
        self._send_packet(self.payload_type, self._timestamp, payload, marker=self.sent == 0)
        self._timestamp = (self._timestamp + len(payload)) & 0xFFFFFFFF

    def _send_key(self, events: int) -> None:
        frame = self._keys.next_frame()
        if frame is not None:
            # All packets of one key carry the time at which it went down.
            went_down = (self._timestamp - frame.start * FRAME_SAMPLES) & 0xFFFFFFFF
            self._send_packet(events, went_down, frame.event.encode(), marker=frame.first)
        self._timestamp = (self._timestamp + FRAME_SAMPLES) & 0xFFFFFFFF

    def _send_packet(self, payload_type: int, timestamp: int, payload: bytes, *, marker: bool) -> None:
        packet = Packet(payload_type, self._sequence, timestamp, self._ssrc, payload, marker)
        self._sequence = (self._sequence + 1) & 0xFFFF
        if self.remote is not None:
            try:
                self.rtp.sendto(packet.encode(), self.remote)
                self.sent += 1
            except OSError:
                # Lost like any datagram; an ICMP error of an earlier one shows up here too.
                return

    def _on_readable(self) -> None:
        while True:
            try:
                data, _ = self.rtp.recvfrom(2048)
            except BlockingIOError:
                return
            except OSError:
                continue
            try:
                packet = Packet.parse(data)
            except ValueError:
                continue
            if packet.payload_type != self.payload_type:
                self._note_key(packet)
                continue
            self.reception.note(packet, self._loop.time())
            if self.echo:
                self._send(packet.payload)
            if self.sink is not None:
                self.sink(g711.decode(packet.payload, self.encoding))

    def _note_key(self, packet: Packet) -> None:
        if self.on_key is None or packet.payload_type not in (self._events, self._own_events):
            return
        try:
            key = self._heard_keys.note(packet)
        except ValueError:
            return
        if key is not None:
            self.on_key(key)

    def _on_rtcp(self) -> None:
        while True:
            try:
                self.rtcp.recvfrom(2048)
            except BlockingIOError:
                return
            except OSError:
                continue


def _bind_pair(local: str, ports: tuple[int, int]) -> tuple[socket.socket, socket.socket]:
    """Sockets on a free even port and the next. OSError when none was found."""
    first, last = ports
    candidates = list(range(first + first % 2, last, 2))
    for port in random.sample(candidates, min(PORT_TRIES, len(candidates))):
        rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            rtp.bind((local, port))
            rtcp.bind((local, port + 1))
        except OSError:
            rtp.close()
            rtcp.close()
            continue
        for sock in (rtp, rtcp):
            sock.setblocking(False)
        return rtp, rtcp
    raise OSError(f"no free RTP port on {local} between {first} and {last}")

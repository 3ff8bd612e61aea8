"""The media of one call as signalling deals with it: the relay's ports, and descriptions built anew for each side."""

from collections.abc import Callable
from typing import Protocol

from opx.gateway.media.interface import RelayPorts, Side
from opx.sdp import AttributePolicy, Origin, SessionDescription, encode, parse, rebuild
from opx.sip.entropy import random_bytes

Address = tuple[str, int]


class MediaDesk(Protocol):
    """The relay, asked without waiting. Orders of one call are carried out in the order given."""

    def open(self, call_id: str, on_open: Callable[[RelayPorts | None], None]) -> None: ...
    def connect(self, call_id: str, side: Side, expected: str | None, hint: Address | None) -> None: ...
    def relatch(self, call_id: str, side: Side) -> None: ...
    def hold(self, call_id: str, on: bool) -> None: ...
    def close(self, call_id: str) -> None: ...


class CallMedia:
    """`addresses` are what each side is told to send to: the gateway's own on that side."""

    def __init__(self, desk: MediaDesk, call_id: str, addresses: dict[Side, str], policy: AttributePolicy) -> None:
        self._desk = desk
        self._call_id = call_id
        self._addresses = addresses
        self._policy = policy
        self._ports: RelayPorts | None = None
        self._signalled: str | None = None
        self._sent: dict[Side, SessionDescription] = {}
        self._versions = {Side.SET: 0, Side.ICP: 0}
        self._ids = {
            Side.SET: int.from_bytes(random_bytes(4)) >> 1,
            Side.ICP: int.from_bytes(random_bytes(4)) >> 1,
        }
        self._held: dict[Side, bool] = {}
        self._hold = False

    @property
    def ports(self) -> RelayPorts | None:
        """The relay's ports for this call, None while it has none."""
        return self._ports

    @property
    def held(self) -> bool:
        return self._hold

    @property
    def codec(self) -> str:
        """The audio encoding that both sides last described, such as "PCMA/8000"; "" when nothing was agreed on."""
        offered = [_encodings(self._sent[side]) for side in _BOTH if side in self._sent]
        return next((codec for codec in offered[0] if codec in offered[-1]), "") if offered else ""

    def address(self, side: Side) -> Address | None:
        """Where a side is told to send its audio."""
        return (self._addresses[side], self._ports.of(side)) if self._ports is not None else None

    def open(self, on_ready: Callable[[bool], None]) -> None:
        """Get ports, which stay the same for the whole call; False when there are none."""

        def opened(ports: RelayPorts | None) -> None:
            self._ports = ports
            on_ready(ports is not None)

        self._desk.open(self._call_id, opened)

    def set_side_is_at(self, address: str) -> None:
        """The address that the set's signalling comes from: the only one whose media is let in."""
        if self._signalled is not None and address != self._signalled:
            self._desk.relatch(self._call_id, Side.SET)
        self._signalled = address

    def translate(self, side: Side, sdp: bytes) -> bytes:
        """A description that came from `side`, as the other side gets it; b"" stays b"". SdpError when it is none.

        Nothing of the original survives but what the policy lets through; address and port are the gateway's.
        """
        if not sdp or self._ports is None:
            return b""
        description = parse(sdp)
        rebuilt = self._rebuild(description, side.other)
        self._tell_relay(side, description)
        return rebuilt

    def close(self) -> None:
        self._desk.close(self._call_id)

    def _tell_relay(self, side: Side, description: SessionDescription) -> None:
        audio = description.audio
        if audio is None or audio.port == 0:
            return
        held = not (audio.direction.sends and audio.direction.receives) or audio.address == "0.0.0.0"
        if side is Side.SET:
            # What the set says of its address is worth nothing behind NAT, and must not steer our packets anywhere.
            self._desk.connect(self._call_id, Side.SET, self._signalled, None)
        elif audio.address and audio.address != "0.0.0.0":
            self._desk.connect(self._call_id, Side.ICP, audio.address, (audio.address, audio.port))
        self._held[side] = held
        on = any(self._held.values())
        if on or self._hold:
            # A call begins without, and most never hold: that need not be said.
            self._hold = on
            self._desk.hold(self._call_id, on)

    def _rebuild(self, description: SessionDescription, to: Side) -> bytes:
        assert self._ports is not None
        address = self._addresses[to]
        port = self._ports.set_side_port if to is Side.SET else self._ports.icp_side_port
        origin = Origin.of(address, self._ids[to], self._versions[to])
        rebuilt = rebuild(description, address=address, port=port, origin=origin, policy=self._policy)
        previous = self._sent.get(to)
        if previous is not None and rebuilt != previous:
            self._versions[to] += 1
            origin = Origin.of(address, self._ids[to], self._versions[to])
            rebuilt = rebuild(description, address=address, port=port, origin=origin, policy=self._policy)
        self._sent[to] = rebuilt
        return encode(rebuilt)


STATIC_ENCODINGS = {"0": "PCMU/8000", "3": "GSM/8000", "8": "PCMA/8000", "9": "G722/8000", "18": "G729/8000"}
"""Payload types that need no rtpmap (RFC 3551 section 6)."""
_BOTH = (Side.SET, Side.ICP)
_NO_SPEECH = frozenset(("telephone-event", "cn", "red"))


def _encodings(description: SessionDescription) -> list[str]:
    audio = description.audio
    if audio is None or audio.port == 0:
        return []
    maps = audio.rtpmaps()
    named = [maps.get(payload) or STATIC_ENCODINGS.get(payload, f"payload type {payload}") for payload in audio.formats]
    return [name for name in named if name.partition("/")[0].lower() not in _NO_SPEECH]

"""rtpengine driven by its ng control protocol: bencoded dictionaries over UDP, each behind a cookie."""

import secrets
import socket
from typing import Any

from opx import sdp

Address = tuple[str, int]
Value = str | int | bytes | list[Any] | dict[str, Any]


def bencode(value: Value) -> bytes:
    match value:
        case int():
            return b"i%de" % value
        case str():
            return bencode(value.encode())
        case bytes():
            return b"%d:%s" % (len(value), value)
        case list():
            return b"l" + b"".join(map(bencode, value)) + b"e"
        case dict():
            return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"


def bdecode(data: bytes) -> dict[str, Any]:
    """A dictionary whose strings are bytes. ValueError for anything else."""
    value, rest = _decode(data)
    if rest or not isinstance(value, dict):
        raise ValueError("no bencoded dictionary")
    return value


def _decode(data: bytes) -> tuple[Any, bytes]:
    kind = data[:1]
    if kind == b"i":
        number, _, rest = data[1:].partition(b"e")
        return int(number), rest
    if kind in (b"l", b"d"):
        items = []
        rest = data[1:]
        while rest[:1] != b"e":
            item, rest = _decode(rest)
            items.append(item)
        if kind == b"l":
            return items, rest[1:]
        return {key.decode(): value for key, value in zip(items[::2], items[1::2], strict=True)}, rest[1:]
    length, _, rest = data.partition(b":")
    return rest[: int(length)], rest[int(length) :]


class Rtpengine:
    """Asks a running rtpengine at `control` for calls between its interfaces "out" and "in"."""

    def __init__(self, control: Address) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((control[0], 0))
        self._socket.settimeout(5.0)
        self._control = control

    def close(self) -> None:
        self._socket.close()

    def ping(self) -> bool:
        try:
            return bool(self._ask({"command": "ping"})["result"] == b"pong")
        except OSError:
            return False

    def open(self, call_id: str, phone: Address, pbx: Address) -> tuple[int, int]:
        """A call between the two; returns the ports for the phone and for the PBX."""
        common: dict[str, Any] = {"call-id": call_id, "from-tag": "f", "replace": ["origin"], "ICE": "remove"}
        inside = self._sdp({**common, "command": "offer", "direction": ["out", "in"], "sdp": _description(phone)})
        outside = self._sdp({**common, "command": "answer", "to-tag": "t", "sdp": _description(pbx)})
        return outside, inside

    def _sdp(self, request: dict[str, Any]) -> int:
        answer = self._ask(request)
        if answer.get("result") != b"ok":
            raise ValueError(f"rtpengine refuses: {answer}")
        audio = sdp.parse(answer["sdp"]).audio
        if audio is None:
            raise ValueError("rtpengine gives no audio stream")
        return audio.port

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        cookie = secrets.token_hex(4).encode()
        self._socket.sendto(cookie + b" " + bencode(request), self._control)
        answer = self._socket.recv(65535)
        return bdecode(answer.partition(b" ")[2])


def _description(address: Address) -> bytes:
    return sdp.encode(sdp.offer(address[0], address[1], origin=sdp.Origin.of(address[0], 1, 1)))

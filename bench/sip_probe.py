"""Asks a SIP server for its delay with OPTIONS, and tells that delay from the slowness of whoever asks.

The kernel stamps each answer on its arrival (SO_TIMESTAMPNS); how late the probe itself comes to read it, because the
load takes the processor from it, is counted apart.
"""

import select
import socket
import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

SO_TIMESTAMPNS = 35
"""Linux; also the type of the control message that carries the stamp, a struct timespec."""
_TIMESPEC = struct.Struct("qq")
INTERVAL = 0.02
"""Seconds between two questions."""

OPTIONS = """OPTIONS sip:{server} SIP/2.0\r
Via: SIP/2.0/UDP {local};branch=z9hG4bKprobe{number};rport\r
Max-Forwards: 70\r
From: <sip:probe@{local}>;tag=probe\r
To: <sip:{server}>\r
Call-ID: probe{number}\r
CSeq: 1 OPTIONS\r
Content-Length: 0\r
\r
"""


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds, ascending: until an answer arrived, and until the probe had read it. `lost`: without an answer."""

    arrived: Sequence[float]
    read: Sequence[float]
    lost: int


def at(values: Sequence[float], part: float) -> float:
    """The value that `part` of the ascending values do not exceed, NaN without values."""
    return values[min(len(values) - 1, int(part * len(values)))] if values else float("nan")


class Probe:
    """Asks `server` from `local` as long as the context lasts; `delays` is for afterwards."""

    def __init__(self, server: tuple[str, int], local: str) -> None:
        self._server = server
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.bind((local, 0))
        self._socket.setblocking(False)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._sent: dict[int, int] = {}
        self._arrived: list[float] = []
        self._read: list[float] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()

    @property
    def delays(self) -> Delays:
        return Delays(sorted(self._arrived), sorted(self._read), len(self._sent))

    def _run(self) -> None:
        number = 0
        due = time.monotonic()
        while not self._over.is_set():
            number += 1
            host, port = self._socket.getsockname()
            text = OPTIONS.format(server=f"{self._server[0]}:{self._server[1]}", local=f"{host}:{port}", number=number)
            self._sent[number] = time.clock_gettime_ns(time.CLOCK_REALTIME)
            self._socket.sendto(text.encode(), self._server)
            due += INTERVAL
            while (left := due - time.monotonic()) > 0:
                self._take(left)
        self._take(1.0)

    def _take(self, patience: float) -> None:
        """Read what is there, waiting for the first answer no longer than `patience` seconds."""
        if not select.select([self._socket], [], [], patience)[0]:
            return
        while True:
            try:
                data, control, _, _ = self._socket.recvmsg(4096, 64)
            except BlockingIOError:
                return
            now = time.clock_gettime_ns(time.CLOCK_REALTIME)
            sent = self._sent.pop(int(data.partition(b"Call-ID: probe")[2].partition(b"\r")[0] or 0), None)
            if sent is None:
                continue
            for level, kind, stamp in control:
                if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                    seconds, nanoseconds = _TIMESPEC.unpack_from(stamp)
                    self._arrived.append((seconds * 10**9 + nanoseconds - sent) / 1e9)
            self._read.append((now - sent) / 1e9)

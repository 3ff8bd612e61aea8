"""Loopback networks that belong to one test at a time, also between runs that go on side by side."""

import random
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

SENTINEL_PORT = 40009
"""Whoever has this UDP port of a network's last address bound owns the network."""
FREE_PORTS = range(10_000, 32_000)
"""Below what Linux gives to sockets that ask for no port."""
_given: set[int] = set()

LISTENING = "0A"
"""TCP's state in /proc/net/tcp."""


@dataclass
class LoopbackNetwork:
    """127.x.0.0/16; `at("10.1")` is 127.x.10.1."""

    base: str
    _sentinel: socket.socket

    def at(self, rest: str) -> str:
        return f"{self.base}.{rest}"

    def release(self) -> None:
        self._sentinel.close()


def claim_network() -> LoopbackNetwork:
    """A network that nobody else holds."""
    candidates = list(range(2, 255))
    random.shuffle(candidates)
    for number in candidates:
        sentinel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sentinel.bind((f"127.{number}.255.254", SENTINEL_PORT))
        except OSError:
            sentinel.close()
            continue
        if _sockets_in(number) == 1:
            return LoopbackNetwork(f"127.{number}", sentinel)
        sentinel.close()
    raise RuntimeError("all loopback networks are in use")


def _sockets_in(number: int) -> int:
    """UDP sockets bound to addresses of 127.<number>, and TCP sockets that listen there; a program of a run that was
    killed may still have some."""
    rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    rows += [
        row for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if (row := line.split())[3] == LISTENING
    ]
    texts = (row[1].partition(":")[0] for row in rows)
    return sum(1 for text in texts if int(text, 16).to_bytes(4, sys.byteorder)[:2] == bytes((127, number)))


def free_port(address: str) -> int:
    """A port that is free for UDP and TCP at this moment, for programs that cannot pick one by themselves.

    None that the kernel gives to outgoing connections, and none that was given here before: the program binds it later.
    """
    while True:
        port = random.choice(FREE_PORTS)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram, socket.socket() as stream:
            try:
                datagram.bind((address, port))
                stream.bind((address, port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port

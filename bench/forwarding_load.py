"""Load for the forwarding bench: `python forwarding_load.py ROLE ...`, each role in a network namespace of its own.

Sockets block and processes are many: of all ways to make connections in Python this one costs the least itself.
"""

import os
import signal
import socket
import sys
import threading
import time

from opx.parent import end_with_parent

CHUNK = 256 * 1024
REQUEST, ANSWER = b"?" * 100, b"!" * 100
WARM_UP = 0.3
"""Seconds in which a connecting client is not counted."""
SERVERS = 4
"""Processes that answer."""


def swallow(address: str, port: int, streams: int) -> None:
    """Take so many streams and say how many bytes came in how many seconds, from the first to the last."""
    taken = [0] * streams
    times: list[float] = []

    def take(index: int, one: socket.socket) -> None:
        buffer = bytearray(CHUNK)
        while got := one.recv_into(buffer):
            if not taken[index]:
                times.append(time.monotonic())
            taken[index] += got
        times.append(time.monotonic())

    with socket.create_server((address, port)) as listener:
        print("ready", flush=True)
        threads = []
        for index in range(streams):
            threads.append(threading.Thread(target=take, args=(index, listener.accept()[0])))
            threads[-1].start()
        for thread in threads:
            thread.join()
    print(sum(taken), max(times) - min(times), flush=True)


def pour(address: str, port: int, streams: int, seconds: float) -> None:
    """Fill so many streams for so long; says so when all of them came to their end."""

    filled: list[bool] = []

    def fill() -> None:
        data = bytes(CHUNK)
        with socket.create_connection((address, port), timeout=10) as one:
            one.settimeout(None)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                one.sendall(data)
        filled.append(True)

    threads = [threading.Thread(target=fill) for _ in range(streams)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(filled) == streams:
        print("done", flush=True)


def answer(address: str, port: int) -> None:
    """One request and one answer a connection, until it is killed."""
    listener = socket.create_server((address, port), backlog=4096)
    for _ in range(SERVERS):
        if os.fork() == 0:
            end_with_parent()
            while True:
                one, _ = listener.accept()
                if one.recv(1024):
                    one.send(ANSWER)
                one.close()
    print("ready", flush=True)
    signal.pause()


def connect(address: str, port: int, clients: int, seconds: float) -> None:
    """Connect one time after the other, in so many processes at once.

    Says how often a second, how many failed, and how many there were with those of the warm-up.
    """
    reading, writing = os.pipe()
    for _ in range(clients):
        if os.fork() == 0:
            end_with_parent()
            os.write(writing, b"%d %d %d\n" % _connecting(address, port, seconds))
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as counts:
        done, failed, total = map(sum, zip(*(map(int, line.split()) for line in counts), strict=True))
    print(done / seconds, failed, total, flush=True)


def _connecting(address: str, port: int, seconds: float) -> tuple[int, int, int]:
    done = failed = total = 0
    start = time.monotonic() + WARM_UP
    end = start + seconds
    while (now := time.monotonic()) < end:
        one = socket.socket()
        try:
            one.settimeout(5)
            one.connect((address, port))
            one.send(REQUEST)
            good = one.recv(1024) == ANSWER and one.recv(1024) == b""
        except OSError:
            good = False
        one.close()
        total += 1
        if now >= start:
            done += good
            failed += not good
    return done, failed, total


def main() -> None:
    end_with_parent()
    role, address, port, *rest = sys.argv[1:]
    match role:
        case "swallow":
            swallow(address, int(port), int(rest[0]))
        case "pour":
            pour(address, int(port), int(rest[0]), float(rest[1]))
        case "answer":
            answer(address, int(port))
        case "connect":
            connect(address, int(port), int(rest[0]), float(rest[1]))


if __name__ == "__main__":
    main()

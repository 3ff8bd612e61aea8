"""A forwarding worker: an engine in a process of its own, so that no amount of traffic delays a call.

Started by `driver` with a listening Unix socket, by which the gateway gives its orders. It outlives a gateway that dies
and goes on forwarding until the next one takes it over, or for `outlive` seconds at most.
"""

import contextlib
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from types import TracebackType
from typing import Any

from opx.gateway.forwarding.rules import Protocol
from opx.gateway.forwarding.userspace.engine import Engine
from opx.gateway.forwarding.userspace.wire import (
    EnginePolicy,
    Lines,
    Message,
    asked_of,
    by_text,
    encode,
    hello,
    policy_of,
    route_dict,
    wanted_of,
)

READ = 64 * 1024
NICENESS = 5
"""Behind signalling and media, which have little to do and should never wait for a firmware download."""
COLLECT_AFTER = 100_000
"""Objects: an ended connection leaves no cycle, so that walks of the collector find next to nothing."""


class Link:
    """The connection to a gateway."""

    def __init__(self, engine: Engine, sock: socket.socket, orders: "Control") -> None:
        sock.setblocking(False)
        self._loop = engine.loop
        self._socket = sock
        self._orders = orders
        self._lines = Lines()
        self._unsent = b""
        self._loop.add(sock.fileno(), select.EPOLLIN | select.EPOLLOUT | select.EPOLLET, self._on_bits)

    def send(self, message: Message) -> None:
        self._unsent += encode(message)
        self._flush()

    def close(self) -> None:
        self._loop.forget(self._socket.fileno())
        self._socket.close()

    def _on_bits(self, bits: int) -> None:
        try:
            self._flush()
            while data := self._socket.recv(READ):
                for message in self._lines.feed(data):
                    self._orders.carry_out(message, self)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            pass
        self._orders.hung_up(self)

    def _flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]


class Control:
    """Takes one gateway at a time; a new one takes over from the one before."""

    def __init__(self, engine: Engine, listener: socket.socket, policy: EnginePolicy) -> None:
        self._engine = engine
        self._listener = listener
        self._policy = policy
        self._link: Link | None = None
        self._alone_since = engine.loop.now
        listener.setblocking(False)
        # The kernel tells whoever connects the process that listened: from here on it is this one.
        listener.listen()
        engine.loop.add(listener.fileno(), select.EPOLLIN, self._accept)
        engine.on_tick = self._on_tick

    def carry_out(self, message: Message, link: Link) -> None:
        answer: Message = {"id": message["id"]}
        try:
            answer["result"] = self._perform(message)
        except (KeyError, TypeError, ValueError) as error:
            answer["error"] = f"{type(error).__name__}: {error}"
        with contextlib.suppress(OSError):
            link.send(answer)

    def hung_up(self, link: Link) -> None:
        link.close()
        if link is self._link:
            self._link = None
            self._alone_since = self._engine.loop.now

    def tell(self, message: Message) -> None:
        """To the gateway, if there is one."""
        if self._link is not None:
            with contextlib.suppress(OSError):
                self._link.send(message)

    def _perform(self, message: Message) -> Any:
        engine = self._engine
        match message["op"]:
            case "hello":
                return hello(self._policy)
            case "apply":
                return by_text(engine.apply(wanted_of(message["routes"])))
            case "in force":
                return by_text({key: route_dict(route) for key, route in engine.in_force().items()})
            case "traffic":
                return by_text({key: asdict(one) for key, one in engine.traffic().items()})
            case "origins":
                found = engine.origins(Protocol(message["protocol"]), asked_of(message["asked"]))
                return [[asdict(one) for one in place] for place in found]
            case "end":
                engine.loop.stop()
                return None
            case unknown:
                raise ValueError(f"unknown order {unknown}")

    def _accept(self, bits: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        if self._link is not None:
            self._link.close()
        self._link = Link(self._engine, sock, self)

    def _on_tick(self) -> None:
        if self._link is None and self._engine.loop.now - self._alone_since > self._policy.outlive:
            self._engine.loop.stop()


def run(policy: EnginePolicy, listener: socket.socket) -> None:
    """Until it is told to end, or is left alone for too long."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    engine = Engine(policy)
    control = Control(engine, listener, policy)
    sys.excepthook = _tell_failure(control)
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 50, 50)
    try:
        engine.loop.run()
    finally:
        engine.close()


def _tell_failure(
    control: Control,
) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    """By the link, for it has no output: whoever reads the gateway's would else wait for it after the gateway's end."""

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        control.tell({"event": "failed", "text": "".join(traceback.format_exception(kind, error, trace))})

    return tell


def main() -> None:
    """`worker FD POLICY`: the descriptor of the listening Unix socket, and the policy as JSON."""
    # Ctrl-C reaches the whole process group; the worker ends when the gateway says so.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    descriptor, text = sys.argv[1:3]
    policy = policy_of(json.loads(text))
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    run(policy, socket.socket(fileno=int(descriptor)))


if __name__ == "__main__":
    main()

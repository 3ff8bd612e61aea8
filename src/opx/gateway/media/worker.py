"""A media worker: the userspace driver in a process of its own, so that no page or call set-up delays a packet.

Started by `client.WorkerPool` with a connected Unix socket as its only link; it ends when that closes.
"""

import asyncio
import gc
import json
import signal
import socket
import sys

import uvloop

from opx.gateway.media.interface import RelayPolicy, RelayPorts, RelayStats, Side
from opx.gateway.media.userspace import UserspaceDriver
from opx.gateway.media.wire import Link, Message
from opx.sip.transport.pulse import Pulse


class WorkerServer:
    """Carries out the orders that come over a link, in order."""

    def __init__(self, driver: UserspaceDriver, link: socket.socket) -> None:
        self.ended = asyncio.Event()
        self._driver = driver
        # The other end gathers its orders already.
        pulse = Pulse(asyncio.get_running_loop(), gap=0.0)
        self._link = Link(link, pulse, self._carry_out, self.ended.set)
        driver.on_silence = lambda call_id: self._link.send({"event": "silence", "call": call_id})
        driver.on_closed = lambda call_id, stats: self._link.send(
            {"event": "closed", "call": call_id, "stats": stats.as_dict()}
        )

    def close(self) -> None:
        self._link.close()

    def _carry_out(self, order: Message) -> None:
        call_id: str = order["call"]
        match order["op"]:
            case "open":
                self._driver.open(call_id, lambda ports: self._answer(order, _ports(ports)))
            case "connect":
                hint = order["hint"]
                target = (hint[0], hint[1]) if hint else None
                self._driver.connect(call_id, Side(order["side"]), order["expected"], target)
            case "relatch":
                self._driver.relatch(call_id, Side(order["side"]))
            case "hold":
                self._driver.hold(call_id, order["on"])
            case "stats":
                self._driver.stats(call_id, lambda stats: self._answer(order, _stats(stats)))
            case "close":
                self._driver.close(call_id)
            case "drain":
                self._answer(order, None)

    def _answer(self, order: Message, result: object) -> None:
        self._link.send({"id": order["id"], "result": result})


def _ports(ports: RelayPorts | None) -> list[int] | None:
    return [ports.set_side_port, ports.icp_side_port] if ports is not None else None


def _stats(stats: RelayStats | None) -> Message | None:
    return stats.as_dict() if stats is not None else None


async def run(policy: RelayPolicy, link: socket.socket) -> None:
    """Serve until the link closes."""
    driver = UserspaceDriver(policy)
    await driver.start()
    gc.freeze()
    server = WorkerServer(driver, link)
    try:
        await server.ended.wait()
    finally:
        server.close()
        await driver.stop()


def main() -> None:
    """`worker FD POLICY`: the descriptor of the link, and the policy as JSON."""
    # Ctrl-C reaches the whole process group; the worker ends when signalling lets go of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor, text = sys.argv[1:3]
    values = json.loads(text)
    values["ports"] = tuple(values["ports"])
    uvloop.run(run(RelayPolicy(**values), socket.socket(fileno=int(descriptor))))


if __name__ == "__main__":
    main()

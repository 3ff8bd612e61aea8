"""A media worker: the userspace driver in a process of its own, so that no page or call set-up delays a packet.

Started by `client.WorkerPool` with a connected Unix socket as its only link; it ends when that closes.
"""

import asyncio
import gc
import json
import signal
import socket
import sys
from typing import Any

import uvloop

from opx.gateway.media.interface import MediaError, RelayPolicy, Side
from opx.gateway.media.userspace import UserspaceDriver
from opx.gateway.media.wire import MAX_LINE, encode_line, read_messages


class WorkerServer:
    """Carries out orders of one connection, in order."""

    def __init__(self, driver: UserspaceDriver, writer: asyncio.StreamWriter) -> None:
        self._driver = driver
        self._writer = writer
        driver.on_silence = lambda call_id: self._tell({"event": "silence", "call": call_id})

    async def serve(self, reader: asyncio.StreamReader) -> None:
        async for orders in read_messages(reader):
            answers = [encode_line({"id": order["id"], **await self._carry_out(order)}) for order in orders]
            self._writer.write(b"".join(answers))
            await self._writer.drain()

    async def _carry_out(self, order: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"result": await self._perform(order)}
        except MediaError as error:
            return {"error": type(error).__name__, "text": str(error)}

    async def _perform(self, order: dict[str, Any]) -> Any:
        call_id: str = order["call"]
        match order["op"]:
            case "open":
                ports = await self._driver.open(call_id)
                return {"set_side_port": ports.set_side_port, "icp_side_port": ports.icp_side_port}
            case "connect":
                hint = order["hint"]
                target = (hint[0], hint[1]) if hint else None
                return await self._driver.connect(call_id, Side(order["side"]), order["expected"], target)
            case "relatch":
                return await self._driver.relatch(call_id, Side(order["side"]))
            case "hold":
                return await self._driver.hold(call_id, order["on"])
            case "stats":
                return (await self._driver.stats(call_id)).as_dict()
            case "close":
                return (await self._driver.close(call_id)).as_dict()
            case unknown:
                raise MediaError(f"unknown order {unknown}")

    def _tell(self, message: dict[str, Any]) -> None:
        self._writer.write(encode_line(message))


async def run(policy: RelayPolicy, link: socket.socket) -> None:
    """Serve until the link closes."""
    reader, writer = await asyncio.open_unix_connection(sock=link, limit=MAX_LINE)
    driver = UserspaceDriver(policy)
    await driver.start()
    gc.freeze()
    try:
        await WorkerServer(driver, writer).serve(reader)
    finally:
        await driver.stop()
        writer.close()


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

"""The suite's handset configuration server alone, without the suite around it: `python handset_server.py SETTINGS`."""

import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from opx.config import SettingsFile
from opx.parent import end_with_parent
from opx.suite.handsets.service import HandsetService


async def serve(path: Path) -> None:
    service = HandsetService(SettingsFile.read(path))
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await service.start()
    print("ready", flush=True)
    try:
        await stopped.wait()
    finally:
        await service.stop()


if __name__ == "__main__":
    end_with_parent()
    uvloop.run(serve(Path(sys.argv[1])))

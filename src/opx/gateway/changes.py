"""How a command tells the running gateway that the database has changed."""

import asyncio
import logging
from enum import Enum
from pathlib import Path

from opx.gateway.control.client import ControlClient
from opx.gateway.control.protocol import ControlError, NobodyThere

log = logging.getLogger(__name__)


class Told(Enum):
    """What became of a notice."""

    TAKEN = "taken"
    FAILED = "failed"
    NOBODY = "nobody"


async def tell(path: Path) -> Told:
    """Tell a running gateway, and wait until it has taken the change over."""
    client = ControlClient(path)
    try:
        await client.changed()
    except NobodyThere:
        return Told.NOBODY
    except ControlError as error:
        log.warning("the gateway did not take the change over: %s", error)
        return Told.FAILED
    finally:
        await client.close()
    return Told.TAKEN


def tell_change(path: Path) -> Told:
    """`tell` for a command that has no event loop."""
    return asyncio.run(tell(path))

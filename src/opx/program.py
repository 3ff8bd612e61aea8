"""Running a program until it is told to stop."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Protocol

import uvloop

from opx.config import ConfigError
from opx.logging import set_up
from opx.store.migrations import DatabaseTooNew
from opx.store.secrets import SecretsError


class Service(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


def run_service(service: Service, *, on_ready: Callable[[], None] = lambda: None) -> None:
    """Start, wait for SIGINT or SIGTERM, stop. What `start` raises goes on to the caller."""
    uvloop.run(_run(service, on_ready))


async def _run(service: Service, on_ready: Callable[[], None]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await service.start()
    settle_memory()
    on_ready()
    try:
        await stopped.wait()
    finally:
        await service.stop()


def log_to_stderr(level: str) -> None:
    """Lines for people, or JSON with OPX_LOG_FORMAT=json. Ends the program when there is no such level."""
    with owner_errors():
        set_up(level, as_json=os.environ.get("OPX_LOG_FORMAT") == "json")


def settle_memory() -> None:
    """For servers, once they are up: what lives now lives on, and what comes later is looked through seldom.

    Tens of thousands of transactions linger for half a minute by design; walking them again and again for cycles that
    are not there cost an eighth of the processor. A walk holds everything up, for up to a microsecond per object on a
    busy machine: the frequent ones look at 10,000 and 60,000 objects. Ended calls are cycles, so that the long walk
    over everything cannot be left out; it comes once for a million new objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 5, 20)


@contextlib.contextmanager
def owner_errors() -> Iterator[None]:
    """Turns errors that an owner can mend into their text and exit status 1; tracebacks are for our own mistakes."""
    try:
        yield
    except (ConfigError, SecretsError, DatabaseTooNew) as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"cannot start: {error}")

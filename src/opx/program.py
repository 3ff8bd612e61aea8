"""Running a program until it is told to stop."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Protocol

import uvloop

from opx.config import ConfigError
from opx.logging import set_up
from opx.memory import collect_when_quiet, settle
from opx.store.errors import DatabaseTooNew, SecretsError


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
    settle()
    collecting = asyncio.create_task(collect_when_quiet())
    on_ready()
    try:
        await stopped.wait()
    finally:
        collecting.cancel()
        await service.stop()


def log_to_stderr(level: str) -> None:
    """Lines for people, or JSON with OPX_LOG_FORMAT=json. Ends the program when there is no such level."""
    with owner_errors():
        set_up(level, as_json=os.environ.get("OPX_LOG_FORMAT") == "json")


@contextlib.contextmanager
def owner_errors() -> Iterator[None]:
    """Turns errors that an owner can mend into their text and exit status 1; tracebacks are for our own mistakes."""
    try:
        yield
    except (ConfigError, SecretsError, DatabaseTooNew) as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"cannot start: {error}")

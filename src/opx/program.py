"""Running a program until it is told to stop."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Protocol

import uvloop

from opx.config import ConfigError
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
    on_ready()
    try:
        await stopped.wait()
    finally:
        await service.stop()


def log_to_stderr(level: str) -> None:
    """Plain lines with time and origin; `level` by its name."""
    logging.basicConfig(
        level=level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
    )
    # SQL statements could carry what was sealed a moment later.
    logging.getLogger("sqlalchemy.engine").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)


@contextlib.contextmanager
def owner_errors() -> Iterator[None]:
    """Turns errors that an owner can mend into their text and exit status 1; tracebacks are for our own mistakes."""
    try:
        yield
    except (ConfigError, SecretsError, DatabaseTooNew) as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"cannot start: {error}")

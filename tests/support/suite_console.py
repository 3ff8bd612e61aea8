"""The suite's console in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from opx.suite.console.service import ConsoleService
from support.console import quick_hasher
from support.suite_store import suite_file


@asynccontextmanager
async def open_suite_console(folder: Path, more: str = "") -> AsyncIterator[ConsoleService]:
    """The console of a suite whose files are in `folder`, without any network; `more` as for `suite_file`."""
    console = ConsoleService(suite_file(folder, more=more), quick_hasher())
    await console.open()
    try:
        yield console
    finally:
        await console.stop()

"""What the commands of all programs share: running work to its end, and tables."""

import asyncio
import sys
from collections.abc import Awaitable
from typing import TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from opx.program import owner_errors

PLAIN_WIDTH = 200
"""Columns of a table that goes into a file or a pipe, where none should be cut."""

T = TypeVar("T")


def run_work(work: Awaitable[T], *errors: type[Exception]) -> T:
    """The outcome; what an owner can mend, and `errors`, end the program with their text and status 1."""

    async def do() -> T:
        return await work

    ending: tuple[type[Exception], ...] = (OSError, *errors)
    with owner_errors():
        try:
            return asyncio.run(do())
        except ending as error:
            sys.exit(str(error))


def print_table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH)
    table = Table(*columns)
    for row in rows:
        # As text, for rich would take brackets in it for its own markup; and what came from outside may hold escape
        # sequences for the terminal.
        table.add_row(*(Text("".join(char if char.isprintable() else "?" for char in cell)) for cell in row))
    console.print(table)

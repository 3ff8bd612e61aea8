"""What the commands of all rooms share: the settings, the database, tables, and telling a running gateway."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from opx.config import load_settings
from opx.gateway.changes import Told, tell_change
from opx.gateway.opening import open_repository
from opx.gateway.repository import Repository, RepositoryError
from opx.gateway.settings import GatewaySettings
from opx.program import owner_errors

ConfigOption = Annotated[Path, typer.Option("--config", envvar="OPX_GATEWAY_CONFIG", help="The settings file (TOML).")]
CONFIG = Path("gateway.toml")
PLAIN_WIDTH = 200
"""Columns of a table that goes into a file or a pipe, where none should be cut."""

T = TypeVar("T")


def settings_of(config: Path) -> GatewaySettings:
    with owner_errors():
        return load_settings(GatewaySettings, config)


def with_repository(settings: GatewaySettings, work: Callable[[Repository], Awaitable[T]]) -> T:
    async def do() -> T:
        repository, _ = await open_repository(settings)
        try:
            return await work(repository)
        finally:
            await repository.close()

    return run_work(do())


def run_work(work: Awaitable[T]) -> T:
    async def do() -> T:
        return await work

    with owner_errors():
        try:
            return asyncio.run(do())
        except (RepositoryError, OSError) as error:
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


def tell_gateway(settings: GatewaySettings) -> None:
    told = tell_change(settings.control_socket)
    if told is Told.NOBODY:
        if settings.database_place.server is not None:
            typer.echo("(no gateway is running here; those elsewhere hear of it from the database)")
        else:
            typer.echo("(no gateway is running here; it takes this over at its next start)")
    elif told is Told.FAILED:
        sys.exit("this is stored, but the running gateway could not take it over; its log says why")

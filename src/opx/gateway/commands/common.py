"""What the commands of all rooms share: the settings, the database, tables, and telling a running gateway."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from opx.commandline import run_work
from opx.config import load_settings
from opx.gateway.changes import Told, tell_change
from opx.gateway.opening import open_repository
from opx.gateway.repository import Repository, RepositoryError
from opx.gateway.settings import GatewaySettings
from opx.program import owner_errors

ConfigOption = Annotated[Path, typer.Option("--config", envvar="OPX_GATEWAY_CONFIG", help="The settings file (TOML).")]
CONFIG = Path("gateway.toml")

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

    return run_work(do(), RepositoryError)


def tell_gateway(settings: GatewaySettings) -> None:
    told = tell_change(settings.control_socket)
    if told is Told.NOBODY:
        if settings.database_place.server is not None:
            typer.echo("(no gateway is running here; those elsewhere hear of it from the database)")
        else:
            typer.echo("(no gateway is running here; it takes this over at its next start)")
    elif told is Told.FAILED:
        sys.exit("this is stored, but the running gateway could not take it over; its log says why")

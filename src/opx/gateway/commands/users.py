"""`opx gateway user`: who signs in to the console, and a way back in for those who cannot any more."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from opx.commandline import print_table
from opx.gateway.commands.common import CONFIG, ConfigOption, settings_of, with_repository
from opx.gateway.console.models import CONSOLE
from opx.gateway.repository import Repository
from opx.web.accounts import AccountError, Role
from opx.web.people_commands import COLUMNS, PeopleCommands

user_app = typer.Typer(no_args_is_help=True, help="Who signs in to the console.")

T = TypeVar("T")


@user_app.command("list")
def user_list(config: ConfigOption = CONFIG) -> None:
    """List the console's users."""
    print_table(COLUMNS, _with_people(config, lambda people: people.rows()))


@user_app.command("add")
def user_add(
    name: str,
    role: Annotated[Role, typer.Option(help="What the user may do.")] = Role.READ_ONLY,
    config: ConfigOption = CONFIG,
) -> None:
    """Add a user, who chooses a password by the one-time link that is printed."""
    typer.echo(_with_people(config, lambda people: people.add(name, role)))


@user_app.command("link")
def user_link(
    name: Annotated[str, typer.Argument(help="Whose password is to be chosen anew; none for the first user.")] = "",
    config: ConfigOption = CONFIG,
) -> None:
    """Print a one-time link to choose a password, such as when the only administrator has lost theirs."""
    typer.echo(_with_people(config, lambda people: people.link(name)))


def _with_people(config: Path, work: Callable[[PeopleCommands], Awaitable[T]]) -> T:
    settings = settings_of(config)

    async def do(repository: Repository) -> T:
        people = PeopleCommands(repository.engine, CONSOLE, settings.web_url, settings.web.link_lifetime)
        return await work(people)

    try:
        return with_repository(settings, do)
    except AccountError as error:
        sys.exit(str(error))

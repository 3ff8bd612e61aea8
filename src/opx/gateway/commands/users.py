"""`opx gateway user`: who signs in to the console, and a way back in for those who cannot any more."""

import getpass
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from opx.commandline import print_table
from opx.gateway.commands.common import CONFIG, ConfigOption, settings_of, with_repository
from opx.gateway.console.models import CONSOLE
from opx.gateway.repository import Repository
from opx.gateway.settings import GatewaySettings
from opx.web.accounts import AccountError, Accounts, Role, User
from opx.web.audit import Audit

SOURCE = "command line"

user_app = typer.Typer(no_args_is_help=True, help="Who signs in to the console.")

T = TypeVar("T")


@user_app.command("list")
def user_list(config: ConfigOption = CONFIG) -> None:
    """List the console's users."""
    users = _with_accounts(settings_of(config), lambda accounts, _: accounts.users())
    rows: list[tuple[str, ...]] = []
    for user in users:
        password = "set" if user.has_password else "not chosen yet"
        rows.append((user.name, user.role.value, password, _when(user)))
    print_table(("Name", "Role", "Password", "Last sign-in"), rows)


@user_app.command("add")
def user_add(
    name: str,
    role: Annotated[Role, typer.Option(help="What the user may do.")] = Role.READ_ONLY,
    config: ConfigOption = CONFIG,
) -> None:
    """Add a user, who chooses a password by the one-time link that is printed."""
    settings = settings_of(config)

    async def work(accounts: Accounts, audit: Audit) -> str:
        user = await accounts.add(name, role)
        await audit.note(getpass.getuser(), SOURCE, "added a user", name, f"role {role.value}")
        return await _reset(settings, accounts, audit, user)

    typer.echo(_link(settings, _with_accounts(settings, work)))


@user_app.command("link")
def user_link(
    name: Annotated[str, typer.Argument(help="Whose password is to be chosen anew; none for the first user.")] = "",
    config: ConfigOption = CONFIG,
) -> None:
    """Print a one-time link to choose a password, such as when the only administrator has lost theirs."""
    settings = settings_of(config)

    async def work(accounts: Accounts, audit: Audit) -> str:
        if not name:
            token = await accounts.first_link(settings.web.link_lifetime)
            if token is None:
                raise AccountError("there are users already; expected the name of one")
            return token
        user = next((user for user in await accounts.users() if user.name == name), None)
        if user is None:
            raise AccountError(f"there is no user {name}")
        return await _reset(settings, accounts, audit, user)

    typer.echo(_link(settings, _with_accounts(settings, work)))


async def _reset(settings: GatewaySettings, accounts: Accounts, audit: Audit, user: User) -> str:
    await audit.note(getpass.getuser(), SOURCE, "made a one-time link", user.name)
    return await accounts.reset(user.id, settings.web.link_lifetime)


def _link(settings: GatewaySettings, token: str) -> str:
    hours = settings.web.link_lifetime / 3600
    return f"to choose a password, once and within {hours:g} h: {settings.web_url}link/{token}"


def _with_accounts(settings: GatewaySettings, work: Callable[[Accounts, Audit], Awaitable[T]]) -> T:
    async def do(repository: Repository) -> T:
        engine = repository.engine
        return await work(Accounts(engine, CONSOLE), Audit(engine, CONSOLE))

    try:
        return with_repository(settings, do)
    except AccountError as error:
        sys.exit(str(error))


def _when(user: User) -> str:
    if user.signed_in_at is None:
        return "never"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(user.signed_in_at))

"""`opx gateway device`: the SIP devices of the set side. No password is ever taken from the command line."""

import sys
import time
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from opx.commandline import print_table
from opx.gateway.commands.common import CONFIG, ConfigOption, settings_of, tell_gateway, with_repository
from opx.gateway.passwords import made_up_password, weakness_of
from opx.gateway.repository import DeviceSpec, Repository, RepositoryError
from opx.gateway.settings import GatewaySettings
from opx.password_files import read_password

device_app = typer.Typer(no_args_is_help=True, help="The SIP devices of the set side.")


class PasswordSide(Enum):
    SET = "set"
    ICP = "icp"


PasswordFile = Annotated[
    Path | None, typer.Option(help="A file with the password; without any such option it is asked for.")
]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]
Generate = Annotated[bool, typer.Option("--generate", help="Make up a set-side password and show it once.")]


@device_app.command("add")
def device_add(
    username: Annotated[str, typer.Argument(help="Set-side user name.")],
    icp: Annotated[str, typer.Option(help="Name of the ICP.")],
    icp_username: Annotated[str, typer.Option(help="ICP-side user name; blank: the same.")] = "",
    password_file: PasswordFile = None,
    password_stdin: PasswordStdin = False,
    generate: Generate = False,
    icp_password_file: Annotated[
        Path | None, typer.Option(help="A file with the ICP-side password; without it the set-side one serves.")
    ] = None,
    ask_icp_password: Annotated[bool, typer.Option("--ask-icp-password", help="Ask for the ICP-side one.")] = False,
    description: str = "",
    enabled: bool = True,
    config: ConfigOption = CONFIG,
) -> None:
    """Add a device, or change the one of that set-side user name. Passwords are asked for or read from files."""
    settings = settings_of(config)
    password = _password(PasswordSide.SET, username, password_file, password_stdin, generate)
    _refuse_weak(settings, password, username)
    icp_password = ""
    if icp_password_file is not None or ask_icp_password:
        icp_password = _password(PasswordSide.ICP, username, icp_password_file)
    spec = DeviceSpec(username, password, icp, icp_username, icp_password, description, enabled)
    record, _ = with_repository(settings, lambda repository: repository.put_device(spec))
    typer.echo(f"device {record.set_username}, id {record.id}, revision {record.revision}")
    if generate:
        typer.echo(f"set-side password (shown this once): {password}")
    tell_gateway(settings)


@device_app.command("set-password")
def device_set_password(
    username: Annotated[str, typer.Argument(help="Set-side user name.")],
    side: Annotated[PasswordSide, typer.Option(help="Whose password it is.")] = PasswordSide.SET,
    password_file: PasswordFile = None,
    password_stdin: PasswordStdin = False,
    generate: Generate = False,
    config: ConfigOption = CONFIG,
) -> None:
    """Change a password of a device. An ICP-side one that is the same as the set-side one follows it."""
    settings = settings_of(config)
    password = _password(side, username, password_file, password_stdin, generate)
    changed = {"icp_password": password}
    if side is PasswordSide.SET:
        _refuse_weak(settings, password, username)
        changed = {"set_password": password}
    record = with_repository(settings, lambda repository: repository.set_password(username, **changed))
    typer.echo(f"device {record.set_username}, id {record.id}, revision {record.revision}")
    if generate:
        typer.echo(f"set-side password (shown this once): {password}")
    tell_gateway(settings)


@device_app.command("list")
def device_list(config: ConfigOption = CONFIG) -> None:
    """List the devices."""

    async def work(repository: Repository) -> list[tuple[str, ...]]:
        names = {icp.id: icp.name for icp in await repository.icps()}
        bound = {row.device_id: row for row in await repository.bindings() if row.expires_at > time.time()}
        rows: list[tuple[str, ...]] = []
        for device in await repository.devices():
            row = bound.get(device.id)
            where = f"{row.transport} {row.remote_host}:{row.remote_port}" if row else ""
            enabled = "yes" if device.enabled else "no"
            icp = names.get(device.icp_id, "")
            rows.append(
                (str(device.id), enabled, device.set_username, icp, device.icp_username, where, device.description)
            )
        return rows

    columns = ("Id", "Enabled", "Set-side user name", "ICP", "ICP-side user name", "Registered from", "Description")
    print_table(columns, with_repository(settings_of(config), work))


@device_app.command("timeline")
def device_timeline(username: str, limit: int = 50, config: ConfigOption = CONFIG) -> None:
    """Show what happened to a device, the newest first."""

    async def work(repository: Repository) -> list[tuple[str, ...]]:
        device = next((d for d in await repository.devices() if d.set_username == username), None)
        if device is None:
            raise RepositoryError(f"there is no device {username}")
        return [
            (time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.at)), row.kind, row.text)
            for row in await repository.timeline(device.id, limit)
        ]

    print_table(("When", "Kind", "What"), with_repository(settings_of(config), work))


@device_app.command("enable")
def device_enable(username: str, config: ConfigOption = CONFIG) -> None:
    """Let a device in again."""
    settings = settings_of(config)
    with_repository(settings, lambda repository: repository.set_enabled(username, True))
    typer.echo(f"device {username} is enabled")
    tell_gateway(settings)


@device_app.command("disable")
def device_disable(username: str, config: ConfigOption = CONFIG) -> None:
    """Keep a device out; its calls end."""
    settings = settings_of(config)
    with_repository(settings, lambda repository: repository.set_enabled(username, False))
    typer.echo(f"device {username} is disabled")
    tell_gateway(settings)


@device_app.command("remove")
def device_remove(username: str, config: ConfigOption = CONFIG) -> None:
    """Remove a device."""
    settings = settings_of(config)
    with_repository(settings, lambda repository: repository.remove_device(username))
    typer.echo(f"device {username} is removed")
    tell_gateway(settings)


def _password(side: PasswordSide, username: str, file: Path | None, stdin: bool = False, generate: bool = False) -> str:
    if (file is not None) + stdin + generate > 1:
        raise typer.BadParameter("a password comes from one place; expected one option for it at most")
    if generate and side is PasswordSide.ICP:
        raise typer.BadParameter("the PBX decides on the ICP-side password; expected the one it has")
    if generate:
        return made_up_password(username)
    if file is not None:
        try:
            return read_password(file)
        except ValueError as error:
            sys.exit(str(error))
    if stdin:
        line = typer.get_text_stream("stdin").readline().rstrip("\r\n")
        return line or sys.exit("standard input holds no password; expected it on the first line")
    what = "Set-side password" if side is PasswordSide.SET else "ICP-side password"
    answer: str = typer.prompt(what, hide_input=True, confirmation_prompt=True)
    return answer


def _refuse_weak(settings: GatewaySettings, password: str, username: str) -> None:
    weakness = weakness_of(password, username)
    if weakness and not settings.permit_weak_passwords:
        sys.exit(f"the set-side password is weak: {weakness}")

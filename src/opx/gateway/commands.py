"""`opx gateway`: run it, and look after its ICPs and devices."""

import asyncio
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from opx.config import load_settings
from opx.gateway.changes import Told, tell_change
from opx.gateway.importing import import_file, weakness_of
from opx.gateway.repository import DeviceSpec, Repository, RepositoryError
from opx.gateway.settings import GatewaySettings
from opx.program import log_to_stderr, owner_errors, run_service
from opx.store.engine import open_engine
from opx.store.secrets import Sealer, load_key

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The border gateway.")
icp_app = typer.Typer(no_args_is_help=True, help="The PBX nodes behind the gateway (ICPs).")
device_app = typer.Typer(no_args_is_help=True, help="The SIP devices of the set side.")
app.add_typer(icp_app, name="icp")
app.add_typer(device_app, name="device")

ConfigOption = Annotated[Path, typer.Option("--config", envvar="OPX_GATEWAY_CONFIG", help="The settings file (TOML).")]
PasswordFile = Annotated[
    Path | None, typer.Option(help="A file with the set-side password; without it the password is asked for.")
]
CONFIG = Path("gateway.toml")

T = TypeVar("T")
console = Console()


@app.command()
def run(config: ConfigOption = CONFIG, log_level: str = "warning") -> None:
    """Run the gateway until Ctrl-C."""
    from opx.gateway.service import GatewayService

    log_to_stderr(log_level)
    with owner_errors():
        settings = load_settings(GatewaySettings, config)
        service = GatewayService(settings, on_entry=lambda entry: typer.echo(f"{entry.kind}: {entry.text}"))
        face = settings.set_side
        run_service(service, on_ready=lambda: typer.echo(f"ready: gateway, set side {face.address}:{face.port}"))


@app.command()
def check(config: ConfigOption = CONFIG) -> None:
    """Check settings, key file and database without starting anything."""

    async def work(repository: Repository) -> tuple[int, int]:
        return len(await repository.icps()), len(await repository.devices())

    icps, devices = _with_repository(config, work)
    typer.echo(f"settings, key file and database are in order: {icps} ICPs, {devices} devices")


@app.command("import")
def import_(file: Path, config: ConfigOption = CONFIG) -> None:
    """Take over ICPs and devices from a TOML file; may be repeated."""
    weak = _settings(config).permit_weak_passwords
    done = _with_repository(config, lambda repository: import_file(repository, file, permit_weak=weak))
    typer.echo(f"{done.icps} ICPs and {done.devices} devices read, {done.changed} of them new or changed")
    _tell(config)


@icp_app.command("add")
def icp_add(
    name: str,
    host: str,
    port: int = 5060,
    transport: str = "UDP",
    type_: Annotated[str, typer.Option("--type")] = "MiVoice Office 250",
    config: ConfigOption = CONFIG,
) -> None:
    """Add an ICP, or change the one of that name."""
    _with_repository(config, lambda repository: repository.put_icp(name, type_, host, port, transport.upper()))
    typer.echo(f"ICP {name}: {transport.upper()} {host}:{port}")
    _tell(config)


@icp_app.command("list")
def icp_list(config: ConfigOption = CONFIG) -> None:
    """List the ICPs."""
    table = Table("Name", "Type", "Hostname or IP Address", "Port", "Transport")
    for icp in _with_repository(config, lambda repository: repository.icps()):
        table.add_row(icp.name, icp.type, icp.host, str(icp.port), icp.transport)
    console.print(table)


@icp_app.command("remove")
def icp_remove(name: str, config: ConfigOption = CONFIG) -> None:
    """Remove an ICP that no device uses."""
    _with_repository(config, lambda repository: repository.remove_icp(name))
    typer.echo(f"ICP {name} is removed")
    _tell(config)


@device_app.command("add")
def device_add(
    username: Annotated[str, typer.Argument(help="Set-side user name.")],
    icp: Annotated[str, typer.Option(help="Name of the ICP.")],
    icp_username: Annotated[str, typer.Option(help="ICP-side user name; blank: the same.")] = "",
    password_file: PasswordFile = None,
    icp_password_file: Annotated[
        Path | None, typer.Option(help="A file with the ICP-side password; without it the set-side one serves.")
    ] = None,
    generate: Annotated[bool, typer.Option(help="Make up a set-side password and show it once.")] = False,
    description: str = "",
    enabled: bool = True,
    config: ConfigOption = CONFIG,
) -> None:
    """Add a device, or change the one of that set-side user name. Passwords are asked for or read from files."""
    with owner_errors():
        password = secrets.token_urlsafe(15) if generate else _password(password_file, "Set-side password")
        icp_password = icp_password_file.read_text(encoding="utf-8").strip() if icp_password_file else ""
    weakness = weakness_of(password, username)
    if weakness and not _settings(config).permit_weak_passwords:
        sys.exit(f"the set-side password is weak: {weakness}")
    spec = DeviceSpec(username, password, icp, icp_username, icp_password, description, enabled)
    record, _ = _with_repository(config, lambda repository: repository.put_device(spec))
    typer.echo(f"device {record.set_username}, id {record.id}, revision {record.revision}")
    if generate:
        typer.echo(f"set-side password (shown this once): {password}")
    _tell(config)


@device_app.command("list")
def device_list(config: ConfigOption = CONFIG) -> None:
    """List the devices."""

    async def work(repository: Repository) -> Table:
        names = {icp.id: icp.name for icp in await repository.icps()}
        bound = {row.device_id: row for row in await repository.bindings() if row.expires_at > time.time()}
        table = Table(
            "Id", "Enabled", "Set-side user name", "ICP", "ICP-side user name", "Registered from", "Description"
        )
        for device in await repository.devices():
            row = bound.get(device.id)
            where = f"{row.transport} {row.remote_host}:{row.remote_port}" if row else ""
            enabled = "yes" if device.enabled else "no"
            table.add_row(
                str(device.id),
                enabled,
                device.set_username,
                names[device.icp_id],
                device.icp_username,
                where,
                device.description,
            )
        return table

    console.print(_with_repository(config, work))


@device_app.command("timeline")
def device_timeline(username: str, limit: int = 50, config: ConfigOption = CONFIG) -> None:
    """Show what happened to a device, the newest first."""

    async def work(repository: Repository) -> Table:
        device = next((d for d in await repository.devices() if d.set_username == username), None)
        if device is None:
            raise RepositoryError(f"there is no device {username}")
        table = Table("When", "Kind", "What")
        for row in await repository.timeline(device.id, limit):
            table.add_row(time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.at)), row.kind, row.text)
        return table

    console.print(_with_repository(config, work))


@device_app.command("enable")
def device_enable(username: str, config: ConfigOption = CONFIG) -> None:
    """Let a device in again."""
    _with_repository(config, lambda repository: repository.set_enabled(username, True))
    typer.echo(f"device {username} is enabled")
    _tell(config)


@device_app.command("disable")
def device_disable(username: str, config: ConfigOption = CONFIG) -> None:
    """Keep a device out; its calls end."""
    _with_repository(config, lambda repository: repository.set_enabled(username, False))
    typer.echo(f"device {username} is disabled")
    _tell(config)


@device_app.command("remove")
def device_remove(username: str, config: ConfigOption = CONFIG) -> None:
    """Remove a device."""
    _with_repository(config, lambda repository: repository.remove_device(username))
    typer.echo(f"device {username} is removed")
    _tell(config)


def _settings(config: Path) -> GatewaySettings:
    with owner_errors():
        return load_settings(GatewaySettings, config)


def _with_repository(config: Path, work: Callable[[Repository], Awaitable[T]]) -> T:
    settings = _settings(config)

    async def do() -> T:
        key = load_key(settings.key_file, create=not settings.database.exists())
        repository = Repository(open_engine(settings.database_url), Sealer(key))
        try:
            await repository.open(settings.digest.realm)
            return await work(repository)
        finally:
            await repository.close()

    with owner_errors():
        try:
            return asyncio.run(do())
        except RepositoryError as error:
            sys.exit(str(error))


def _password(file: Path | None, prompt: str) -> str:
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    answer: str = typer.prompt(prompt, hide_input=True, confirmation_prompt=True)
    return answer


def _tell(config: Path) -> None:
    if tell_change(_settings(config).control_socket) is Told.NOBODY:
        typer.echo("(no gateway is running here; it takes this over at its next start)")

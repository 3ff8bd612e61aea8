"""`opx gateway`: run it, and look after its ICPs and devices. No password is ever taken from the command line."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from opx.config import load_settings
from opx.gateway.changes import Told, tell_change
from opx.gateway.importing import import_file
from opx.gateway.passwords import made_up_password, read_password, weakness_of
from opx.gateway.repository import MIGRATIONS, DeviceSpec, IcpRecord, NodeAddress, Repository, RepositoryError
from opx.gateway.settings import GatewaySettings
from opx.program import log_to_stderr, owner_errors, run_service
from opx.store.engine import open_engine
from opx.store.migrations import is_behind
from opx.store.secrets import Sealer, load_key

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # they hold passwords
    help="The border gateway.",
)
icp_app = typer.Typer(no_args_is_help=True, help="The PBX nodes behind the gateway (ICPs).")
device_app = typer.Typer(no_args_is_help=True, help="The SIP devices of the set side.")
app.add_typer(icp_app, name="icp")
app.add_typer(device_app, name="device")


class PasswordSide(Enum):
    SET = "set"
    ICP = "icp"


ConfigOption = Annotated[Path, typer.Option("--config", envvar="OPX_GATEWAY_CONFIG", help="The settings file (TOML).")]
PasswordFile = Annotated[
    Path | None, typer.Option(help="A file with the password; without any such option it is asked for.")
]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]
Generate = Annotated[bool, typer.Option("--generate", help="Make up a set-side password and show it once.")]
IcpPort = Annotated[
    int | None, typer.Option(help="Without it a host name's SRV records say, and 5060 where there are none.")
]
FurtherNodes = Annotated[
    list[str] | None,
    typer.Option(
        "--node", help="HOST[:PORT][/TCP]: a further node of the same PBX, which serves when those before it do not."
    ),
]
CONFIG = Path("gateway.toml")
PLAIN_WIDTH = 200
"""Columns of a table that goes into a file or a pipe, where none should be cut."""

T = TypeVar("T")


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
    """Check settings, key file and database; starts and changes nothing."""
    settings = _settings(config)

    async def work() -> str:
        if not settings.database.exists():
            if settings.key_file.exists():
                load_key(settings.key_file, create=False)
            return "settings are in order; the database is made at the first start"
        sealer = Sealer(load_key(settings.key_file, create=False))
        engine = open_engine(settings.database_url)
        try:
            if await is_behind(engine, MIGRATIONS):
                return "settings and key file are in order; the next start brings the database up to date"
            repository = Repository(engine, sealer)
            await repository.open()
            icps, devices = len(await repository.icps()), len(await repository.devices())
            return f"settings, key file and database are in order: {icps} ICPs, {devices} devices"
        finally:
            await engine.dispose()

    typer.echo(_run(work()))


@app.command("import")
def import_(file: Path, config: ConfigOption = CONFIG) -> None:
    """Take over ICPs and devices from a TOML file; may be repeated."""
    settings = _settings(config)
    weak = settings.permit_weak_passwords
    done = _with_repository(settings, lambda repository: import_file(repository, file, permit_weak=weak))
    typer.echo(f"{done.icps} ICPs and {done.devices} devices read, {done.changed} of them new or changed")
    _tell(settings)


@icp_app.command("add")
def icp_add(
    name: str,
    host: str,
    port: IcpPort = None,
    transport: str = "UDP",
    type_: Annotated[str, typer.Option("--type")] = "MiVoice Office 250",
    node: FurtherNodes = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Add an ICP, or change the one of that name altogether."""
    _put_icp(_settings(config), name, type_, host, port, transport.upper(), node or [])


@icp_app.command("edit")
def icp_edit(
    name: str,
    host: str | None = None,
    port: IcpPort = None,
    any_port: Annotated[bool, typer.Option("--any-port", help="Let SRV records of the name say the port.")] = False,
    transport: str | None = None,
    type_: Annotated[str | None, typer.Option("--type")] = None,
    node: FurtherNodes = None,
    no_nodes: Annotated[bool, typer.Option("--no-nodes", help="Take the further nodes away.")] = False,
    config: ConfigOption = CONFIG,
) -> None:
    """Change an ICP; what is not given stays. Further nodes that are given replace those there were."""
    if (node is not None and no_nodes) or (port is not None and any_port):
        raise typer.BadParameter("these say opposite things; expected one of them")
    settings = _settings(config)
    icps = _with_repository(settings, lambda repository: repository.icps())
    icp = next((icp for icp in icps if icp.name == name), None)
    if icp is None:
        sys.exit(f"there is no ICP {name}")
    if port is None and not any_port:
        port = icp.port
    nodes = [] if no_nodes else [str(kept) for kept in icp.nodes] if node is None else node
    _put_icp(settings, name, type_ or icp.type, host or icp.host, port, (transport or icp.transport).upper(), nodes)


def _put_icp(
    settings: GatewaySettings,
    name: str,
    type_: str,
    host: str,
    port: int | None,
    transport: str,
    nodes: Sequence[str],
) -> None:
    async def work(repository: Repository) -> IcpRecord:
        further = [NodeAddress.parse(text) for text in nodes]
        return (await repository.put_icp(name, type_, host, port, transport, further))[0]

    record = _with_repository(settings, work)
    typer.echo(f"ICP {name}: {', then '.join(_where(address) for address in record.addresses)}")
    _tell(settings)


def _where(node: NodeAddress) -> str:
    return f"{node.transport} {node.host}" + (f":{node.port}" if node.port is not None else " (SRV)")


@icp_app.command("list")
def icp_list(config: ConfigOption = CONFIG) -> None:
    """List the ICPs."""
    icps = _with_repository(_settings(config), lambda repository: repository.icps())
    columns = ("Name", "Type", "Hostname or IP Address", "Port", "Transport", "Further nodes")
    rows: list[tuple[str, ...]] = []
    for icp in icps:
        port = "SRV" if icp.port is None else str(icp.port)
        rows.append((icp.name, icp.type, icp.host, port, icp.transport, ", ".join(map(_where, icp.nodes))))
    _print(columns, rows)


@icp_app.command("remove")
def icp_remove(name: str, config: ConfigOption = CONFIG) -> None:
    """Remove an ICP that no device uses."""
    settings = _settings(config)
    _with_repository(settings, lambda repository: repository.remove_icp(name))
    typer.echo(f"ICP {name} is removed")
    _tell(settings)


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
    settings = _settings(config)
    password = _password(PasswordSide.SET, username, password_file, password_stdin, generate)
    _refuse_weak(settings, password, username)
    icp_password = ""
    if icp_password_file is not None or ask_icp_password:
        icp_password = _password(PasswordSide.ICP, username, icp_password_file)
    spec = DeviceSpec(username, password, icp, icp_username, icp_password, description, enabled)
    record, _ = _with_repository(settings, lambda repository: repository.put_device(spec))
    typer.echo(f"device {record.set_username}, id {record.id}, revision {record.revision}")
    if generate:
        typer.echo(f"set-side password (shown this once): {password}")
    _tell(settings)


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
    settings = _settings(config)
    password = _password(side, username, password_file, password_stdin, generate)
    changed = {"icp_password": password}
    if side is PasswordSide.SET:
        _refuse_weak(settings, password, username)
        changed = {"set_password": password}
    record = _with_repository(settings, lambda repository: repository.set_password(username, **changed))
    typer.echo(f"device {record.set_username}, id {record.id}, revision {record.revision}")
    if generate:
        typer.echo(f"set-side password (shown this once): {password}")
    _tell(settings)


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
    _print(columns, _with_repository(_settings(config), work))


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

    _print(("When", "Kind", "What"), _with_repository(_settings(config), work))


@device_app.command("enable")
def device_enable(username: str, config: ConfigOption = CONFIG) -> None:
    """Let a device in again."""
    settings = _settings(config)
    _with_repository(settings, lambda repository: repository.set_enabled(username, True))
    typer.echo(f"device {username} is enabled")
    _tell(settings)


@device_app.command("disable")
def device_disable(username: str, config: ConfigOption = CONFIG) -> None:
    """Keep a device out; its calls end."""
    settings = _settings(config)
    _with_repository(settings, lambda repository: repository.set_enabled(username, False))
    typer.echo(f"device {username} is disabled")
    _tell(settings)


@device_app.command("remove")
def device_remove(username: str, config: ConfigOption = CONFIG) -> None:
    """Remove a device."""
    settings = _settings(config)
    _with_repository(settings, lambda repository: repository.remove_device(username))
    typer.echo(f"device {username} is removed")
    _tell(settings)


def _settings(config: Path) -> GatewaySettings:
    with owner_errors():
        return load_settings(GatewaySettings, config)


def _with_repository(settings: GatewaySettings, work: Callable[[Repository], Awaitable[T]]) -> T:
    async def do() -> T:
        key = load_key(settings.key_file, create=not settings.database.exists())
        repository = Repository(open_engine(settings.database_url), Sealer(key))
        try:
            await repository.open(settings.digest.realm)
            return await work(repository)
        finally:
            await repository.close()

    return _run(do())


def _run(work: Awaitable[T]) -> T:
    async def do() -> T:
        return await work

    with owner_errors():
        try:
            return asyncio.run(do())
        except (RepositoryError, OSError) as error:
            sys.exit(str(error))


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


def _print(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH)
    table = Table(*columns)
    for row in rows:
        # As text, for rich would take brackets in it for its own markup; and what came from outside may hold escape
        # sequences for the terminal.
        table.add_row(*(Text("".join(char if char.isprintable() else "?" for char in cell)) for cell in row))
    console.print(table)


def _tell(settings: GatewaySettings) -> None:
    told = tell_change(settings.control_socket)
    if told is Told.NOBODY:
        typer.echo("(no gateway is running here; it takes this over at its next start)")
    elif told is Told.FAILED:
        sys.exit("this is stored, but the running gateway could not take it over; its log says why")

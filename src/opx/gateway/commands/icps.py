"""`opx gateway icp`: the PBX nodes behind the gateway."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from opx.commandline import print_table
from opx.gateway.commands.common import CONFIG, ConfigOption, settings_of, tell_gateway, with_repository
from opx.gateway.repository import IcpRecord, NodeAddress, Repository
from opx.gateway.settings import GatewaySettings

icp_app = typer.Typer(no_args_is_help=True, help="The PBX nodes behind the gateway (ICPs).")

IcpPort = Annotated[
    int | None, typer.Option(help="Without it a host name's SRV records say, and 5060 where there are none.")
]
FurtherNodes = Annotated[
    list[str] | None,
    typer.Option(
        "--node", help="HOST[:PORT][/TCP]: a further node of the same PBX, which serves when those before it do not."
    ),
]


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
    _put_icp(settings_of(config), name, type_, host, port, transport.upper(), node or [])


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
    settings = settings_of(config)
    icps = with_repository(settings, lambda repository: repository.icps())
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

    record = with_repository(settings, work)
    typer.echo(f"ICP {name}: {', then '.join(_where(address) for address in record.addresses)}")
    tell_gateway(settings)


def _where(node: NodeAddress) -> str:
    return f"{node.transport} {node.host}" + (f":{node.port}" if node.port is not None else " (SRV)")


@icp_app.command("list")
def icp_list(config: ConfigOption = CONFIG) -> None:
    """List the ICPs."""
    icps = with_repository(settings_of(config), lambda repository: repository.icps())
    columns = ("Name", "Type", "Hostname or IP Address", "Port", "Transport", "Further nodes")
    rows: list[tuple[str, ...]] = []
    for icp in icps:
        port = "SRV" if icp.port is None else str(icp.port)
        rows.append((icp.name, icp.type, icp.host, port, icp.transport, ", ".join(map(_where, icp.nodes))))
    print_table(columns, rows)


@icp_app.command("remove")
def icp_remove(name: str, config: ConfigOption = CONFIG) -> None:
    """Remove an ICP that no device uses."""
    settings = settings_of(config)
    with_repository(settings, lambda repository: repository.remove_icp(name))
    typer.echo(f"ICP {name} is removed")
    tell_gateway(settings)

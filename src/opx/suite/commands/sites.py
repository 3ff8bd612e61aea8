"""`opx suite pbx`, `node` and `location`: the site settings of guide stage 1, without a browser."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from opx.commandline import print_table
from opx.suite.commands.common import CONFIG, ConfigOption, changing, settings_of, with_sites
from opx.suite.sites.records import (
    SIP_PORT,
    Locations,
    Missing,
    NodeRecord,
    NodeSpec,
    PbxRecord,
    PbxSpec,
)
from opx.suite.sites.repository import SiteRepository
from opx.suite.topics import SITES

pbx_app = typer.Typer(no_args_is_help=True, help="The telephone systems.")
node_app = typer.Typer(no_args_is_help=True, help="Their nodes.")
location_app = typer.Typer(no_args_is_help=True, help="Client Locations: how clients reach the suite.")


@pbx_app.command("add")
def pbx_add(
    name: str,
    connector: Annotated[str, typer.Option(help="How extensions are read; left out: they are typed.")] = "",
    url: str = "",
    fingerprint: Annotated[str, typer.Option(help="SHA-256 of the certificate at the URL, in hex.")] = "",
    token_file: Annotated[Path | None, typer.Option(help="A file with the management API's token.")] = None,
    ct_gateway: Annotated[str, typer.Option(help="Version of the CT Gateway.")] = "",
    config: ConfigOption = CONFIG,
) -> None:
    """Add a telephone system, or change the one of that name."""
    token = None
    if token_file is not None:
        try:
            token = token_file.read_text().strip()
        except OSError as error:
            sys.exit(f"{token_file} cannot be read: {error.strerror}")
    spec = PbxSpec(name, connector, url, fingerprint, token, ct_gateway)

    async def work(sites: SiteRepository) -> PbxRecord:
        known = next((pbx for pbx in await sites.pbxs() if pbx.name == name), None)
        return await sites.save_pbx(spec, known.id if known else None)

    changing(config, SITES, work)
    typer.echo(f"PBX {name} is saved")


@pbx_app.command("list")
def pbx_list(config: ConfigOption = CONFIG) -> None:
    """List the telephone systems and their nodes."""

    async def work(sites: SiteRepository) -> list[tuple[str, ...]]:
        names = {pbx.id: pbx.name for pbx in await sites.pbxs()}
        rows = [
            (names[node.pbx_id], node.name, f"{node.address}:{node.sip_port}", _outside(node))
            for node in await sites.nodes()
        ]
        empty = [name for key, name in names.items() if all(row[0] != name for row in rows)]
        return [*rows, *((name, "", "", "") for name in empty)]

    print_table(("PBX", "Node", "Inside", "Outside"), with_sites(settings_of(config), work))


@node_app.command("add")
def node_add(
    pbx: Annotated[str, typer.Argument(help="The telephone system's name.")],
    name: str,
    address: Annotated[str, typer.Argument(help="As the gateway's ICP has it.")],
    sip_port: int = SIP_PORT,
    nat_address: Annotated[str, typer.Option(help="NAT IP Address: the gateway's outside.")] = "",
    nat_sip_port: Annotated[int, typer.Option(help="NAT SIP Port.")] = SIP_PORT,
    software: Annotated[str, typer.Option(help="The node's software version.")] = "",
    config: ConfigOption = CONFIG,
) -> None:
    """Add a node to a telephone system, or change the one at that address."""

    async def work(sites: SiteRepository) -> None:
        known = next((found for found in await sites.pbxs() if found.name == pbx), None)
        if known is None:
            raise Missing(f"there is no PBX {pbx}")
        spec = NodeSpec(known.id, name, address, sip_port, nat_address, nat_sip_port, software)
        there = next((node for node in await sites.nodes() if node.address == address), None)
        await sites.save_node(spec, there.id if there else None)

    changing(config, SITES, work)
    typer.echo(f"node {name} is saved")


@location_app.command("set")
def location_set(
    local: Annotated[str | None, typer.Option(help="Host name or address in the office LAN.")] = None,
    remote: Annotated[str | None, typer.Option(help="NAT IP Address/Full Hostname.")] = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Set the local and the remote Client Location; what is left out stays."""

    async def work(sites: SiteRepository) -> Locations:
        before = await sites.locations()
        after = Locations(before.local if local is None else local, before.remote if remote is None else remote)
        await sites.save_locations(after)
        return after

    saved = changing(config, SITES, work)
    typer.echo(f"local: {saved.local or 'not set'}, remote: {saved.remote or 'not set'}")


def _outside(node: NodeRecord) -> str:
    return f"{node.nat_address}:{node.nat_sip_port}" if node.nat_address else "not set"

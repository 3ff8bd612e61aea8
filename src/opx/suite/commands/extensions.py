"""`opx suite extension`: SIP extensions, and which of them are teleworkers' (guide stage 5)."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from opx.commandline import print_table
from opx.suite.commands.common import CONFIG, ConfigOption, changing, settings_of, with_sites
from opx.suite.sites.records import ExtensionRecord, Missing, TickResult
from opx.suite.sites.repository import SiteRepository
from opx.suite.topics import EXTENSIONS

extension_app = typer.Typer(no_args_is_help=True, help="SIP extensions.")

Numbers = Annotated[list[str] | None, typer.Argument(help="Extension numbers.")]
Every = Annotated[bool, typer.Option("--all", help="Every extension that the PBXs have.")]


@extension_app.command("list")
def extension_list(config: ConfigOption = CONFIG) -> None:
    """List the SIP extensions."""

    async def work(sites: SiteRepository) -> list[tuple[str, ...]]:
        found, _ = await sites.extensions()
        return [_row(extension) for extension in found]

    columns = ("Number", "Name", "Hot desk", "At the PBX", "Remote credentials", "Obstacle")
    print_table(columns, with_sites(settings_of(config), work))


@extension_app.command("tick")
def extension_tick(numbers: Numbers = None, every: Every = False, config: ConfigOption = CONFIG) -> None:
    """Use remote authorization credentials: put extensions on the gateway."""
    _tick(numbers or [], every, True, config)


@extension_app.command("untick")
def extension_untick(numbers: Numbers = None, every: Every = False, config: ConfigOption = CONFIG) -> None:
    """Take extensions off the gateway, those that the suite has put there."""
    _tick(numbers or [], every, False, config)


def _tick(numbers: list[str], every: bool, teleworker: bool, config: Path) -> None:
    if bool(numbers) == every:
        sys.exit("expected extension numbers, or --all")

    async def work(sites: SiteRepository) -> tuple[dict[int, str], list[TickResult]]:
        found, _ = await sites.extensions()
        known = {extension.id: extension.number for extension in found if every or extension.number in numbers}
        for number in numbers:
            if number not in known.values():
                raise Missing(f"there is no SIP extension {number}")
        return known, await sites.tick(list(known), teleworker)

    names, results = changing(config, EXTENSIONS, work)
    refused = [result for result in results if result.refused]
    for result in refused:
        typer.echo(f"{names[result.extension_id]}: {result.refused}", err=True)
    typer.echo(f"{len(results) - len(refused)} of {len(results)} extensions {'ticked' if teleworker else 'unticked'}")
    if refused:
        sys.exit(1)


def _row(extension: ExtensionRecord) -> tuple[str, ...]:
    return (
        extension.number,
        extension.name,
        "yes" if extension.hot_desk else "",
        "yes" if extension.present else "no",
        "yes" if extension.teleworker else "",
        extension.obstacle,
    )

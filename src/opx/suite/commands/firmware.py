"""`opx suite firmware`: the firmware library without a browser."""

import getpass
import sys
import time
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from opx.commandline import print_table
from opx.suite.commands.common import CONFIG, ConfigOption, settings_of, tell_suite, with_sites
from opx.suite.firmware.store import FirmwareRecord, FirmwareStore
from opx.suite.settings import SuiteSettings
from opx.suite.sites.repository import SiteRepository
from opx.suite.topics import FIRMWARE

firmware_app = typer.Typer(no_args_is_help=True, help="Firmware that handsets are given.")


@firmware_app.command("add")
def firmware_add(
    file: Annotated[Path, typer.Argument(help="Such as 6930.st.")],
    model: Annotated[str, typer.Option(help="Where the file's name does not say.")] = "",
    version: Annotated[str, typer.Option(help="Where the file itself does not say.")] = "",
    config: ConfigOption = CONFIG,
) -> None:
    """Take a file into the library; the first one of a model is given to phones at once."""
    settings = settings_of(config)

    async def work(sites: SiteRepository, content: BinaryIO) -> FirmwareRecord:
        async def read(size: int) -> bytes:
            return content.read(size)

        return await _store(sites, settings).add(read, file.name, model, version, getpass.getuser())

    try:
        content = file.open("rb")
    except OSError as error:
        sys.exit(f"{file} cannot be read: {error.strerror}")
    with content:
        record = with_sites(settings, lambda sites: work(sites, content))
    tell_suite(settings, FIRMWARE)
    given = "phones are given it" if record.active else "another one stays active"
    typer.echo(f"firmware {record.version} of the {record.model}, {record.size} bytes: {given}")


@firmware_app.command("activate")
def firmware_activate(
    firmware_id: Annotated[int, typer.Argument(help="As `list` shows it.")], config: ConfigOption = CONFIG
) -> None:
    """Give a firmware to all phones of its model, in the place of the one before."""
    settings = settings_of(config)
    record = with_sites(settings, lambda sites: _store(sites, settings).activate(firmware_id))
    tell_suite(settings, FIRMWARE)
    typer.echo(f"phones {record.model} are given {record.version}")


@firmware_app.command("list")
def firmware_list(config: ConfigOption = CONFIG) -> None:
    """List the library."""
    settings = settings_of(config)
    records = with_sites(settings, lambda sites: _store(sites, settings).all())
    columns = ("Id", "Model", "Version", "Bytes", "Added", "By", "Given to phones", "File")
    print_table(columns, [_row(record) for record in records])


def _store(sites: SiteRepository, settings: SuiteSettings) -> FirmwareStore:
    return FirmwareStore(sites.engine, settings.firmware.folder, settings.firmware.most_bytes)


def _row(record: FirmwareRecord) -> tuple[str, ...]:
    return (
        str(record.id),
        record.model,
        record.version,
        str(record.size),
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.added_at)),
        record.added_by,
        "yes" if record.active else "",
        record.file_name if record.there else "is missing",
    )

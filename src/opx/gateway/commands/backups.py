"""`opx gateway backup` and `opx gateway restore`."""

from pathlib import Path
from typing import Annotated

import typer

from opx.backups import back_up_to, restore_from
from opx.gateway.backup import PROGRAM, holdings_of
from opx.gateway.commands.common import CONFIG, ConfigOption, settings_of
from opx.gateway.settings import GatewaySettings

PassphraseFile = Annotated[Path | None, typer.Option(help="A file with the passphrase; without it, it is asked for.")]


def backup_command(
    file: Path,
    seal: Annotated[bool, typer.Option("--seal", help="Seal the file with a passphrase.")] = False,
    passphrase_file: PassphraseFile = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Put database, key file, settings, certificates and import file into one file, while the gateway runs or not."""
    back_up_to(file, holdings_of(settings_of(config)), config, seal=seal, passphrase_file=passphrase_file)


def restore_command(
    file: Path,
    take_settings: Annotated[
        bool, typer.Option("--take-settings", help="Put back the settings file, too, where there is one.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Put a backup in the place of what is there, all of it or nothing; the gateway must not run."""
    done = restore_from(
        file,
        config,
        PROGRAM,
        lambda settings: holdings_of(settings.settings(GatewaySettings)),
        take_settings=take_settings,
        passphrase_file=passphrase_file,
    )
    icps, devices = done.counts
    typer.echo(f"restored the state of {done.made_at} (OPX {done.version}): {icps} ICPs, {devices} devices")
    for path in done.aside:
        typer.echo(f"what was there before: {path}")

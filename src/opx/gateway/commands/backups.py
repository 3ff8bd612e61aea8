"""`opx gateway backup` and `opx gateway restore`."""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from opx.gateway.backup import back_up
from opx.gateway.commands.common import CONFIG, ConfigOption, settings_of
from opx.gateway.passwords import read_password
from opx.gateway.restore import RestoreError, restore
from opx.program import owner_errors
from opx.store.archive import ArchiveError, is_sealed

MIN_PASSPHRASE = 12
"""Characters; whoever has the file may try as long as they like."""

PassphraseFile = Annotated[Path | None, typer.Option(help="A file with the passphrase; without it, it is asked for.")]
T = TypeVar("T")


def backup_command(
    file: Path,
    seal: Annotated[bool, typer.Option("--seal", help="Seal the file with a passphrase.")] = False,
    passphrase_file: PassphraseFile = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Put database, key file, settings, certificates and import file into one file, while the gateway runs or not."""
    settings = settings_of(config)
    passphrase = _new_passphrase(passphrase_file) if seal or passphrase_file is not None else None
    done = _run(back_up(settings, config, file, passphrase))
    typer.echo(f"{file}: {done.rows} rows of revision {done.revision}, {len(done.files) - 1} files")
    if passphrase is None:
        typer.echo(
            "It holds the key and with it every password, and is not sealed: keep it where only you can read it, "
            "or use --seal.",
            err=True,
        )


def restore_command(
    file: Path,
    take_settings: Annotated[
        bool, typer.Option("--take-settings", help="Put back the settings file, too, where there is one.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Put a backup in the place of what is there, all of it or nothing; the gateway must not run."""
    with owner_errors():
        sealed = is_sealed(file)
    passphrase = _passphrase(passphrase_file) if sealed else None
    done = _run(restore(file, config, passphrase, take_settings=take_settings))
    typer.echo(f"restored the state of {done.made_at} (OPX {done.version}): {done.icps} ICPs, {done.devices} devices")
    for path in done.aside:
        typer.echo(f"what was there before: {path}")


def _run(work: Coroutine[Any, Any, T]) -> T:
    with owner_errors():
        try:
            return asyncio.run(work)
        except (ArchiveError, RestoreError, OSError) as error:
            sys.exit(str(error))


def _passphrase(file: Path | None) -> str:
    if file is None:
        answer: str = typer.prompt("Passphrase", hide_input=True)
        return answer
    try:
        return read_password(file)
    except ValueError as error:
        sys.exit(str(error))


def _new_passphrase(file: Path | None) -> str:
    if file is None:
        answer: str = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True)
    else:
        answer = _passphrase(file)
    if len(answer) < MIN_PASSPHRASE:
        sys.exit(f"the passphrase is too short; expected {MIN_PASSPHRASE} characters or more")
    return answer

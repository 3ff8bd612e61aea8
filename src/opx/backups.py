"""What the programs' `backup` and `restore` commands do."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import typer

from opx.config import SettingsFile
from opx.password_files import read_password
from opx.program import owner_errors
from opx.store.archive import ArchiveError, is_sealed
from opx.store.backup import Holdings, back_up
from opx.store.restore import Restored, RestoreError, restore

MIN_PASSPHRASE = 12
"""Characters; whoever has the file may try as long as they like."""

T = TypeVar("T")


def back_up_to(file: Path, holdings: Holdings, config: Path, *, seal: bool, passphrase_file: Path | None) -> None:
    """Make a backup, and say what is in it; what cannot be done ends the program with the reason."""
    passphrase = _new_passphrase(passphrase_file) if seal or passphrase_file is not None else None
    done = _run(back_up(holdings, config, file, passphrase))
    typer.echo(f"{file}: {done.rows} rows of revision {done.revision}, {len(done.files) - 1} files")
    if passphrase is None:
        typer.echo(
            "It holds the key and with it every password, and is not sealed: keep it where only you can read it, "
            "or use --seal.",
            err=True,
        )


def restore_from(
    file: Path,
    config: Path,
    program: str,
    holdings_of: Callable[[SettingsFile], Holdings],
    *,
    take_settings: bool,
    passphrase_file: Path | None,
) -> Restored:
    """Put a backup back; what cannot be done ends the program with the reason."""
    with owner_errors():
        sealed = is_sealed(file)
    passphrase = _passphrase(passphrase_file) if sealed else None
    return _run(restore(file, config, passphrase, program, holdings_of, take_settings=take_settings))


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

"""`opx pbx`."""

from pathlib import Path
from typing import Annotated

import typer

from opx.config import load_settings
from opx.pbx.service import PbxService
from opx.pbx.settings import PbxSettings
from opx.program import log_to_stderr, owner_errors, run_service

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A PBX node for trials and tests.")

ConfigOption = Annotated[Path, typer.Option("--config", envvar="OPX_PBX_CONFIG", help="The settings file (TOML).")]


@app.callback()
def _program() -> None:
    """A PBX node for trials and tests."""


@app.command()
def run(config: ConfigOption = Path("pbx.toml"), log_level: str = "warning") -> None:
    """Run the node until Ctrl-C."""
    log_to_stderr(log_level)
    with owner_errors():
        settings = load_settings(PbxSettings, config)
        service = PbxService(settings, on_event=lambda text: typer.echo(text))
        run_service(service, on_ready=lambda: typer.echo(f"ready: PBX node at {settings.address}:{settings.port}"))

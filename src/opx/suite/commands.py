"""`opx.suite`."""

from pathlib import Path
from typing import Annotated

import typer

from opx.config import load_settings
from opx.program import log_to_stderr, owner_errors, run_service
from opx.suite.service import SuiteService
from opx.suite.settings import SuiteSettings

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The application suite (a placeholder so far).")

ConfigOption = Annotated[Path, typer.Option("--config", envvar="OPX_SUITE_CONFIG", help="The settings file (TOML).")]


@app.callback()
def _program() -> None:
    """The application suite (a placeholder so far)."""


@app.command()
def run(config: ConfigOption = Path("suite.toml"), log_level: str = "warning") -> None:
    """Run the suite until Ctrl-C."""
    log_to_stderr(log_level)
    with owner_errors():
        settings = load_settings(SuiteSettings, config)
        service = SuiteService(settings)
        run_service(service, on_ready=lambda: typer.echo(f"ready: suite at {settings.address}:{settings.console_port}"))

"""What the commands of all rooms share."""

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[Path, typer.Option("--config", envvar="OPX_SUITE_CONFIG", help="The settings file (TOML).")]
CONFIG = Path("suite.toml")

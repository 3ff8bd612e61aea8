"""The suite's settings file."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from opx.config import Settings


class SuiteSettings(Settings):
    address: str
    console_port: Annotated[int, Field(ge=1, le=65535)] = 8444
    certificates: Path = Path("suite-certificates")

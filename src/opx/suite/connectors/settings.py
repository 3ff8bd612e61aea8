"""The `[pbx_reading]` table of the suite's settings file. Times in seconds."""

from typing import Annotated

from pydantic import Field

from opx.settings_fields import Table


class PbxReadingSettings(Table):
    """How often PBXs are read."""

    interval: Annotated[float, Field(ge=5)] = 300.0
    """Between two readings of a PBX. New extensions and changed passwords are known after that at the latest."""
    retry_min: Annotated[float, Field(ge=1)] = 10.0
    """After a failure; doubled with each further one."""
    retry_max: Annotated[float, Field(ge=1)] = 600.0

"""The settings of what phones of the LAN are served, and of the firmware library."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from opx.settings_fields import Port, Table


class LanServices(Table):
    """What cannot be bound is said at the start and left out; nothing else is the worse for it."""

    tftp: bool = True
    """Whether firmware and the harmless configuration files are served by TFTP."""
    tftp_port: Port = 69
    syslog: bool = True
    """Whether lines that phones log are received."""
    syslog_port: Port = 514


class FirmwareLibrary(Table):
    """Firmware files for handsets."""

    folder: Path = Path("suite-firmware")
    most_bytes: Annotated[int, Field(ge=1_000_000, le=2_000_000_000)] = 300_000_000
    """Of one file; today's are below 100 MB."""

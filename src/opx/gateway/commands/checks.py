"""`opx gateway check`."""

import asyncio
import logging
from typing import Annotated

import typer

from opx.config import ConfigError, load_settings
from opx.findings import Finding, Level, report
from opx.gateway.checks import check
from opx.gateway.commands.common import CONFIG, ConfigOption
from opx.gateway.settings import GatewaySettings


def check_command(
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects with level, what and text.")] = False,
    config: ConfigOption = CONFIG,
) -> None:
    """Check settings, database, network, certificates and more; starts and changes nothing. 1 with any error."""
    # What is said once more in a log would stand between the lines.
    logging.disable(logging.CRITICAL)
    try:
        findings = _findings(config)
    finally:
        logging.disable(logging.NOTSET)
    report(findings, as_json=as_json)


def _findings(config: ConfigOption) -> list[Finding]:
    try:
        settings = load_settings(GatewaySettings, config)
    except ConfigError as error:
        return [Finding(Level.ERROR, "settings", problem) for problem in error.problems]
    return asyncio.run(check(settings))

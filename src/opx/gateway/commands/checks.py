"""`opx gateway check`."""

import asyncio
import json
import logging
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from opx.config import ConfigError, load_settings
from opx.gateway.checks import Finding, Level, check
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
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            typer.echo(f"{finding.level:<8} {finding.what}: {finding.text}")
    if any(finding.level is Level.ERROR for finding in findings):
        sys.exit(1)


def _findings(config: ConfigOption) -> list[Finding]:
    try:
        settings = load_settings(GatewaySettings, config)
    except ConfigError as error:
        return [Finding(Level.ERROR, "settings", problem) for problem in error.problems]
    return asyncio.run(check(settings))

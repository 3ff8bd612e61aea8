"""What the commands of all rooms share: the settings, the database, and telling a running suite."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from opx.commandline import run_work
from opx.config import load_settings
from opx.kept.bulletin import tell
from opx.program import owner_errors
from opx.suite.opening import open_sites
from opx.suite.settings import SuiteSettings
from opx.suite.sites.records import SiteError
from opx.suite.sites.repository import SiteRepository

ConfigOption = Annotated[Path, typer.Option("--config", envvar="OPX_SUITE_CONFIG", help="The settings file (TOML).")]
CONFIG = Path("suite.toml")

T = TypeVar("T")


def settings_of(config: Path) -> SuiteSettings:
    with owner_errors():
        return load_settings(SuiteSettings, config)


def with_sites(settings: SuiteSettings, work: Callable[[SiteRepository], Awaitable[T]], *errors: type[Exception]) -> T:
    """The outcome of `work`; what it cannot do, SiteError or `errors`, ends the program with the reason."""

    async def do() -> T:
        sites = await open_sites(settings)
        try:
            return await work(sites)
        finally:
            await sites.engine.dispose()

    return run_work(do(), SiteError, *errors)


def changing(config: Path, topic: str, work: Callable[[SiteRepository], Awaitable[T]]) -> T:
    """The outcome of a change, of which a running suite is told."""
    settings = settings_of(config)
    outcome = with_sites(settings, work)
    tell_suite(settings, topic)
    return outcome


def tell_suite(settings: SuiteSettings, topic: str) -> None:
    if not run_work(tell(settings.bulletin, topic)):
        typer.echo("(no suite is running here; it takes this over at its next start)", err=True)

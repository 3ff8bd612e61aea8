"""`opx suite provisioning`: the Provisioning page without a browser."""

import sys

import typer

from opx.commandline import print_table
from opx.suite.commands.common import CONFIG, ConfigOption, settings_of, tell_suite, with_sites
from opx.suite.provisioning.records import ProvisionState, Run, amiss
from opx.suite.provisioning.repository import Listed, ProvisioningRepository
from opx.suite.sites.repository import SiteRepository
from opx.suite.topics import PROVISION_NOW

MAX_SHOWN = 1000
"""Extensions that are not as they should be."""

provisioning_app = typer.Typer(no_args_is_help=True, help="How far the gateway agrees with the suite.")


@provisioning_app.command("show")
def provisioning_show(config: ConfigOption = CONFIG) -> None:
    """Show how many extensions are in which state, and those that are not as they should be. Ends with 1 when
    something needs somebody."""

    async def work(sites: SiteRepository) -> tuple[Run, dict[ProvisionState, int], list[Listed], bool]:
        kept = ProvisioningRepository(sites.engine)
        rest_api = (await sites.gateway.read()).rest_api
        listed, _ = await kept.listed(amiss(rest_api), MAX_SHOWN)
        return await kept.run(), await kept.counts(), listed, rest_api

    run, counts, listed, rest_api = with_sites(settings_of(config), work)
    print_table(("State", "Extensions"), [(state.label, str(number)) for state, number in counts.items()])
    if listed:
        columns = ("Extension", "State", "Why")
        print_table(columns, [(row.state.number, row.state.state.label, row.state.error) for row in listed])
    if not rest_api:
        typer.echo("Enable Rest API is not checked: the gateway's SIP users are kept by hand")
    elif run.trouble:
        typer.echo(f"nothing is provisioned: {run.trouble}", err=True)
    if run.token_note:
        typer.echo(run.token_note, err=True)
    if rest_api and (run.trouble or counts.get(ProvisionState.FAILED)):
        sys.exit(1)


@provisioning_app.command("now")
def provisioning_now(config: ConfigOption = CONFIG) -> None:
    """Let the running suite look at the gateway now, and try again what has failed."""
    tell_suite(settings_of(config), PROVISION_NOW)

"""`opx gateway`: run it, check it, and a module for each room's commands."""

from pathlib import Path

import typer

from opx.config import SettingsFile
from opx.gateway.commands.backups import backup_command, restore_command
from opx.gateway.commands.checks import check_command
from opx.gateway.commands.common import CONFIG, ConfigOption, settings_of, tell_gateway, with_repository
from opx.gateway.commands.devices import device_app
from opx.gateway.commands.faults import faults_app
from opx.gateway.commands.forwards import forward_app
from opx.gateway.commands.icps import icp_app
from opx.gateway.commands.users import user_app
from opx.gateway.commands.web_services import consumer_app, token_app, web_services_app
from opx.gateway.importing import import_file
from opx.gateway.settings import GatewaySettings
from opx.program import log_to_stderr, owner_errors, run_service

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # they hold passwords
    help="The border gateway.",
)
app.command("check")(check_command)
app.command("backup")(backup_command)
app.command("restore")(restore_command)
app.add_typer(icp_app, name="icp")
app.add_typer(device_app, name="device")
app.add_typer(faults_app)
app.add_typer(forward_app, name="forward")
app.add_typer(user_app, name="user")
app.add_typer(web_services_app, name="web-services")
app.add_typer(consumer_app, name="consumer")
app.add_typer(token_app, name="token")


@app.command()
def run(config: ConfigOption = CONFIG, log_level: str = "warning") -> None:
    """Run the gateway until Ctrl-C."""
    from opx.gateway.service import GatewayService
    from opx.kept.keeper import KeptProcess

    log_to_stderr(log_level)
    with owner_errors():
        file = SettingsFile.read(config)
        settings = file.settings(GatewaySettings)
        service = GatewayService(
            settings,
            on_entry=lambda entry: typer.echo(f"{entry.kind}: {entry.text}"),
            web=KeptProcess("opx.gateway.web.process", "console", file, typer.echo),
            file=file,
        )
        face = settings.set_side
        run_service(service, on_ready=lambda: typer.echo(f"ready: gateway, set side {face.address}:{face.port}"))


@app.command("import")
def import_(file: Path, config: ConfigOption = CONFIG) -> None:
    """Take over ICPs and devices from a TOML file; may be repeated."""
    settings = settings_of(config)
    weak = settings.permit_weak_passwords
    done = with_repository(settings, lambda repository: import_file(repository, file, permit_weak=weak))
    typer.echo(f"{done.icps} ICPs and {done.devices} devices read, {done.changed} of them new or changed")
    tell_gateway(settings)

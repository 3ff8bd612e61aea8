"""`opx suite`: run it, and a module for each room's commands."""

import typer

from opx.config import SettingsFile
from opx.kept.keeper import KeptProcess
from opx.program import log_to_stderr, owner_errors, run_service
from opx.suite.commands.backups import backup_command, restore_command
from opx.suite.commands.checks import check_command
from opx.suite.commands.common import CONFIG, ConfigOption
from opx.suite.commands.extensions import extension_app
from opx.suite.commands.firmware import firmware_app
from opx.suite.commands.gateway import gateway_app
from opx.suite.commands.phones import phone_app
from opx.suite.commands.provisioning import provisioning_app
from opx.suite.commands.sites import location_app, node_app, pbx_app
from opx.suite.commands.users import user_app
from opx.suite.service import SuiteService
from opx.suite.settings import SuiteSettings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # they hold passwords
    help="The application suite.",
)


app.add_typer(gateway_app, name="gateway")
app.add_typer(pbx_app, name="pbx")
app.add_typer(node_app, name="node")
app.add_typer(location_app, name="location")
app.add_typer(extension_app, name="extension")
app.add_typer(provisioning_app, name="provisioning")
app.add_typer(phone_app, name="phone")
app.add_typer(user_app, name="user")
app.command("check")(check_command)
app.command("backup")(backup_command)
app.command("restore")(restore_command)
app.add_typer(firmware_app, name="firmware")


@app.command()
def run(config: ConfigOption = CONFIG, log_level: str = "warning") -> None:
    """Run the suite until Ctrl-C."""
    log_to_stderr(log_level)
    with owner_errors():
        file = SettingsFile.read(config)
        settings = file.settings(SuiteSettings)
        kept = [
            KeptProcess("opx.suite.console.process", "console", file, typer.echo),
            KeptProcess("opx.suite.handsets.process", "handset configuration server", file, typer.echo),
        ]
        service = SuiteService(settings, kept)
        run_service(service, on_ready=lambda: typer.echo(f"ready: suite at {settings.address}"))

"""The ways out that the settings name, with their secrets read from their files."""

from opx.config import ConfigError
from opx.gateway.faults.courier import Way
from opx.gateway.faults.mail import Mail, MailServer
from opx.gateway.faults.settings import read_secret
from opx.gateway.faults.webhook import Webhook
from opx.gateway.settings import GatewaySettings

MAX_MAILS = 1000
"""Alarms that wait for a mail server."""


def ways(settings: GatewaySettings) -> list[tuple[Way, int, float]]:
    """Each with how much may wait for it, and how long it gathers. ConfigError when a secret cannot be read."""
    found: list[tuple[Way, int, float]] = []
    hook, alarms = settings.webhook, settings.alarms
    try:
        if hook.url:
            secret = read_secret(hook.secret_file, "secret").encode()
            ca_file = str(hook.ca_file) if hook.ca_file is not None else None
            found.append((Webhook(hook.url, secret, ca_file), hook.queue, 0.0))
        if alarms.email_to and alarms.smtp_host is not None:
            server = MailServer(
                alarms.smtp_host,
                alarms.smtp_port,
                alarms.smtp_security,
                alarms.smtp_username,
                read_secret(alarms.smtp_password_file, "password"),
                str(alarms.smtp_ca_file) if alarms.smtp_ca_file is not None else None,
            )
            mail = Mail(server, alarms.email_from, alarms.email_to, settings.set_side.address)
            found.append((mail, MAX_MAILS, alarms.gather))
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    except OSError as error:
        raise ConfigError([f"{error.filename}: cannot be read: {error.strerror}"]) from None
    return found

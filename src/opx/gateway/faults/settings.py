"""Settings of call records, alarms, their ways out, and metrics. Times in seconds unless a field says days."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from opx.gateway.faults.signing import check_url
from opx.settings_fields import HostName, Port, Table


def _mail_address(value: str) -> str:
    name, at, host = value.rpartition("@")
    if not at or not name or not host or not value.isprintable() or " " in value or len(value) > 254:
        raise ValueError(f"{value!r} is no e-mail address; expected one such as office@example.com")
    return value


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise ValueError(f"{value!r} is no network; expected one such as 192.168.20.0/24") from None


MailAddress = Annotated[str, AfterValidator(_mail_address)]
NetworkText = Annotated[str, AfterValidator(_network)]


class Records(Table):
    """What is kept of calls, and for how long."""

    days: Annotated[float, Field(gt=0, le=3650)] = 90.0
    """Days that a call record is kept."""
    most: Annotated[int, Field(ge=100)] = 200_000
    """Records kept at most; the oldest go."""
    message_days: Annotated[float, Field(gt=0, le=3650)] = 14.0
    """Days that the SIP messages of a call are kept."""
    messages_of: Annotated[int, Field(ge=0)] = 2000
    """Calls that went well whose messages are kept, the newest."""
    messages_of_failed: Annotated[int, Field(ge=0)] = 2000
    """The same for calls that were refused or failed."""
    messages_per_second: Annotated[float, Field(ge=0)] = 10.0
    """Calls that went well whose messages are stored at most each second: calls come first."""
    recent: Annotated[int, Field(ge=0, le=10_000)] = 200
    """Ended calls whose messages stay in memory, stored or not."""


class WebhookSettings(Table):
    """Where call records and alarms are posted to as JSON."""

    url: str = ""
    """https://..., or http:// within your own network. Empty: nothing is posted."""
    secret_file: Path | None = None
    """Signs what is posted. One line, as the receiver knows it."""
    ca_file: Path | None = None
    """PEM file of the authority to trust; those of this machine without it."""
    events: tuple[Literal["call", "alarm"], ...] = ("call", "alarm")
    queue: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """What waits at most while the receiver is away; the oldest go."""

    @field_validator("url")
    @classmethod
    def _usable(cls, value: str) -> str:
        return check_url(value) if value else value


class Alarms(Table):
    """When there is alarm, and who is told by e-mail."""

    email_to: tuple[MailAddress, ...] = ()
    """Nobody: no e-mail."""
    email_from: MailAddress = "opx@localhost.localdomain"
    smtp_host: HostName | None = None
    smtp_port: Port = 587
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    """Without any ("none") what is sent can be read on its way."""
    smtp_username: Annotated[str, Field(max_length=255)] = ""
    smtp_password_file: Path | None = None
    smtp_ca_file: Path | None = None
    """PEM file of the authority to trust; those of this machine without it."""
    gather: Annotated[float, Field(ge=0, le=3600)] = 10.0
    """How long an e-mail waits for further alarms to go with it."""
    settle: Annotated[float, Field(ge=0, le=3600)] = 60.0
    """How long a cause must be gone before its alarm is cleared."""
    refusals: Annotated[int, Field(ge=2)] = 5
    """Alarm when a device's registration was refused in so many minutes of refusal_window."""
    refusal_window: Annotated[float, Field(ge=120)] = 900.0
    lag: Annotated[float, Field(gt=0)] = 0.5
    """Alarm when signalling comes later than this to what is due, for five seconds without a gap."""

    @field_validator("smtp_host")
    @classmethod
    def _needed(cls, value: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("email_to") and value is None:
            raise ValueError("is missing; expected the mail server for email_to")
        return value

    @field_validator("smtp_password_file")
    @classmethod
    def _encrypted(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("smtp_security") == "none":
            raise ValueError('goes unencrypted with smtp_security = "none"; expected "starttls" or "tls"')
        return value


class Metrics(Table):
    """Who may read /metrics of the web face. This machine may always; others by their network or with the token."""

    networks: tuple[NetworkText, ...] = ()
    token_file: Path | None = None
    """One line; the reader sends it as Authorization: Bearer."""


def read_secret(path: Path | None, what: str) -> str:
    """The first line of a secret's file, "" without one. ValueError or OSError."""
    if path is None:
        return ""
    secret = path.read_text(encoding="utf-8").partition("\n")[0].strip()
    if not secret:
        raise ValueError(f"{path}: holds no {what}; expected it on the first line")
    return secret

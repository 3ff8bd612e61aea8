"""Settings of a console's web face. Times in seconds."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from opx.settings_fields import IPv4, Port, Table
from opx.web.policy import ConsolePolicy


class Web(Table):
    """The console and what else is served on its address, over HTTPS."""

    address: IPv4 | None = None
    """Left out: the program's own in the office LAN, so that nobody outside reaches the console."""
    port: Port = 8443
    session_idle: Annotated[float, Field(ge=60)] = 1800.0
    """A sign-in ends when it was not used for so long."""
    session_longest: Annotated[float, Field(ge=60)] = 12 * 3600.0
    """And after that time in any case."""
    link_lifetime: Annotated[float, Field(ge=60)] = 24 * 3600.0
    """How long a one-time link to choose a password holds."""
    sign_in_tries: Annotated[int, Field(ge=3)] = 10
    """Wrong sign-ins as one user within sign_in_window; more are refused unseen."""
    sign_in_tries_per_source: Annotated[int, Field(ge=3)] = 30
    """The same from one address, whoever it tries to be."""
    sign_in_window: Annotated[float, Field(ge=60)] = 900.0

    @field_validator("session_longest")
    @classmethod
    def _rising(cls, value: float, info: ValidationInfo) -> float:
        least = info.data.get("session_idle")
        if least is not None and value < least:
            raise ValueError(f"{value:g} is below session_idle; expected at least {least:g}")
        return value

    @property
    def policy(self) -> ConsolePolicy:
        return ConsolePolicy(
            self.session_idle,
            self.session_longest,
            self.link_lifetime,
            self.sign_in_tries,
            self.sign_in_tries_per_source,
            self.sign_in_window,
        )

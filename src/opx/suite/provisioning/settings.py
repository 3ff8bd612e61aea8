"""The `[provisioning]` table of the suite's settings file. Times in seconds, unless a field says otherwise."""

from typing import Annotated

from pydantic import Field

from opx.settings_fields import Table

Wait = Annotated[float, Field(gt=0)]


class ProvisioningSettings(Table):
    """How the gateway is kept in agreement."""

    full_look: Annotated[float, Field(ge=5)] = 300.0
    """Between two looks at everything that the gateway has: what somebody changes there is noticed after that."""
    icp_look: Annotated[float, Field(ge=1)] = 30.0
    """Between two looks at the gateway's ICPs while extensions wait for one."""
    bulk_size: Annotated[int, Field(ge=1)] = 500
    """Most extensions in one write; the gateway may want fewer, and says so."""
    gateway_retry_min: Wait = 2.0
    """After the gateway could not be asked; doubled with each further failure."""
    gateway_retry_max: Wait = 300.0
    extension_retry_min: Wait = 30.0
    """After the gateway has refused an extension; doubled with each further refusal."""
    extension_retry_max: Wait = 3600.0
    token_look: Annotated[float, Field(ge=60)] = 21_600.0
    """Between two looks at how long the token lasts."""
    renew_days: Annotated[int, Field(ge=1, le=364)] = 60
    """Days before its end that the token is renewed, or the warnings begin where it may not be."""

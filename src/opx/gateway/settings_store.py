"""Settings of what the gateway keeps: certificates."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from opx.gateway.settings_fields import HostName, Table


class Certificates(Table):
    """What the gateway's HTTPS servers show: a certificate of its own authority, or the owner's own pair."""

    folder: Path = Path("certificates")
    """The private authority (ca.pem is what clients are to trust) and what it issued; made at the first start."""
    names: tuple[HostName, ...] = ()
    """Host names and addresses by which the servers are reached, beside icp_side's address."""
    chain: Path | None = None
    """An own certificate (PEM), the server's first and those above it in order. Replaced without a restart."""
    key: Path | None = None
    """Its key (PEM), without a passphrase, for its owner only."""
    warn_days: Annotated[int, Field(ge=1)] = 30
    """Days before a certificate expires from which that is a warning."""

    @field_validator("key")
    @classmethod
    def _both(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if (value is None) != (info.data.get("chain") is None):
            raise ValueError("chain and key go together; expected both or none of them")
        return value

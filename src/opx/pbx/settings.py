"""The node's settings file. Times in seconds."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from opx.config import Settings

Port = Annotated[int, Field(ge=1, le=65535)]


class ExtensionSettings(Settings):
    """An extension to make at the start when it is not there yet. Its password is random unless it is given."""

    number: str = Field(pattern=r"^[0-9*#]{1,16}$")
    name: str = ""
    type: Literal["SIP", "SIP hot desk"] = "SIP"
    password: str = Field(default="", repr=False)


class PbxSettings(Settings):
    """The whole file."""

    name: str = "MiVO 250"
    address: str
    port: Port = 5060
    transports: tuple[Literal["UDP", "TCP"], ...] = ("UDP", "TCP")
    api_port: Port = 8445
    database: Path = Path("pbx.db")
    key_file: Path = Path("pbx.key")
    certificates: Path = Path("pbx-certificates")
    token_file: Path = Path("pbx.token")
    """The management API's token, made at the first start, for its owner only."""
    realm: str = "pbx"
    digest_algorithms: tuple[Literal["MD5", "SHA-256"], ...] = ("MD5",)
    """In order of preference. Office phones and gateways of all ages know MD5; many know nothing else."""
    version: str = "6.3 SP1"
    ct_gateway_version: str = "5.0.64"
    rtp_ports: tuple[Port, Port] = (6004, 7003)
    min_expires: int = Field(default=60, ge=1)
    max_expires: int = Field(default=3600, ge=60)
    ring_time: float = Field(default=30.0, gt=0)
    """How long an extension rings before a call ends unanswered."""
    calls_per_extension: int = Field(default=2, ge=1)
    """With one call less than this, a further caller hears busy."""
    echo: str = "*9"
    milliwatt: str = "*8"
    extension: tuple[ExtensionSettings, ...] = ()

    @property
    def database_url(self) -> str:
        return f"sqlite+aiosqlite:///{self.database.absolute()}"

"""The suite's settings file. Times in seconds."""

from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from opx.settings_fields import IPv4, Port, Table
from opx.settings_store import Certificates, DatabasePlace, Postgresql, place_of
from opx.store.place import Place
from opx.suite.connectors.settings import PbxReadingSettings
from opx.suite.handsets.settings import Handsets
from opx.suite.lan.settings import FirmwareLibrary, LanServices
from opx.suite.provisioning.settings import ProvisioningSettings
from opx.web.settings import Web


class SuiteWeb(Web):
    port: Port = 8444


class SuiteSettings(Table):
    """The whole file. Relative paths start at its folder."""

    address: IPv4
    """The suite's in the office LAN."""
    database: DatabasePlace = Path("suite.db")
    """A file (SQLite), or `postgresql://USER@HOST:PORT/DATABASE`."""
    key_file: Path = Path("suite.key")
    """Opens the secrets in the database. Back it up apart from that."""
    bulletin: Path = Path("suite.sock")
    """Where the suite's processes and commands tell each other what has changed."""
    certificates: Certificates = Certificates(folder=Path("suite-certificates"))
    postgresql: Postgresql = Postgresql()
    web: SuiteWeb = SuiteWeb()
    handsets: Handsets = Field(default_factory=Handsets)
    lan: LanServices = Field(default_factory=LanServices)
    firmware: FirmwareLibrary = Field(default_factory=FirmwareLibrary)
    pbx_reading: PbxReadingSettings = PbxReadingSettings()
    provisioning: ProvisioningSettings = ProvisioningSettings()

    @field_validator("key_file")
    @classmethod
    def _apart_from_database(cls, value: Path, info: ValidationInfo) -> Path:
        if value == info.data.get("database"):
            raise ValueError("is the database; expected a file of its own")
        return value

    @property
    def database_place(self) -> Place:
        return place_of(self.database, self.postgresql, "opx suite")

    @property
    def web_address(self) -> str:
        return self.web.address or self.address

    @property
    def web_url(self) -> str:
        return f"https://{self.web_address}:{self.web.port}/"

"""Settings of what a program keeps, and where: the database and the certificates."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    InstanceOf,
    PlainSerializer,
    SerializationInfo,
    ValidationInfo,
    field_validator,
)

from opx.settings_fields import HostName, Table
from opx.store.place import SCHEMES, Place, PostgresAddress, ServerPolicy
from opx.web.served import OwnPair


def _place(value: object) -> object:
    if isinstance(value, str) and value.startswith(tuple(f"{scheme}:" for scheme in SCHEMES)):
        return PostgresAddress.parse(value)
    if isinstance(value, str) and "://" in value:
        raise ValueError("is no place for a database; expected a file, or postgresql://USER@HOST:PORT/DATABASE")
    return Path(value) if isinstance(value, str) else value


def _as_written(value: object, info: SerializationInfo) -> object:
    # A dataclass that is given on would be taken apart.
    return str(value) if info.mode == "json" or isinstance(value, PostgresAddress) else value


DatabasePlace = Annotated[
    InstanceOf[Path] | InstanceOf[PostgresAddress], BeforeValidator(_place), PlainSerializer(_as_written)
]
"""A file for SQLite, or `postgresql://...` for a database on a server."""


class Postgresql(Table):
    """How a PostgreSQL server is talked to, where `database` names one."""

    password_file: Path | None = None
    """A file with the password, read for each new connection. Without it PGPASSFILE and ~/.pgpass serve."""
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    sslrootcert: Path | None = None
    """The authority that the server's certificate must be from, for verify-ca and verify-full."""
    pool_size: Annotated[int, Field(ge=1, le=100)] = 5
    """Connections kept open by each of the program's processes."""
    pool_overflow: Annotated[int, Field(ge=0, le=100)] = 10
    """Connections beyond those, while they are needed."""
    pool_timeout: Annotated[float, Field(gt=0)] = 10.0
    recycle: Annotated[float, Field(ge=10)] = 1800.0
    """Age at which a connection is replaced, before a firewall forgets it."""
    connect_timeout: Annotated[float, Field(gt=0)] = 5.0
    command_timeout: Annotated[float, Field(gt=0)] = 30.0
    lock_timeout: Annotated[float, Field(gt=0)] = 10.0
    """How long a writer waits for another one's transaction."""

    @field_validator("sslrootcert")
    @classmethod
    def _used(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("sslmode") not in ("verify-ca", "verify-full"):
            raise ValueError('serves only to verify the server; expected sslmode = "verify-full" with it')
        return value

    def policy(self, application: str) -> ServerPolicy:
        """`application` is what the server's own lists call the program."""
        return ServerPolicy(
            password_file=self.password_file,
            ssl_mode=self.sslmode,
            ssl_root=self.sslrootcert,
            pool_size=self.pool_size,
            pool_overflow=self.pool_overflow,
            pool_timeout=self.pool_timeout,
            recycle=self.recycle,
            connect_timeout=self.connect_timeout,
            command_timeout=self.command_timeout,
            lock_timeout=self.lock_timeout,
            application=application,
        )


class Certificates(Table):
    """What a program's HTTPS servers show: a certificate of its own authority, or the owner's own pair."""

    folder: Path = Path("certificates")
    """The private authority (ca.pem is what clients are to trust) and what it issued; made at the first start."""
    names: tuple[HostName, ...] = ()
    """Host names and addresses by which the servers are reached, beside the program's own."""
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

    @property
    def own(self) -> OwnPair | None:
        return OwnPair(self.chain, self.key) if self.chain is not None and self.key is not None else None


def place_of(database: Path | PostgresAddress, postgresql: Postgresql, application: str) -> Place:
    """Where a program's settings say its database is."""
    if isinstance(database, PostgresAddress):
        return Place(server=database, policy=postgresql.policy(application))
    return Place(file=database.absolute())
